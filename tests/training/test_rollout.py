"""Gathering experience on real consoles: what is paid, where episodes end, and that a killed run ends as an unkilled one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from safetensors.torch import load_file

import emurl.training.on_policy as training
from emurl.agents.ppo.agent import PPOAgent, evaluate
from emurl.agents.ppo.networks import unroll
from emurl.agents.ppo.token_networks import FrameMemory, TokenMemory, token_network
from emurl.core import interrupt
from emurl.core.errors import InputError, WorkError
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games.settings import EmulatorSettings
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun import players as agents
from emurl.pipelines.speedrun import policy as stage
from emurl.pipelines.speedrun.policy import PolicySettings
from emurl.rewards.progress import ProgressReward
from emurl.training.archive import StateArchive
from emurl.training.console_source import ConsoleSource
from emurl.training.evaluate import Player, RandomAgent, ScriptAgent, play, replay
from emurl.training.perception import Perception
from emurl.training.rollout import Rollout
from tests.fixtures import playing as rl_fixtures
from tests.fixtures.playing import Cells, Columns

SKIP = 10
N, EPISODE = 3, 7


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


def source(envs: ThreadedVectorEnv, network: Policy | RecurrentPolicy, steps: int, **changes: Any) -> ConsoleSource:
    options: dict[str, Any] = {"episode_steps": EPISODE, "archive": StateArchive(64, save_every=4), "archive_share": 0.5}
    options |= changes
    perception = Perception(Cells(), tile_progress)
    paid = [options.pop(name, default) for name, default in (("time_penalty", 0.01), ("gain_multiplier", None), ("interval", 1))]
    reward = ProgressReward(perception.progress, *paid)
    rng = options.pop("rng", None) or np.random.default_rng(0)
    return ConsoleSource(envs, PPOAgent(token_network(network)), steps, rng, reward, perception, **options)


def read(network: Policy, rollout: Rollout) -> np.ndarray:
    """What the policy read at every step: (T, N, C, 9, 10)."""
    return unroll(FrameMemory(network), rollout.carry, rollout.observations, rollout.episode_starts)


def test_a_rollout_is_paid_by_the_screen_and_telescopes_over_its_episodes(rom: Path, network: Policy) -> None:
    envs = consoles(rom)
    gathering = source(envs, network, 16)
    parts = [gathering.collect() for _ in range(3)]
    rewards = np.concatenate([part.rewards for part in parts])
    progress = np.concatenate([part.extras["progress"][:-1] for part in parts])
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


def test_progress_looked_at_now_and_then_pays_the_same_in_all(rom: Path, network: Policy) -> None:
    seen: list[int] = []

    def counted(frames: Any) -> np.ndarray:
        seen.append(len(frames))
        return tile_progress(frames).numpy()

    each, seldom = (source(consoles(rom), network, 16, archive_share=0.0, interval=interval) for interval in (1, 5))
    first, second = each.collect(), seldom.collect()
    seldom.reward.progress = counted
    again = seldom.reward(second)
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(again, second.rewards)
    assert sum(seen) < 0.6 * first.extras["progress"].size
    for column, (paid, whole) in enumerate(zip(second.rewards.T, first.rewards.T, strict=True)):
        ends = [*(np.flatnonzero(first.ended[:, column]) + 1), 16]
        for begin, end in zip([0, *ends], ends, strict=False):  # over each piece of an episode what is paid is the same
            assert paid[begin:end].sum() == pytest.approx(whole[begin:end].sum(), abs=1e-5)
    between = np.delete(second.rewards, [4, 9, 14, 15], axis=0)[~np.delete(second.ended, [4, 9, 14, 15], axis=0)]
    np.testing.assert_allclose(between, -0.01, atol=1e-6)
    for one in (each, seldom):
        one.consoles.close()


def test_an_episode_from_the_archive_begins_with_what_was_remembered_there(rom: Path) -> None:
    torch.manual_seed(0)
    network = RecurrentPolicy(8, "cnn", token_dim=4, dim=8, width=8, hidden=6).eval()
    envs = consoles(rom)
    gathering = source(envs, network, 24, archive_share=1.0)
    parts = [gathering.collect() for _ in range(3)]
    begun = [(part, where, carry) for part in parts for where, carry in part.begun.items()]
    kept = {entry.carry["state"].tobytes() for entry in gathering.archive.entries.values()}
    assert begun and any(np.abs(carry["state"]).max() > 0 for _, _, carry in begun)
    assert all(part.episode_starts[where] and carry["state"].tobytes() in kept for part, where, carry in begun)
    for part in parts:  # evaluated as a sequence it is what was played, step by step
        logits, values = TokenMemory(network).sequence(part.carry, part.observations, part.episode_starts, part.begun)
        np.testing.assert_allclose(values.detach().numpy(), part.values, atol=1e-5)
        taken = torch.log_softmax(logits, -1).gather(2, torch.from_numpy(part.actions)[..., None])[..., 0]
        np.testing.assert_allclose(taken.detach().numpy(), part.log_probs, atol=1e-5)
    envs.close()


def test_what_is_stored_is_what_the_policy_saw(rom: Path, network: Policy) -> None:
    envs = consoles(rom)
    rollout = source(envs, network, 12).collect()
    contexts = read(network, rollout)
    logs, values = evaluate(FrameMemory(network), contexts.reshape(-1, 2, 9, 10))
    taken = np.take_along_axis(logs, rollout.actions.reshape(-1, 1), 1).reshape(12, N)
    np.testing.assert_allclose(rollout.log_probs, taken, atol=1e-5)
    np.testing.assert_allclose(rollout.values, values.reshape(12, N), atol=1e-5)
    inside = ~rollout.ended[:-1]
    np.testing.assert_array_equal(rollout.next_values[:-1][inside], rollout.values[1:][inside])
    np.testing.assert_array_equal(contexts[1:, :, 0][inside], contexts[:-1, :, 1][inside])
    fresh = contexts[1:][rollout.ended[:-1]]
    np.testing.assert_array_equal(fresh[:, 0], fresh[:, 1])  # a new episode knows nothing of the old one
    assert len(fresh) > 0
    envs.close()


def test_the_end_of_an_episode_is_worth_its_own_last_state(rom: Path, network: Policy) -> None:
    """Bootstrapping over a reset must use the state before the reset, not the new episode's first."""
    envs = consoles(rom, number=1)
    with torch.no_grad():
        network.value_head.weight.mul_(50)  # different screens, clearly different values
    gathering = source(envs, network, 30, episode_steps=30, archive_share=0.0)
    shown = []
    step = envs.step

    def watched(actions: np.ndarray) -> Any:
        result = step(actions)
        shown.append(result[0].copy())
        return result

    envs.step = watched  # type: ignore[method-assign]
    rollout = gathering.collect()
    assert rollout.truncated.any() and not rollout.terminated.any()  # an episode ends here by the clock
    assert np.flatnonzero(rollout.ended).tolist() == [29]
    last = np.stack([gathering.perception.encode(frames) for frames in shown[-2:]], axis=1)
    assert float(rollout.next_values[29, 0]) == pytest.approx(float(evaluate(FrameMemory(network), last)[1][0]), abs=1e-4)
    fresh = gathering.agent.act(gathering.agent.initial(1), gathering.observation)[2]["values"]
    assert abs(float(rollout.next_values[29, 0] - fresh[0])) > 1e-3
    envs.close()


