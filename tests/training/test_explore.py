"""Exploring on real consoles: ways by hand, and a tile that has to be walked to the other side of the screen."""

from __future__ import annotations

import json
import os
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from emurl.core import interrupt
from emurl.core.errors import InputError
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.footage.dataset import FrameReader
from emurl.footage.pairs import Collector
from emurl.footage.tokens import write_tokens
from emurl.games.settings import EmulatorSettings
from emurl.models.position import PositionModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.shared.playing import consoles
from emurl.pipelines.speedrun import exploring
from emurl.pipelines.speedrun import policy as stage
from emurl.pipelines.speedrun.course import load_judge
from emurl.pipelines.speedrun.exploring import ExploreSettings, WaysSettings, learnable, trial_return
from emurl.pipelines.speedrun.players import load_perception, load_policy
from emurl.pipelines.speedrun.policy import PolicySettings
from emurl.pipelines.speedrun.scouting import FILE as SCOUTED
from emurl.pipelines.speedrun.scouting import ScoutSettings, read_scouted, scout, write_scouted
from emurl.rewards.splits import JudgeSettings, SplitJudge, Standing
from emurl.training.evaluate import RandomAgent
from emurl.training.explore import Explorer
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, FirstPhaseSettings, PhaseSettings
from emurl.training.ways import Place, Way, pack, unpack, without_loops
from tests.fixtures import playing as rl_fixtures
from tests.fixtures.learning import walks, write_frames
from tests.fixtures.playing import Cells, Columns

SKIP = 10


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    rom = rl_fixtures.rom(tmp_path)
    envs = ThreadedVectorEnv(rom, 3, SKIP, 4, facts=False, autoreset_mode=AutoresetMode.DISABLED, copy=False)
    perception = Perception(Cells(), lambda frames: torch.zeros(len(frames)))
    return Explorer(envs, perception, Columns(), ArchiveSettings(per_position=3), np.random.default_rng(0), wait_ticks=4)  # type: ignore[arg-type]


def nothing(grids: np.ndarray) -> dict[str, np.ndarray]:
    return {}


def grid(value: int) -> np.ndarray:
    return np.full((9, 10), value, np.int16)


def way_of(values: list[int], progress: list[int] | None = None, lost: list[bool] | None = None) -> Way:
    """A way of one-colored pictures; its actions count up from 10."""
    n = len(values)
    pictures = np.stack([grid(value) for value in values]) if values else np.zeros((0, 9, 10), np.int16)
    led_nowhere = np.array(lost or [False] * n, bool)
    return Way(pictures, np.arange(10, 10 + n), np.array(progress or [0] * n, np.int64), led_nowhere, ~led_nowhere)


def test_loops_are_cut_and_the_last_action_at_a_picture_is_kept() -> None:
    #                          a  b  c  b  d      the way b → c → b leads nowhere
    kept = without_loops(way_of([1, 2, 3, 2, 4]))
    assert kept.actions.tolist() == [10, 13, 14] and kept.grids[:, 0, 0].tolist() == [1, 2, 4]
    # Seen again after progress was made, it is another moment.
    assert without_loops(way_of([1, 2, 3, 2, 4], [0, 0, 1, 1, 1])).actions.tolist() == [10, 11, 12, 13, 14]


def test_what_got_lost_stays_and_is_not_learned() -> None:
    #                                        lost: ──────
    way = way_of([1, 2, 1, 3, 3, 3, 1, 5, 1], lost=[False] * 3 + [True] * 3 + [False] * 3)
    kept = without_loops(way)
    # The loop 1 → 2 → 1 before it is cut, and so is 1 → 5 → 1 after it, but not what lies between the two: it is to be remembered.
    assert kept.grids[:, 0, 0].tolist() == [1, 3, 3, 3, 1] and kept.meant.tolist() == [True, False, False, False, True]


