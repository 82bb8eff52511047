"""Practice: where episodes begin and end, what they are paid, what is remembered there, and that a killed one goes on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from safetensors.torch import load_file

from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.token_networks import TokenMemory
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun import policy as stage
from emurl.pipelines.speedrun.course import load_judge
from emurl.pipelines.speedrun.players import agent_of
from emurl.pipelines.speedrun.practicing import WayMemory, practice
from emurl.rewards.splits import JudgeSettings, Split, SplitJudge
from emurl.training import on_policy
from emurl.training.evaluate import Player, RandomAgent, play
from emurl.training.explore import Explorer
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, PhaseSettings
from emurl.training.practice import NEVER, PracticeSettings, PracticeSource
from emurl.training.rollout import Rollout
from emurl.training.supervised import seeded
from emurl.training.ways import Place
from tests.fixtures import playing
from tests.training.test_explore import inputs_with_footage, settings

RIGHT, B = 5, 1
SKIP = 10


class Presser(RandomAgent):
    """Presses one button."""

    def __init__(self, button: int) -> None:
        super().__init__(8)
        self.button = button

    def act(self, carry: Any, observation: Any, mask: Any = None, noise: Any = None) -> Any:
        actions, carry, extras = super().act(carry, observation, mask, noise)
        return np.full_like(actions, self.button), carry, extras


class NoMemory:
    """Of an agent that remembers nothing."""

    def __call__(self, place: Place) -> dict[str, Any]:
        return {}

    def forget(self) -> None:
        pass


class World:
    """The tile's consoles, and ways that chance found there."""

    def __init__(self, folder: Path) -> None:
        rom = playing.rom(folder)
        self.envs = ThreadedVectorEnv(rom, 3, SKIP, 4, facts=False, autoreset_mode=AutoresetMode.DISABLED, copy=False)
        self.perception = Perception(playing.Cells(), lambda frames: torch.zeros(len(frames)))  # type: ignore[arg-type]
        self.judge: Any = playing.Columns()

    def ways(self) -> dict[int, list[Place]]:
        rng = np.random.default_rng(0)
        explorer = Explorer(self.envs, self.perception, self.judge, ArchiveSettings(), rng, wait_ticks=4)
        phase = PhaseSettings(steps=600, from_power_on=0.3, patience=30, random_actions=(0.0,), sticky=0.8, trials=0)
        explorer.explore(Presser(RIGHT), phase, lambda grids: {})
        assert set(explorer.ways) == {0, 1}
        return explorer.ways

    def source(self, agent: Any, ways: dict[int, list[Place]], steps: int = 12, **how: Any) -> PracticeSource:
        rng = np.random.default_rng(3)
        return PracticeSource(
            self.envs,
            agent,
            steps,
            rng,
            self.perception,
            self.judge,
            ways,
            NoMemory(),
            PracticeSettings(**how),
            wait_ticks=4,
        )


def columns_of(rollout: Rollout) -> np.ndarray:
    """The column the tile is in, by step and console."""
    return np.array([[int((grid == 0).any(axis=0).argmax()) for grid in row] for row in np.asarray(rollout.observations)])


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.envs.close()


def test_what_sometimes_fails_is_begun_before(world: World) -> None:
    ways = world.ways()
    source = world.source(RandomAgent(8), ways, from_power_on=0.0, back=0, ahead=1)
    source.tried[:], source.passed[:] = (98, 98, 98), (98, 49, 98)  # the second split is passed half of the time
    assert source.success().tolist() == [0.99, 0.5, 0.99]
    chosen = Counter(
        (place is not None and place.standing.passed, until) for place, until in (source._choose() for _ in range(300))
    )
    # Each of the others counts 0.02², the second one 0.25².
    assert chosen[1, 3] > 280 and set(chosen) <= {(False, NEVER), (1, 3), (2, 4)}
    source.settings = PracticeSettings(from_power_on=0.0, back=0, focus=0.0)
    alike = Counter(until for _, until in (source._choose() for _ in range(300)))
    assert all(60 < alike[until] < 140 for until in (NEVER, 3, 4))
    source.settings = PracticeSettings(from_power_on=1.0)
    assert source._choose() == (None, NEVER)


