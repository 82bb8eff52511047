"""Judging the judge: measures by hand, and one that knows nothing on real runs."""

import numpy as np
import pytest

from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.games import game_of_title
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.position import PositionModel
from emurl.pipelines.speedrun.judging import METRICS, JudgingSettings, Watched, _Watcher, aliasing, judge_the_judge
from emurl.pipelines.speedrun.ranks import rank_correlation, separation
from emurl.rewards.splits import JudgeSettings, SplitJudge
from emurl.screen import ScreenSpec


def test_ranks_by_hand():
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 1, 1], [3, 2, 1]) == 0.0
    # Of the six pairs four are in order and one is a tie.
    assert separation(np.array([1.0, 3.0]), np.array([2.0, 3.0, 4.0])) == pytest.approx(4.5 / 6)
    assert separation(np.zeros(3), np.zeros(4)) == 0.5


def test_aliasing_is_of_the_map_where_it_is_hardest():
    # The town is seen before and after the first milestone; a judge that tells the two apart, and one that does not.
    maps = ["house"] * 4 + ["town"] * 4 + ["lodge"] * 4 + ["town"] * 4
    milestones = [0] * 10 + [1] * 6
    told = Watched(list(np.linspace(0, 1, 16)), milestones, maps)
    alike = Watched([0.0] * 4 + [0.5] * 4 + [0.7] * 4 + [0.5] * 4, milestones, maps)
    assert aliasing([told], least=4) == 1.0 and aliasing([alike], least=4) == 0.5
    assert aliasing([told, alike], least=4) == 0.75
    assert aliasing([alike], least=5) == 1.0  # no map was seen often enough


def coarse(frames):
    return frames.reshape(len(frames), 9, 16, 10, 16).max(axis=(2, 4)).astype(np.int64)


def knows_nothing():
    return SplitJudge(PositionModel(4, 16, 4, 4, 8).eval(), [], np.full((1, 9, 10), 99), 0.9, JudgeSettings())


def test_who_waits_does_not_hold_what_the_bot_held():
    game, emulator, spec = game_of_title("MOSSDALE"), EmulatorSettings(rom="embedded", frame_skip=16), ScreenSpec()
    reader, states = game.reader(), []

    def look(console):
        facts = reader.read(console)
        walking = facts["map"] == 1 and facts["mode"] == 3 and facts["step_left"] == 1
        if not states and walking:  # in the bedroom, where there is room
            states.append(console.save())

    def where(state):
        console = GameBoy(rom_path(emulator), spec)
        console.load(state)
        facts = reader.read(console)
        console.close()
        return facts["y"], facts["x"]

    console = GameBoy(rom_path(emulator), spec)
    game.bot(console, 90_000, look, render_every=0)
    for button in ("left", "right", "up", "down"):
        console.load(states[0])
        for one in BUTTONS:
            console.release(one)
        console.press(button)
        console.tick(4)
        states.append(console.save())
        console.tick(200)  # whoever holds it on goes on until something is in the way
        states.append(console.save())
    console.close()
    watcher = _Watcher(knows_nothing(), coarse, reader, emulator)
    rested = [where(watcher.rest(spec, state, watcher.judge.begin(), 13)[0]) for state in states[1::2]]
    held = [where(state) for state in states[2::2]]
    start = where(states[0])
    assert max(abs(y - start[0]) + abs(x - start[1]) for y, x in held) > 3  # there was room
    # The step that was under way, and the one that the four frames began.
    assert all(abs(y - start[0]) + abs(x - start[1]) <= 2 for y, x in rested)


def test_a_judge_that_knows_nothing_is_found_out():
    asked = JudgingSettings(bot_runs=1, chance_steps=20, loop_runs=1, loop_starts=1, loop_steps=12)
    judge = knows_nothing()
    game = game_of_title("MOSSDALE")
    emulator = EmulatorSettings(rom="embedded", frame_skip=16)
    told = judge_the_judge(judge, coarse, game, emulator, ScreenSpec(), asked, 0, Tracker.silent())
    # It has seen no frame that looks like anything here, so nothing ever moves it.
    assert told == {
        "spearman_ram": 0.0, "spearman_ram_chance": 0.0, "aliasing_auc": 0.5, "farming_gain_max": 0.0, "bot_end": 0.0,
    }  # fmt: skip
    assert told.keys() == METRICS.keys()
