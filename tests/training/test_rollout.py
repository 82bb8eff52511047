"""Gathering experience on real consoles: what is paid, where episodes end, and that a killed run ends as an unkilled one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from safetensors.torch import load_file

import emurl.training.on_policy as training
from emurl.core.errors import InputError, WorkError
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games.settings import EmulatorSettings
from emurl.models.policy import Policy
from emurl.pipelines.speedrun import players as agents
from emurl.pipelines.speedrun import policy as stage
from emurl.pipelines.speedrun.policy import PolicySettings
from emurl.training.archive import StateArchive
from emurl.training.evaluate import Player, play, replay
from emurl.training.perception import Eyes, Memory, odds
from emurl.training.rollout import Collector
from tests.fixtures import playing as rl_fixtures

SKIP = 10
N, EPISODE = 3, 7


class Cells:
    """A tokenizer one can check: a token is the darkest rank in its 16×16 cell."""

    def encode(self, frames: Any) -> torch.Tensor:
        return torch.as_tensor(frames).reshape(-1, 9, 16, 10, 16).amin(dim=(2, 4)).long()


def tile_progress(frames: Any) -> torch.Tensor:
    """Φ = the tile's column in pixels / 8, told from the picture alone (0 where nothing is dark)."""
    dark = (torch.as_tensor(frames) == 0).any(dim=1).float()
    return dark.argmax(dim=1).float() / 8


def consoles(rom: Path, facts: bool = False, number: int = N) -> ThreadedVectorEnv:
    return ThreadedVectorEnv(rom, number, SKIP, 4, facts=facts, autoreset_mode=AutoresetMode.DISABLED, copy=False, threads=2)


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    return rl_fixtures.rom(tmp_path)


@pytest.fixture
def network() -> Policy:
    torch.manual_seed(0)
    return Policy(vocab=8, dim=16, layers=1, heads=2, context=2).eval()


def collector(envs: ThreadedVectorEnv, **changes: Any) -> Collector:
    options: dict[str, Any] = {
        "episode_steps": EPISODE, "time_penalty": 0.01, "archive": StateArchive(64, save_every=4), "archive_share": 0.5,
        "rng": np.random.default_rng(0),
    }  # fmt: skip
    return Collector(envs, Eyes(Cells(), tile_progress), 2, **(options | changes))


def test_memory_keeps_the_newest_last_and_begins_anew() -> None:
    memory = Memory(2, 3)
    memory.begin(0, np.full((9, 10), 1))
    memory.push(np.stack([np.full((9, 10), 2), np.full((9, 10), 5)]))
    assert memory.contexts[:, :, 0, 0].tolist() == [[1, 1, 2], [0, 0, 5]]


def test_a_rollout_is_paid_by_the_screen_and_telescopes_over_its_episodes(rom: Path, network: Policy) -> None:
    envs = consoles(rom)
    gathering = collector(envs)
    parts = [gathering.collect(network, 16) for _ in range(3)]
    rewards = np.concatenate([part.rewards for part in parts])
    progress = np.concatenate([part.progress for part in parts])
    ended = np.concatenate([part.ended for part in parts])
    same = ~ended[:-1]
    np.testing.assert_allclose(rewards[:-1][same], (progress[1:] - progress[:-1] - 0.01)[same], atol=1e-5)
    assert len({float(value) for value in progress.ravel()}) > 2  # the tile did move
    episodes = [episode for part in parts for episode in part.episodes]
    assert len(episodes) == ended.sum() > 3 * N
    assert all(episode.steps == EPISODE for episode in episodes[N:])
    assert {episode.power_on for episode in episodes} == {True, False}  # power-on and archive both
    total = sum(episode.paid for episode in episodes) + gathering.paid.sum()
    assert total == pytest.approx(float(rewards.sum()), abs=1e-4)
    envs.close()


def test_what_is_stored_is_what_the_policy_saw(rom: Path, network: Policy) -> None:
    envs = consoles(rom)
    rollout = collector(envs).collect(network, 12)
    logs, values = odds(network, rollout.contexts.reshape(-1, 2, 9, 10))
    taken = np.take_along_axis(logs, rollout.actions.reshape(-1, 1), 1).reshape(12, N)
    np.testing.assert_allclose(rollout.log_probs, taken, atol=1e-5)
    np.testing.assert_allclose(rollout.values, values.reshape(12, N), atol=1e-5)
    inside = ~rollout.ended[:-1]
    np.testing.assert_array_equal(rollout.next_values[:-1][inside], rollout.values[1:][inside])
    np.testing.assert_array_equal(rollout.contexts[1:, :, 0][inside], rollout.contexts[:-1, :, 1][inside])
    fresh = rollout.contexts[1:][rollout.ended[:-1]]
    np.testing.assert_array_equal(fresh[:, 0], fresh[:, 1])  # a new episode knows nothing of the old one
    assert len(fresh) > 0
    envs.close()