@pytest.mark.parametrize("paid", ["positions", "splits"])
def test_steps_are_paid_what_was_gained_and_the_end(world: World, paid: str) -> None:
    source = world.source(Presser(RIGHT), {}, steps=40, sticky=0.0, pace=0.25, finish=5.0, paid=paid)
    rollout = source.collect()
    columns = columns_of(rollout)
    assert rollout.terminated.any() and not rollout.truncated.any()
    for i in range(source.n):
        furthest = columns[0, i]

        def worth(column: int) -> int:
            return column if paid == "positions" else max(split for split in (0, 3, 6) if column >= split)

        for t in range(len(columns) - 1):
            if rollout.terminated[t, i]:  # it walked into column 7, which is the end
                assert rollout.rewards[t, i] == pytest.approx(worth(7) - worth(furthest) - 0.25 + 5.0)
                furthest = columns[t + 1, i]
                assert rollout.episode_starts[t + 1, i] and furthest == columns[0, i]
            else:
                assert rollout.rewards[t, i] == pytest.approx(worth(max(furthest, columns[t + 1, i])) - worth(furthest) - 0.25)
                furthest = max(furthest, columns[t + 1, i])
    ended = rollout.terminated.sum()
    assert source.success() == pytest.approx([(source.passed[0] + 1) / (source.passed[0] + 2)] * 3, abs=0.1)
    assert source.tried[2] == source.passed[2] == pytest.approx(0.9 * ended)  # what is older counts less from now on
    assert all(one.power_on for one in rollout.episodes) and len(rollout.episodes) == ended


def test_who_gets_no_further_has_lost(world: World) -> None:
    source = world.source(Presser(B), {}, steps=14, patience=5, pace=0.5)
    rollout = source.collect()
    # The title's first picture shows the tile in column 4, past the first split, and then it stays where it is.
    assert (
        np.flatnonzero(rollout.terminated[:, 0]).tolist() == [6, 13]
        and (np.delete(rollout.rewards, (0, 7), axis=0) == -0.5).all()
    )
    assert source.passed[1] == 0 and source.tried[1] == pytest.approx(0.9 * 6)


def test_an_episode_for_practice_ends_after_its_split(world: World) -> None:
    ways = {0: world.ways()[0]}
    source = world.source(Presser(RIGHT), ways, steps=30, from_power_on=0.0, back=0, ahead=0, sticky=0.0)
    source.tried[:], source.passed[:] = (1e6, 2, 1e6), (1e6, 1, 1e6)
    for i in range(source.n):
        source._begin(i)
    assert [one.passed for one in source.standings] == [1] * 3 and source.until.tolist() == [2] * 3
    rollout = source.collect()
    assert rollout.truncated.any() and not any(one.power_on for one in rollout.episodes if one.steps < 10)
    columns = columns_of(rollout)
    first = int(np.flatnonzero(rollout.truncated[:, 0])[0])
    assert columns[0, 0] >= 3 and (columns[: first + 1, 0] < 6).all()  # the second split is column 6


def test_a_rollout_goes_on_from_what_was_kept(world: World) -> None:
    ways = world.ways()
    source = world.source(RandomAgent(8), ways, patience=8)
    source.collect()
    kept, dice = source.tensors(), source.rng.bit_generator.state
    one = source.collect()
    other = world.source(RandomAgent(8), ways, patience=8)
    other.restore(kept)
    other.rng.bit_generator.state = dice
    again = other.collect()
    assert one.ended.any() and np.array_equal(one.rewards, again.rewards) and np.array_equal(one.actions, again.actions)
    assert np.array_equal(one.observations, again.observations) and np.array_equal(one.terminated, again.terminated)
    assert source.success().tolist() == other.success().tolist() and source.until.tolist() == other.until.tolist()
    assert [standing.reached for standing in source.standings] == [standing.reached for standing in other.standings]


def remembering(seed: int) -> RecurrentPolicy:
    policy: RecurrentPolicy = seeded(
        seed, lambda: RecurrentPolicy(playing.VOCAB, "transformer", token_dim=8, dim=16, heads=2, width=16, hidden=16)
    )
    return policy.eval()


@torch.inference_mode()
def read(policy: RecurrentPolicy, grids: np.ndarray, state: torch.Tensor) -> torch.Tensor:
    features = policy.features(torch.from_numpy(grids.astype(np.int64)))
    return policy.remember(features[:, None], state)[1]