def test_gains_in_strange_places_are_paid_less(rom: Path, network: Policy) -> None:
    rewards = []
    for multiplier in (None, lambda before, after: np.zeros(len(before))):
        envs = consoles(rom)
        gathering = source(envs, network, 10, time_penalty=0.0, gain_multiplier=multiplier)
        rewards.append(np.concatenate([gathering.collect().rewards for _ in range(2)]))
        envs.close()
    assert rewards[0].max() > 0
    np.testing.assert_array_equal(np.minimum(rewards[0], 0), rewards[1])


def test_a_source_goes_on_from_its_checkpoint(rom: Path, network: Policy) -> None:
    envs, others = consoles(rom), consoles(rom)
    first = source(envs, network, 9)
    first.collect()
    saved, dice = first.tensors(), json.dumps(first.rng.bit_generator.state)
    first.agent._known.clear()  # as an update does, and a new process
    first.num_steps = 20
    expected = first.collect()
    second = source(others, network, 20, rng=np.random.default_rng(77))
    second.restore(saved)
    second.rng.bit_generator.state = json.loads(dice)
    got = second.collect()
    np.testing.assert_array_equal(read(network, got), read(network, expected))
    np.testing.assert_array_equal(got.extras["progress"], expected.extras["progress"])
    for name in ("observations", "actions", "log_probs", "values", "next_values", "rewards", "ended"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    assert got.episodes == expected.episodes
    envs.close()
    others.close()


def test_episodes_end_at_the_goal_and_can_be_replayed(rom: Path, network: Policy) -> None:
    envs = consoles(rom, facts=True)
    perception, player = Perception(Cells(), tile_progress), Player("policy", PPOAgent(FrameMemory(network)))
    records = play(envs, perception, player, max_steps=20, seed=1)
    again = play(envs, perception, player, max_steps=20, seed=1)
    assert records == again and [record.steps for record in records] == [20] * N
    assert all(len(record.progress) == 21 and record.success is False for record in records)
    assert len({tuple(record.actions) for record in records}) == N  # every episode has dice of its own
    moments = list(replay(envs, perception, player, records[1]))
    assert [moment.action for moment in moments] == [*records[1].actions, None]
    shown = perception.progress(np.stack([moment.frame for moment in moments]))
    np.testing.assert_allclose(shown, records[1].progress, atol=1e-6)
    np.testing.assert_allclose([moment.probabilities.sum() for moment in moments], 1.0, rtol=1e-5)

    for console in envs.consoles:  # the game says: goal reached
        console.reader.reached = lambda facts: ["title", "goal"] if facts["x"] > 0 else []  # type: ignore[union-attr]
    ended = play(envs, perception, player, max_steps=40, seed=1)
    assert any(record.success and record.steps < 40 for record in ended)
    for record in ended:
        assert len(record.progress) == record.steps + 1
        assert record.success == ("goal" in record.reached) and record.reached.get("goal", record.steps) == record.steps
    envs.close()


def test_a_judge_with_a_memory_tells_progress_and_ends_an_episode(rom: Path) -> None:
    envs = consoles(rom, number=3)
    judge: Any = Columns()
    walk = Player("walk", ScriptAgent([BUTTONS.index("right")] * 4 + [BUTTONS.index("left")] * 4, len(BUTTONS)), "nothing")
    records = play(envs, Perception(Cells(), tile_progress), walk, max_steps=8, seed=0, judge=judge)
    for record in records:
        # What was reached stays reached, also when the tile goes back.
        assert len(record.progress) == record.steps + 1 == 9 and (np.diff(record.progress) >= 0).all()
        assert record.progress[-1] == max(record.progress) > record.progress[0]
    further = Player("further", ScriptAgent([BUTTONS.index("right")] * 30, len(BUTTONS)), "nothing")
    for record in play(envs, Perception(Cells(), tile_progress), further, max_steps=30, seed=0, judge=judge):
        assert record.progress[-1] == 7 / 9 and record.steps < 30
    envs.close()


def test_chance_presses_every_button_alike(rom: Path) -> None:
    envs = consoles(rom, number=4)
    records = play(envs, Perception(Cells(), tile_progress), Player("random", RandomAgent(8), "nothing"), max_steps=60, seed=0)
    counts = np.bincount(np.concatenate([record.actions for record in records]), minlength=8)
    assert counts.min() > 12 and records[0].success is None and records[0].reached == {}
    envs.close()


# --- the stage ---------------------------------------------------------------------------------------------------


def settings(rom: Path, **changes: Any) -> PolicySettings:
    options: dict[str, Any] = {
        "emulator": EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4), "device": "cpu", "total_steps": 6 * 2 * 16,
        "num_envs": 2, "num_steps": 16, "update_epochs": 2, "minibatch_size": 16, "episode_steps": 12,
        "evaluation_episodes": 2, "alarm": "warn", "learning_rate": 1e-3,
    }  # fmt: skip
    return PolicySettings(**(options | changes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "policy" / "model.safetensors")


@pytest.mark.parametrize("remembering", [False, True])
def test_a_killed_run_ends_with_the_same_weights(
    rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembering: bool
) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store", remembering=remembering)
    chosen = settings(rom, checkpoint_every=2, archive_save_every=4)
    whole = rl_fixtures.output(tmp_path / "whole")
    stage.run(chosen, inputs, whole, Tracker.silent())

    killed = rl_fixtures.output(tmp_path / "killed")
    learn, calls = training.learn, []

    def dies(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:  # in the middle of the fourth update, two after the checkpoint
            raise KeyboardInterrupt
        return learn(*arguments)

    monkeypatch.setattr(training, "learn", dies)
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


def test_a_trial_that_a_flow_breaks_off_costs_no_update(rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect raises something of its own for SIGTERM; here it is Ctrl-C, twice, for a trial has no step to wait for."""

    class Theirs(BaseException):
        pass

    def theirs(signum: int, frame: Any) -> None:
        raise Theirs

    learn, updates, trials = training.learn, [], []

    def trial(*arguments: Any, **named: Any) -> Any:
        trials.append(len(updates))
        if len(trials) == 4:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        return play(*arguments, **named)

    monkeypatch.setattr(training, "learn", lambda *arguments: updates.append(1) or learn(*arguments))
    monkeypatch.setattr(stage, "play", trial)
    inputs, ended = rl_fixtures.tiny_inputs(tmp_path / "store"), rl_fixtures.output(tmp_path / "ended")
    before = signal.signal(signal.SIGINT, theirs)
    try:
        with pytest.raises(Theirs), interrupt.handled():
            stage.run(settings(rom, checkpoint_every=100), inputs, ended, Tracker.silent())
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(updates) == 3
    stage.run(settings(rom, checkpoint_every=100), inputs, ended, Tracker.silent())
    assert len(updates) == 6 and trials[:8] == [0, 1, 2, 3, 3, 4, 5, 6]


def test_a_clone_with_another_memory_than_asked_for_is_refused(rom: Path, tmp_path: Path) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store", remembering=True)
    with pytest.raises(InputError, match=r"policy\.memory: frames, expected recurrent, as the policy of behavior@v1 has"):
        stage.run(settings(rom, memory="frames"), inputs, rl_fixtures.output(tmp_path / "out"), Tracker.silent())


def test_the_stage_keeps_the_best_of_its_trials_and_says_what_it_measured(rom: Path, tmp_path: Path) -> None:
    inputs, done = rl_fixtures.tiny_inputs(tmp_path / "store"), rl_fixtures.output(tmp_path / "out")
    stage.run(settings(rom), inputs, done, Tracker.silent())
    metrics = done.metrics
    assert next(iter(metrics)) == "return_mean"
    for name in (
        "return_mean_clone",
        "return_std",
        "selection_return_last",
        "entropy_ratio",
        "approx_kl",
        "explained_variance",
        "steps_per_second",
    ):
        assert np.isfinite(metrics[name]), name
    trials = json.loads((done.folder / "trials.json").read_text())
    assert [row["update"] for row in trials] == [0, 1, 2, 3, 4, 5, 6]
    assert metrics["selection_return"] == max(row["return"] for row in trials) >= metrics["selection_return_clone"]
    if metrics["best_update"] == 0:  # then both are the clone, on the same fresh seeds
        assert metrics["return_mean"] == metrics["return_mean_clone"]
    assert (metrics["best_update"] == 0) == any("weights that it began with were kept" in note for note in done.notes)
    history = json.loads((done.folder / "history.json").read_text())
    assert [row["step"] for row in history] == [32, 64, 96, 128, 160, 192]
    assert Policy.from_pretrained(done.folder / "policy").context == rl_fixtures.CONTEXT
    if metrics["best_update"] == 0:
        clone = load_file(inputs["behavior"].folder / "policy" / "model.safetensors")
        assert all(torch.equal(clone[name], value) for name, value in weights(done.folder).items())


def test_a_reward_that_never_varies_raises_the_alarm(rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store")
    monkeypatch.setattr(Perception, "progress", lambda self, frames: np.zeros(len(frames), np.float32))
    with pytest.raises(WorkError, match="alarm=warn"):
        stage.run(settings(rom, alarm="stop"), inputs, rl_fixtures.output(tmp_path / "stop"), Tracker.silent())
    warned = rl_fixtures.output(tmp_path / "warn")
    stage.run(settings(rom), inputs, warned, Tracker.silent())
    assert any("reward does not vary" in note for note in warned.notes)
    assert any("entropy" in note for note in warned.notes)  # an untrained clone does press at random


def test_models_that_do_not_fit_together_are_the_users_mistake(rom: Path, tmp_path: Path) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store")
    Policy(vocab=64, dim=16, layers=1, heads=2).save_pretrained(inputs["behavior"].folder / "policy")
    perception, _ = agents.load_perception(inputs, torch.device("cpu"))
    with pytest.raises(InputError, match="64 tokens, expected 32"):
        agents.load_policy(inputs["behavior"], perception, torch.device("cpu"))


def test_an_agent_is_played_as_it_was_trained_or_not_at_all(rom: Path, tmp_path: Path) -> None:
    inputs, done = rl_fixtures.tiny_inputs(tmp_path / "store"), rl_fixtures.output(tmp_path / "out")
    stage.run(settings(rom), inputs, done, Tracker.silent())
    made = rl_fixtures.artifact(done.folder, "policy")
    trained_at = EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4)
    assert agents.emulator_of(made, trained_at) == trained_at
    with pytest.raises(InputError, match=r"frame_skip: the settings say 16, expected 10, which policy@v1 was trained at"):
        agents.emulator_of(made, EmulatorSettings(rom=str(rom), frame_skip=16, press_ticks=4))
    with pytest.raises(InputError, match=r"press_ticks: the settings say 5, expected 4"):
        agents.emulator_of(made, EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=5))
    other = tmp_path / "other.gb"
    other.write_bytes(rom.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"emulator\.rom: .*other\.gb is another ROM than policy@v1 was trained on"):
        agents.emulator_of(made, EmulatorSettings(rom=str(other), frame_skip=SKIP, press_ticks=4))
    unsaid = agents.emulator_of(made, EmulatorSettings(rom=str(rom)))
    assert (unsaid.frame_skip, unsaid.press_ticks) == (SKIP, 4)  # what the settings leave unsaid is the artifact's
    elsewhere = tmp_path / "moved.gb"
    elsewhere.write_bytes(rom.read_bytes())
    assert agents.emulator_of(made, EmulatorSettings(rom=str(elsewhere), frame_skip=SKIP, press_ticks=4))


def test_an_artifact_made_before_says_it_by_its_settings(tmp_path: Path) -> None:
    made = rl_fixtures.artifact(tmp_path, "behavior")
    made.manifest["settings"] = {"emulator": {"rom": "embedded", "frame_skip": 30, "press_ticks": 8}}
    with pytest.raises(InputError, match="settings say 16, expected 30, which behavior@v1 was trained at"):
        agents.emulator_of(made, EmulatorSettings(frame_skip=16))


def test_a_frame_is_looked_at_once_until_it_is_forgotten() -> None:
    looked: list[int] = []

    def model(frames: Any) -> torch.Tensor:
        looked.append(len(frames))
        return torch.as_tensor(frames).float().mean(dim=(1, 2))

    perception = Perception(Cells(), model)
    frames = np.random.default_rng(0).integers(0, 4, (6, 144, 160)).astype(np.uint8)
    expected = frames.mean(axis=(1, 2))
    np.testing.assert_allclose(perception.progress(frames[[0, 1, 0, 2]]), expected[[0, 1, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(perception.progress(frames[::-1]), expected[::-1], rtol=1e-6)
    np.testing.assert_allclose(perception.progress(frames), expected, rtol=1e-6)
    assert looked == [3, 3]
    perception.forget()
    perception.progress(frames[:2])
    assert looked == [3, 3, 2]
    np.testing.assert_array_equal(perception.encode(frames), Cells().encode(frames).numpy())


def test_a_trial_pays_for_soon_and_far_and_not_for_starting_over() -> None:
    assert stage.episode_return([2.0, 2.0, 6.0, 4.0]) == (0 + 0 + 4 + 4) / 4
    assert stage.episode_return([0.0, 9.0, 9.0, 9.0]) > stage.episode_return([0.0, 0.0, 0.0, 9.0])
    assert stage.episode_return([0.0, 9.0, 0.0, 0.0]) == stage.episode_return([0.0, 9.0, 9.0, 9.0])