def test_the_end_of_an_episode_is_worth_its_own_last_state(rom: Path, network: Policy) -> None:
    """Bootstrapping over a reset must use the state before the reset, not the new episode's first."""
    envs = consoles(rom, number=1)
    with torch.no_grad():
        network.value_head.weight.mul_(50)  # different screens, clearly different values
    gathering = collector(envs, episode_steps=30, archive_share=0.0)
    shown = []
    step = envs.step

    def watched(actions: np.ndarray) -> Any:
        result = step(actions)
        shown.append(result[0].copy())
        return result

    envs.step = watched  # type: ignore[method-assign]
    rollout = gathering.collect(network, 30)
    assert np.flatnonzero(rollout.ended).tolist() == [29]
    last = np.stack([gathering.eyes.tokens(frames) for frames in shown[-2:]], axis=1)
    assert float(rollout.next_values[29, 0]) == pytest.approx(float(odds(network, last)[1][0]), abs=1e-4)
    fresh = odds(network, gathering.memory.contexts)[1]
    assert abs(float(rollout.next_values[29, 0] - fresh[0])) > 1e-3
    envs.close()


def test_gains_in_strange_places_are_paid_less(rom: Path, network: Policy) -> None:
    rewards = []
    for multiplier in (None, lambda before, after: np.zeros(len(before))):
        envs = consoles(rom)
        gathering = collector(envs, time_penalty=0.0, gain_multiplier=multiplier)
        rewards.append(np.concatenate([gathering.collect(network, 10).rewards for _ in range(2)]))
        envs.close()
    assert rewards[0].max() > 0
    np.testing.assert_array_equal(np.minimum(rewards[0], 0), rewards[1])