@given(st.lists(st.integers(0, 4), max_size=40))
def test_a_way_without_loops_has_none_and_ends_where_it_ended(values: list[int]) -> None:
    way = without_loops(way_of(values))
    seen = way.grids[:, 0, 0].tolist()
    assert len(set(seen)) == len(seen) and (not values or (seen[-1], way.actions[-1]) == (values[-1], len(values) + 9))
    assert not values or seen[0] == values[0]


def test_places_come_back_from_tensors_and_share_their_beginnings() -> None:
    def place(parent: Place | None, steps: int) -> Place:
        standing = Standing(np.arange(3.0), steps, steps + 1, {bytes([steps]) * 16}, 0.5, {steps + at: at for at in range(steps)})
        return Place(
            zlib.compress(b"state") if parent is None else b"", standing, parent, np.stack([grid(steps)] * 2), np.array([steps, 1]),
            np.array([steps, 7]), np.array([0, 1]), np.array([True, steps == 2]), steps, begun=0.4 * steps, led=0.1, beyond=steps + 2,
            lost=steps == 3,
        )  # fmt: skip

    first = place(None, 1)
    second, third = place(first, 2), place(first, 3)
    tensors, number = pack([second, third, second])
    again = unpack(tensors)
    assert len(again) == 3
    one, other = again[number[id(second)]], again[number[id(third)]]
    assert one.parent is other.parent and one.packed == second.packed and one.standing.seen == second.standing.seen
    assert one.standing.lacking == {2: 0, 3: 1} and other.standing.lacking == {3: 0, 4: 1, 5: 2}
    assert (one.begun, one.led, one.beyond, one.promise) == (0.8, 0.1, 4, 1.1 / 2.8)
    assert (one.lost, other.lost, other.recovers, one.recovers) == (False, True, True, False)
    assert one.way().meant.tolist() == [True, False, True, True] and other.way().meant.tolist() == [True, False, False, False]
    assert one.state() == (b"state", [2, 7]) and one.unsaved == 2 and first.unsaved == 0
    assert all(np.array_equal(a, b) for a, b in zip(one.way(), second.way(), strict=True)) and len(one.way().actions) == 4
    assert unpack(pack([])[0]) == []


def test_a_place_without_a_state_is_reached_by_playing_again(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[Place, np.ndarray]] = []
    keep = explorer._keep

    def watched(i: int, episode: Any) -> Place:
        kept.append((keep(i, episode), explorer.envs.consoles[i].gameboy.frame().copy()))
        return kept[-1][0]

    monkeypatch.setattr(explorer, "_keep", watched)
    phase = PhaseSettings(steps=900, from_power_on=0.3, from_cells=0.5, patience=20, random_actions=(0.5,), sticky=0.3)
    explorer.explore(RandomAgent(8), phase, nothing)
    equal = []
    for place, frame in kept:
        state, played = place.state()
        explorer.envs.restart(0, state)
        for action in played:
            explorer.envs.consoles[0].play(action)
        if played:
            equal.append(np.array_equal(explorer.envs.consoles[0].gameboy.frame(), frame))
    # All but a few: a state that PyBoy saves in the first moments after power-on does not always go on as the console itself does.
    assert len(equal) > 20 and np.mean(equal) > 0.9
    explorer.envs.close()


def test_a_phase_begins_with_trials_that_count_even_unfinished(explorer: Explorer) -> None:
    phase = PhaseSettings(steps=15, from_power_on=0.0, patience=50, random_actions=(1.0,), trials=2)
    ended = explorer.explore(RandomAgent(8), phase, nothing)
    assert [(one.trial, one.from_power_on, one.chance, one.steps) for one in ended] == [(True, True, 0.0, 5)] * 2
    explorer.envs.close()


def ways_past(explorer: Explorer, lengths: list[int], parents: list[Place | None], split: int) -> list[Place]:
    made = []
    for length, parent in zip(lengths, parents, strict=True):
        steps = length + (0 if parent is None else parent.steps)
        standing = Standing(np.zeros(10), split + 1, 3 * split + 3)
        values = np.stack([grid(100 * split + 10 * len(made) + step) for step in range(length)])
        made.append(
            Place(
                b"x",
                standing,
                parent,
                values,
                np.full(length, split),
                np.zeros(length, int),
                np.full(length, 3 * split),
                np.ones(length, bool),
                steps,
            )
        )
        explorer._passed(made[-1], split)
    return made