@pytest.mark.parametrize("burn_in", [1, 4, 1000])
def test_both_remember_the_way(world: World, burn_in: int) -> None:
    place = max(world.ways()[1], key=lambda one: one.steps)
    grids = place.way().grids
    assert len(grids) > 4
    own, reference = remembering(1), remembering(2)
    carry = WayMemory(TokenMemory(own), TokenMemory(reference), burn_in)(place)
    nothing = torch.zeros(1, 16)
    assert carry["reference_state"] == pytest.approx(read(reference, grids, nothing)[0].numpy(), abs=1e-5)
    cut = max(0, len(grids) - burn_in)
    middle = read(reference, grids[:cut], nothing) if cut else nothing
    assert carry["state"] == pytest.approx(read(own, grids[cut:], middle)[0].numpy(), abs=1e-5)


def test_practice_learns_to_get_to_the_end(world: World, tmp_path: Path) -> None:
    """The tile has to be walked right, and chance walks to and fro."""
    policy, ways = remembering(0), world.ways()
    envs = ThreadedVectorEnv(playing.rom(tmp_path), 6, SKIP, 4, facts=False, autoreset_mode=AutoresetMode.DISABLED, copy=False)

    def haste(candidate: RecurrentPolicy) -> float:
        """Actions that six episodes need to get to the end, 100 at most, as what is better the more it is."""
        world.perception.forget()
        records = play(envs, world.perception, Player("", agent_of(candidate)), max_steps=100, seed=1, judge=world.judge)
        return -float(np.mean([(*(at for at, one in enumerate(record.progress) if one >= 7 / 9), 100)[0] for record in records]))

    before = haste(policy)
    ppo = PPOConfig(
        num_envs=3,
        num_steps=32,
        minibatch_size=96,
        update_epochs=4,
        learning_rate=5e-3,
        device="cpu",
        alarm="warn",
        target_kl=0.1,
    )
    state = practice(
        policy, ways, world.envs, world.perception, world.judge, PracticeSettings(steps=3 * 32 * 25, patience=20, sticky=0.0), ppo,
        wait_ticks=4, trial=haste, trials=2, output=playing.output(tmp_path / "out"), tracker=Tracker.silent(), signature={},
    )  # fmt: skip
    assert state.update == 25
    assert state.best == state.trials[-1][1] > 0.6 * before
    assert haste(policy) == state.best
    envs.close()


def test_a_killed_practice_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rom, inputs = playing.rom(tmp_path), inputs_with_footage(tmp_path / "store")
    judge = load_judge(inputs["reward"], "cpu")
    splits = [Split(position, -1e9, 1.0) for position in (2, 4, 6)]  # every picture passes them, as soon as one is that far
    SplitJudge(judge.model, splits, judge.known, 0.0, JudgeSettings(skip=0)).save(inputs["reward"].folder / "course")
    practiced = settings(
        rom, num_steps=8, minibatch_size=16, trials=3, checkpoint_every=2, alarm="warn", practice=PracticeSettings(steps=64)
    )

    whole = playing.output(tmp_path / "whole")
    stage.run(practiced, inputs, whole, Tracker.silent())
    assert [one["update"] for one in json.loads((whole.folder / "practice.json").read_text())] == [0, 2, 4]
    history = json.loads((whole.folder / "history.json").read_text())
    assert len(history["explore"]) == 2 and len(history["practice"]) == 4
    assert whole.metrics["env_steps"] == 3 * 120 + 64
    assert whole.metrics["practice_return"] >= whole.metrics["practice_return_before"]

    learn, calls = on_policy.learn, []

    def dies(*arguments: Any, **named: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return learn(*arguments, **named)

    monkeypatch.setattr(on_policy, "learn", dies)
    killed = playing.output(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        stage.run(practiced, inputs, killed, Tracker.silent())
    stage.run(practiced, inputs, killed, Tracker.silent())
    assert len(calls) == 6  # the last checkpoint was after the second update
    files = [load_file(one.folder / "policy" / "model.safetensors") for one in (whole, killed)]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])
    for name in ("practice.json", "trials.json"):
        assert (whole.folder / name).read_text() == (killed.folder / name).read_text()