def test_a_collector_goes_on_from_its_checkpoint(rom: Path, network: Policy) -> None:
    envs, others = consoles(rom), consoles(rom)
    first = collector(envs)
    first.collect(network, 9)
    saved, archived, dice = first.tensors(), first.archive.tensors(), json.dumps(first.rng.bit_generator.state)
    expected = first.collect(network, 20)
    second = collector(others, rng=np.random.default_rng(77))
    second.restore(saved)
    second.archive.restore(archived)
    second.rng.bit_generator.state = json.loads(dice)
    got = second.collect(network, 20)
    for name in ("contexts", "actions", "log_probs", "values", "next_values", "rewards", "progress", "ended"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    assert got.episodes == expected.episodes
    envs.close()
    others.close()


def test_episodes_end_at_the_goal_and_can_be_replayed(rom: Path, network: Policy) -> None:
    envs = consoles(rom, facts=True)
    eyes, player = Eyes(Cells(), tile_progress), Player("policy", network, 2)
    records = play(envs, eyes, player, max_steps=20, seed=1)
    again = play(envs, eyes, player, max_steps=20, seed=1)
    assert records == again and [record.steps for record in records] == [20] * N
    assert all(len(record.progress) == 21 and record.success is False for record in records)
    assert len({tuple(record.actions) for record in records}) == N  # every episode has dice of its own
    moments = list(replay(envs, eyes, player, records[1]))
    assert [moment.action for moment in moments] == [*records[1].actions, None]
    shown = eyes.progress(np.stack([moment.frame for moment in moments]))
    np.testing.assert_allclose(shown, records[1].progress, atol=1e-6)
    np.testing.assert_allclose([moment.probabilities.sum() for moment in moments], 1.0, rtol=1e-5)

    for console in envs.consoles:  # the game says: goal reached
        console.reader.reached = lambda facts: ["title", "goal"] if facts["x"] > 0 else []  # type: ignore[union-attr]
    ended = play(envs, eyes, player, max_steps=40, seed=1)
    assert any(record.success and record.steps < 40 for record in ended)
    for record in ended:
        assert len(record.progress) == record.steps + 1
        assert record.success == ("goal" in record.reached) and record.reached.get("goal", record.steps) == record.steps
    envs.close()


def test_chance_presses_every_button_alike(rom: Path) -> None:
    envs = consoles(rom, number=4)
    records = play(envs, Eyes(Cells(), tile_progress), Player("random", None), max_steps=60, seed=0)
    counts = np.bincount(np.concatenate([record.actions for record in records]), minlength=8)
    assert counts.min() > 12 and records[0].success is None and records[0].reached == {}
    envs.close()


# --- the stage ---------------------------------------------------------------------------------------------------


def settings(rom: Path, **changes: Any) -> PolicySettings:
    options: dict[str, Any] = {
        "emulator": EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4), "device": "cpu", "total_steps": 6 * 2 * 16,
        "envs": 2, "rollout": 16, "epochs": 2, "minibatch": 16, "episode_steps": 12, "alarm": "warn", "learning_rate": 1e-3,
    }  # fmt: skip
    return PolicySettings(**(options | changes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "policy" / "model.safetensors")


def test_a_killed_run_ends_with_the_same_weights(rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    inputs, chosen = rl_fixtures.tiny_inputs(tmp_path / "store"), settings(rom)
    whole = rl_fixtures.output(tmp_path / "whole")
    stage.run(chosen, inputs, whole, Tracker.silent())

    killed = rl_fixtures.output(tmp_path / "killed")
    learn, calls = training._learn, []

    def dies(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:  # in the middle of the fourth update, two after the checkpoint
            raise KeyboardInterrupt
        return learn(*arguments)

    monkeypatch.setattr(training, "_learn", dies)
    with pytest.raises(KeyboardInterrupt):
        stage.run(chosen, inputs, killed, Tracker.silent())
    assert not (killed.folder / "policy").exists()
    stage.run(chosen, inputs, killed, Tracker.silent())
    assert len(calls) == 4 + 4  # it went on from update 2 and not from the beginning

    expected, got = weights(whole.folder), weights(killed.folder)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    for name in ("history.json", "trials.json"):
        assert (whole.folder / name).read_text() == (killed.folder / name).read_text()
    last = load_file(whole.scratch / training.FILE), load_file(killed.scratch / training.FILE)
    assert last[0].keys() == last[1].keys()
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])  # archive, consoles and optimizer too


def test_the_stage_keeps_the_best_of_its_trials_and_says_what_it_measured(rom: Path, tmp_path: Path) -> None:
    inputs, done = rl_fixtures.tiny_inputs(tmp_path / "store"), rl_fixtures.output(tmp_path / "out")
    stage.run(settings(rom), inputs, done, Tracker.silent())
    metrics = done.metrics
    assert next(iter(metrics)) == "return_mean"
    for name in ("return_start", "return_end", "entropy", "approx_kl", "explained_variance", "steps_per_second"):
        assert np.isfinite(metrics[name]), name
    trials = json.loads((done.folder / "trials.json").read_text())
    assert [row["update"] for row in trials] == [0, 1, 2, 3, 4, 5, 6]
    assert metrics["return_mean"] == max(row["return"] for row in trials) >= metrics["return_start"]
    assert (metrics["best_update"] == 0) == any("clone's weights were kept" in note for note in done.notes)
    history = json.loads((done.folder / "history.json").read_text())
    assert [row["step"] for row in history] == [32, 64, 96, 128, 160, 192]
    assert Policy.from_pretrained(done.folder / "policy").context == rl_fixtures.CONTEXT
    if metrics["best_update"] == 0:
        clone = load_file(inputs["behavior"].folder / "policy" / "model.safetensors")
        assert all(torch.equal(clone[name], value) for name, value in weights(done.folder).items())


def test_a_reward_that_never_varies_raises_the_alarm(rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store")
    monkeypatch.setattr(Eyes, "progress", lambda self, frames: np.zeros(len(frames), np.float32))
    with pytest.raises(WorkError, match="alarm=warn"):
        stage.run(settings(rom, alarm="stop"), inputs, rl_fixtures.output(tmp_path / "stop"), Tracker.silent())
    warned = rl_fixtures.output(tmp_path / "warn")
    stage.run(settings(rom), inputs, warned, Tracker.silent())
    assert any("reward does not vary" in note for note in warned.notes)
    assert any("entropy" in note for note in warned.notes)  # an untrained clone does press at random


def test_models_that_do_not_fit_together_are_the_users_mistake(rom: Path, tmp_path: Path) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store")
    Policy(vocab=64, dim=16, layers=1, heads=2).save_pretrained(inputs["behavior"].folder / "policy")
    eyes, _ = agents.load_eyes(inputs, torch.device("cpu"))
    with pytest.raises(InputError, match="64 tokens, expected 32"):
        agents.load_policy(inputs["behavior"], eyes, torch.device("cpu"))


def test_a_frame_is_looked_at_once_until_it_is_forgotten() -> None:
    looked: list[int] = []

    def model(frames: Any) -> torch.Tensor:
        looked.append(len(frames))
        return torch.as_tensor(frames).float().mean(dim=(1, 2))

    eyes = Eyes(Cells(), model)
    frames = np.random.default_rng(0).integers(0, 4, (6, 144, 160)).astype(np.uint8)
    expected = frames.mean(axis=(1, 2))
    np.testing.assert_allclose(eyes.progress(frames[[0, 1, 0, 2]]), expected[[0, 1, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(eyes.progress(frames[::-1]), expected[::-1], rtol=1e-6)
    np.testing.assert_allclose(eyes.progress(frames), expected, rtol=1e-6)
    assert looked == [3, 3]
    eyes.forget()
    eyes.progress(frames[:2])
    assert looked == [3, 3, 2]
    np.testing.assert_array_equal(eyes.tokens(frames), Cells().encode(frames).numpy())


def test_a_trial_pays_for_soon_and_far_and_not_for_starting_over() -> None:
    assert stage.trial_return([2.0, 2.0, 6.0, 4.0]) == (0 + 0 + 4 + 4) / 4
    assert stage.trial_return([0.0, 9.0, 9.0, 9.0]) > stage.trial_return([0.0, 0.0, 0.0, 9.0])
    assert stage.trial_return([0.0, 9.0, 0.0, 0.0]) == stage.trial_return([0.0, 9.0, 9.0, 9.0])