def test_ways_are_learned_from_where_somebody_went_on(explorer: Explorer) -> None:
    good, bad = ways_past(explorer, [5, 2], [None, None], 0)
    assert explorer.ways == {0: [good, bad]} and explorer.firm == {}
    # Nobody has gone on yet: all count.
    assert sorted(len(way.actions) for way in learnable(explorer, WaysSettings())) == [2, 5]
    (on,) = ways_past(explorer, [4], [good], 1)
    assert explorer.firm == {0: [good]} and (good.beyond, bad.beyond, on.beyond) == (2, 1, 2)
    assert sorted(len(way.actions) for way in learnable(explorer, WaysSettings())) == [5, 9]
    # A second way on confirms the same place no second time.
    ways_past(explorer, [6], [good], 1)
    assert explorer.firm == {0: [good]}
    explorer.envs.close()


def test_of_ways_that_begin_alike_the_shortest_comes_first(explorer: Explorer) -> None:
    one, other = ways_past(explorer, [3, 9], [None, None], 0)
    ways_past(explorer, [1, 2, 3, 4], [one, one, one, other], 1)
    lengths = [len(way.actions) for way in learnable(explorer, WaysSettings(ways=2))]
    assert lengths == [3, 9, 4, 13]  # past the first split both; past the second one of each beginning
    explorer.envs.close()


def test_who_finishes_is_worth_more_than_who_nearly_does() -> None:
    assert trial_return([(1.0, True), (0.0, False)]) == 0.5
    assert trial_return([(0.9, False), (0.9, False)]) == 0.45


def test_a_place_that_leads_nowhere_makes_room(explorer: Explorer) -> None:
    places = [Place(b"x", Standing(np.zeros(10), 0, 2), None, *(np.zeros(0),) * 5, 0) for _ in range(4)]
    for place in places[:3]:
        explorer._pool(place)
    places[1].begun, places[2].begun, places[2].led = 5.0, 5.0, 4.0
    explorer._pool(places[3])
    assert explorer.pool[2] == [places[0], places[2], places[3]]
    explorer.envs.close()


def test_chance_gets_to_the_other_side_from_places_that_were_kept(explorer: Explorer) -> None:
    phase = PhaseSettings(steps=1800, from_power_on=0.2, from_lost=0.1, patience=25, random_actions=(0.0,), sticky=0.0)
    ended = explorer.explore(RandomAgent(8), phase, nothing)
    assert explorer.frontier >= 7 and explorer.done
    assert any(one.finished for one in ended) and any(one.from_power_on for one in ended)
    assert set(explorer.ways) == {0, 1} and all(len(places) <= 3 for places in explorer.pool.values())
    # A way is what was done: played again from power-on it shows the same pictures.
    way = explorer.done[0].way()
    assert len(way.grids) == len(way.actions) == explorer.done[0].steps and (np.diff(way.progress) >= 0).all()
    short = learnable(explorer, WaysSettings())
    assert short and all(len({len(part) for part in one}) == 1 for one in short)
    explorer.envs.close()


def test_who_got_lost_is_begun_from_and_what_goes_on_from_there_is_learned(explorer: Explorer) -> None:
    # Patience runs out before chance gets across, so that most episodes get lost.
    phase = PhaseSettings(steps=1500, from_power_on=0.2, from_lost=0.8, patience=16, random_actions=(0.3,), sticky=0.0)
    explorer.explore(RandomAgent(8), phase, nothing)
    assert explorer.lost and all(place.lost for places in explorer.lost.values() for place in places)
    assert all(len(places) <= explorer.settings.lost for places in explorer.lost.values())
    assert set(explorer.losses) == set(explorer.lost)
    # What is kept of it ends after the last progress, somewhere.
    for places in explorer.lost.values():
        assert all((place.progress[-1:] == place.standing.furthest).all() for place in places)
    assert any(place.recovers for place in explorer.ways[1])
    learned = learnable(explorer, WaysSettings())
    assert any((~way.meant).any() for way in learned) and all(way.meant.any() for way in learned)
    explorer.envs.close()


