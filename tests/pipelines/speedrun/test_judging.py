"""Judging the judge: measures by hand, and one that knows nothing on real runs."""

import numpy as np
import pytest

from emurl.core.tracking import Tracker
from emurl.games import game_of_title
from emurl.games.settings import EmulatorSettings
from emurl.models.position import PositionModel
from emurl.pipelines.speedrun.judging import METRICS, JudgingSettings, Watched, aliasing, judge_the_judge
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


def test_a_judge_that_knows_nothing_is_found_out():
    def coarse(frames):
        return frames.reshape(len(frames), 9, 16, 10, 16).max(axis=(2, 4)).astype(np.int64)

    asked = JudgingSettings(bot_runs=1, chance_steps=20, loop_runs=1, loop_starts=1, loop_steps=12)
    judge = SplitJudge(PositionModel(4, 16, 4, 4, 8).eval(), [], np.full((1, 9, 10), 99), 0.9, JudgeSettings())
    game = game_of_title("MOSSDALE")
    emulator = EmulatorSettings(rom="embedded", frame_skip=16)
    told = judge_the_judge(judge, coarse, game, emulator, ScreenSpec(), asked, 0, Tracker.silent())
    # It has seen no frame that looks like anything here, so nothing ever moves it.
    assert told == {
        "spearman_ram": 0.0, "spearman_ram_chance": 0.0, "aliasing_auc": 0.5, "farming_gain_max": 0.0, "bot_end": 0.0,
    }  # fmt: skip
    assert told.keys() == METRICS.keys()