def test_who_got_lost_before_anything_was_kept_cannot_be_gone_on_from(explorer: Explorer) -> None:
    class Late(Columns):
        """Only the second split is one."""

        def update(self, standings: list[Standing], grids: np.ndarray) -> np.ndarray:
            gained = super().update(standings, grids)
            for standing in standings:
                standing.passed = int(standing.furthest >= 6)
            return gained

    explorer.judge = Late()  # type: ignore[assignment]
    explorer.settings = explorer.settings.model_copy(update={"keep": 0.0})
    phase = PhaseSettings(steps=900, from_power_on=0.3, from_lost=1.0, patience=12, random_actions=(0.3,), sticky=0.0, trials=0)
    ended = explorer.explore(RandomAgent(8), phase, nothing)
    assert explorer.pool and any(
        one.from_power_on and not one.passed for one in ended
    )  # some got to the split, some got lost before
    for place in (place for places in explorer.lost.values() for place in places):
        place.state()  # there is a way back to every one of them
    explorer.envs.close()


def test_ways_that_got_lost_have_a_share_of_their_own(explorer: Explorer) -> None:
    (straight,) = ways_past(explorer, [3], [None], 0)
    astray = Place(
        b"", Standing(np.zeros(10), 0, 2), None, np.stack([grid(7)] * 4), *(np.zeros(4, np.int64),) * 3, np.ones(4, bool), 4, lost=True
    )  # fmt: skip
    (again,) = ways_past(explorer, [2], [astray], 0)
    assert again.recovers and not straight.recovers
    (on,) = ways_past(explorer, [2], [again], 1)
    assert not on.recovers  # it did between splits before
    ways_past(explorer, [2], [straight], 1)
    assert explorer.firm == {0: [straight]} and explorer.recovered == {0: [again]}
    whole = learnable(explorer, WaysSettings())
    assert sorted(len(way.actions) for way in whole) == [3, 5, 6, 8]
    assert [way.meant.tolist() for way in whole if len(way.actions) == 6] == [[False] * 4 + [True] * 2]
    assert sorted(len(way.actions) for way in learnable(explorer, WaysSettings(recovered=0))) == [3, 5, 8]
    explorer.envs.close()


def test_who_is_restless_does_not_do_the_same_in_the_same_picture_again(explorer: Explorer) -> None:
    phase = PhaseSettings(steps=90, from_power_on=1.0, patience=60, random_actions=(0.0,), sticky=0.0, restless=1e6, trials=0)
    begun: list[Any] = []
    begin = explorer._begin
    explorer._begin = lambda *given, **named: begun.append(begin(*given, **named)) or begun[-1]  # type: ignore[method-assign, func-returns-value]
    explorer.explore(RandomAgent(8), phase, nothing)
    counts = np.concatenate([list(episode.chosen.values()) for episode in begun])
    # Every action once before any of them a second time.
    assert counts.sum() >= 80 and (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    explorer.envs.close()


def test_where_few_ways_go_on_is_begun_from_more_often(explorer: Explorer) -> None:
    one, other = ways_past(explorer, [3, 4], [None, None], 0)
    ways_past(explorer, [1], [one], 1)
    place = Place(b"x", Standing(np.zeros(10), 0, 2), None, *(np.zeros(0),) * 5, 0)
    assert (
        explorer.need(place) == 1 / 2 and explorer.need(other) == 1.0
    )  # one way goes on past the first split, none past the second
    explorer.envs.close()


@pytest.mark.parametrize("learned", [True, False])
def test_what_was_left_to_chance_is_learned_where_the_phase_says_so(explorer: Explorer, learned: bool) -> None:
    phase = PhaseSettings(
        steps=900, from_power_on=0.3, patience=25, random_actions=(0.5,), sticky=0.0, learn_chance=learned, trials=0
    )
    explorer.explore(RandomAgent(8), phase, nothing)
    meant = np.concatenate([place.meant for places in explorer.ways.values() for place in places])
    assert meant.all() if learned else 0.2 < meant.mean() < 0.8
    explorer.envs.close()


def test_what_was_found_is_kept_over_a_kill(explorer: Explorer) -> None:
    phase = PhaseSettings(steps=600, from_cells=0.5, patience=15, random_actions=(0.2,))
    explorer.explore(RandomAgent(8), phase, nothing)
    saved = explorer.tensors()
    twin = Explorer(explorer.envs, explorer.perception, explorer.judge, explorer.settings, np.random.default_rng(1), 4)
    twin.restore(saved)
    explorer.rng = np.random.default_rng(1)
    results = [one.explore(RandomAgent(8), phase, nothing) for one in (explorer, twin)]
    assert results[0] == results[1] and explorer.tried == twin.tried
    after = [one.tensors() for one in (explorer, twin)]
    assert all(torch.equal(after[0][name], after[1][name]) for name in after[0])
    explorer.envs.close()


# --- the stage ---------------------------------------------------------------------------------------------------

EXPLORE = ExploreSettings(
    rounds=2, first=FirstPhaseSettings(steps=120, patience=12), later=PhaseSettings(steps=120, patience=12),
    archive=ArchiveSettings(per_position=2),
    learn=WaysSettings(steps=3, batch_size=2, window=8, warmup_steps=1), consoles=2,
)  # fmt: skip


def inputs_with_footage(folder: Path) -> dict[str, Any]:
    inputs = rl_fixtures.tiny_inputs(folder, remembering=True)
    inputs["frames"] = rl_fixtures.artifact(folder / "frames" / "v1", "frames")
    write_frames(inputs["frames"].folder, walks(3, 30))
    reader = FrameReader(inputs["frames"].folder)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"))
    output = rl_fixtures.output(folder / "tokens")
    write_tokens(output, reader, inputs["frames"], tokenizer, Tracker.silent())
    (output.folder / "tokens").rename(inputs["tokenizer"].folder / "tokens")
    rows = [
        {"video": video.id, "frame": at, "action": at % 8, "confidence": 0.9, "split": "train"}
        for video in reader.videos
        for at in range(20)
    ]
    pd.DataFrame(rows).to_parquet(inputs["behavior"].folder / "labels.parquet")
    # Every new picture moves this judge on: it knows them all, and none belongs anywhere.
    torch.manual_seed(0)
    model = PositionModel(rl_fixtures.VOCAB, 12, 4, 4, 8).eval()
    (inputs["reward"].folder / "course").mkdir()
    SplitJudge(model, [], np.zeros((1, 9, 10), np.uint16), 0.0, JudgeSettings()).save(inputs["reward"].folder / "course")
    return inputs


def settings(rom: Path, **changes: Any) -> PolicySettings:
    options: dict[str, Any] = {
        "emulator": EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4), "device": "cpu", "num_envs": 2, "episode_steps": 20,
        "evaluation_episodes": 2, "method": "explore", "explore": EXPLORE,
    }  # fmt: skip
    return PolicySettings(**(options | changes))


def test_a_killed_exploration_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rom, inputs = rl_fixtures.rom(tmp_path), inputs_with_footage(tmp_path / "store")
    whole = rl_fixtures.output(tmp_path / "whole")
    stage.run(settings(rom), inputs, whole, Tracker.silent())
    assert len(json.loads((whole.folder / "trials.json").read_text())) == 3
    assert whole.metrics["updates"] == 2 and whole.metrics["env_steps"] == 3 * 120
    assert {"return_mean", "course_mean", "course_mean_clone", "finished_ways", "frontier"} <= whole.metrics.keys()

    killed = rl_fixtures.output(tmp_path / "killed")
    learn, calls = exploring.learn_ways, []

    def dies(*arguments: Any, **named: Any) -> float:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(*arguments, **named)

    monkeypatch.setattr(exploring, "learn_ways", dies)
    with pytest.raises(KeyboardInterrupt):
        stage.run(settings(rom), inputs, killed, Tracker.silent())
    assert not (killed.folder / "policy").exists()
    stage.run(settings(rom), inputs, killed, Tracker.silent())
    assert len(calls) == 3  # the first round was not made again
    files = [load_file(one.folder / "policy" / "model.safetensors") for one in (whole, killed)]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])
    for name in ("history.json", "trials.json"):
        assert (whole.folder / name).read_text() == (killed.folder / name).read_text()


@pytest.mark.parametrize(("what", "call"), [("phase", 10), ("phase", 55), ("learn", 3)])
def test_who_is_asked_to_end_goes_on_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, call: int) -> None:
    """SIGTERM in the first phase, in a later one, and while a round learns: not one action and not one batch is made again."""
    rom, inputs = rl_fixtures.rom(tmp_path), inputs_with_footage(tmp_path / "store")
    whole = rl_fixtures.output(tmp_path / "whole")
    made = {"phase": 0, "learn": 0}
    act, noise = Explorer.explore, exploring.wrong_tokens

    def explore(self: Explorer, *arguments: Any, **named: Any) -> Any:
        step = self.envs.step

        def counted(*actions: Any) -> Any:
            made["phase"] += 1
            if what == "phase" and made["phase"] == call:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(*actions)

        monkeypatch.setattr(self.envs, "step", counted)
        try:
            return act(self, *arguments, **named)
        finally:
            monkeypatch.setattr(self.envs, "step", step)

    def following(*arguments: Any) -> Any:
        made["learn"] += 1
        if what == "learn" and made["learn"] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return noise(*arguments)

    monkeypatch.setattr(Explorer, "explore", explore)
    monkeypatch.setattr(exploring, "wrong_tokens", following)
    ended = rl_fixtures.output(tmp_path / "ended")
    with pytest.raises(interrupt.Terminated), interrupt.handled():
        stage.run(settings(rom), inputs, ended, Tracker.silent())
    assert made[what] == call
    stage.run(settings(rom), inputs, ended, Tracker.silent())
    counts = dict(made)
    made.update(phase=-(10**6), learn=-(10**6))
    stage.run(settings(rom), inputs, whole, Tracker.silent())
    assert counts == {name: number + 10**6 for name, number in made.items()}
    assert ended.metrics["env_steps"] == whole.metrics["env_steps"] and ended.metrics["updates"] == whole.metrics["updates"]
    if what == "learn":  # networks see the same batches again: to the bit
        files = [load_file(one.folder / "policy" / "model.safetensors") for one in (whole, ended)]
        assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def put_down_and_taken_up(folder: Path, every: int) -> tuple[list[Any], dict[str, torch.Tensor], int]:
    """A phase that is put down after `every` turns (0: never): the episodes that ended, everything it leaves, and the turns."""
    folder.mkdir()
    phase = PhaseSettings(
        steps=300,
        from_power_on=0.5,
        from_lost=0.5,
        from_cells=0.5,
        patience=12,
        random_actions=(0.3,),
        sticky=0.2,
        trials=1,
        restless=0.5,
    )
    turns = 0
    tensors: dict[str, torch.Tensor] = {}

    def new() -> Explorer:
        rom = rl_fixtures.rom(folder)
        envs = ThreadedVectorEnv(rom, 3, SKIP, 4, facts=False, autoreset_mode=AutoresetMode.DISABLED, copy=False)
        perception = Perception(Cells(), lambda frames: torch.zeros(len(frames)))
        return Explorer(envs, perception, Columns(), ArchiveSettings(per_position=3), np.random.default_rng(0), wait_ticks=4)  # type: ignore[arg-type]

    def pause() -> None:
        nonlocal turns
        turns += 1
        if every and turns % every == 0:
            tensors.clear()
            tensors.update(here.tensors())
            raise KeyboardInterrupt

    here = new()
    while True:
        try:
            ended = here.explore(RandomAgent(8), phase, nothing, pause=pause)
        except KeyboardInterrupt:
            before, here = here, new()
            here.rng.bit_generator.state = before.rng.bit_generator.state
            here.restore({name: tensor.clone() for name, tensor in tensors.items()})
            before.envs.close()
            continue
        left = here.tensors()
        here.envs.close()
        return ended, left, turns


def test_a_phase_put_down_and_taken_up_is_the_phase(tmp_path: Path) -> None:
    """The same episodes, places, ways and counters as of a phase that nobody put down."""
    ended, left, turns = put_down_and_taken_up(tmp_path / "whole", 0)
    again, same, more = put_down_and_taken_up(tmp_path / "parts", 17)
    assert turns == 100 and more == 100 + 6  # a turn that is put down is seen twice, and played once
    assert ended == again and left.keys() == same.keys()
    for name in ("in_pool", "in_ways", "in_lost", "tried", "losses", "counters", "actions", "progress", "steps"):
        assert torch.equal(left[name], same[name]), name


def test_only_a_policy_that_remembers_explores(tmp_path: Path) -> None:
    inputs = rl_fixtures.tiny_inputs(tmp_path / "store")
    with pytest.raises(
        InputError, match=r"policy\.method: explore, expected ppo, because the policy of behavior@v1 does not remember"
    ):
        stage.run(settings(rl_fixtures.rom(tmp_path)), inputs, rl_fixtures.output(tmp_path / "out"), Tracker.silent())


def test_exploring_goes_on_from_what_was_scouted_with_the_same_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rom, inputs = rl_fixtures.rom(tmp_path), inputs_with_footage(tmp_path / "store")
    perception, spec = load_perception(inputs, torch.device("cpu"))
    clone = load_policy(inputs["behavior"], perception, torch.device("cpu"))
    envs = consoles(settings(rom).emulator, spec, 2)
    how = ScoutSettings(steps=120, consoles=2, patience=12, archive=EXPLORE.archive)
    judge = load_judge(inputs["reward"], torch.device("cpu"))
    collector = Collector(spec, 10, 1, np.random.default_rng(0), 60)
    options = {"collector": collector, "seed": 0, "tracker": Tracker.silent()}
    places = scout(clone, envs, perception, judge, how, **options)  # type: ignore[arg-type]
    more = scout(clone, envs, perception, judge, how, known=places, **options)  # type: ignore[arg-type]
    assert more["counters"][2] == 2 * places["counters"][2] == 240  # steps: it went on from there
    envs.close()

    write_scouted(inputs["behavior"].folder / SCOUTED, places, inputs)
    begun: list[int] = []
    restore = Explorer.restore
    monkeypatch.setattr(Explorer, "restore", lambda self, tensors: begun.append(len(tensors["parent"])) or restore(self, tensors))
    output = rl_fixtures.output(tmp_path / "on")
    stage.run(settings(rom), inputs, output, Tracker.silent())
    assert begun == [len(places["parent"])] and output.metrics["env_steps"] == 3 * 120  # the scout's are not counted
    explore = EXPLORE.model_copy(update={"scouted": False})
    stage.run(settings(rom, explore=explore), inputs, rl_fixtures.output(tmp_path / "anew"), Tracker.silent())
    assert len(begun) == 1
    inputs["reward"].manifest["digest"] = "another judge's"
    assert read_scouted(inputs["behavior"].folder / SCOUTED, inputs) is None
    stage.run(settings(rom), inputs, rl_fixtures.output(tmp_path / "other"), Tracker.silent())
    assert len(begun) == 1


def test_a_phase_with_enough_ways_lets_its_trials_end(explorer: Explorer) -> None:
    place = Place(
        b"", explorer.judge.begin(), None, np.zeros((0, 9, 10), np.int16), *(np.zeros(0, np.int64),) * 3, np.zeros(0, bool), 0
    )
    explorer.done.append(place)
    phase = PhaseSettings(steps=3_000, patience=12, enough=1, trials=2)
    ended = explorer.explore(RandomAgent(8), phase, nothing)
    trials = [one for one in ended if one.trial]
    assert len(trials) == 2 and all(one.steps >= 12 for one in trials)
    assert explorer.steps < 3_000  # and no longer
