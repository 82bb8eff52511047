"""The judge with a memory: it cannot be talked into progress that was not made."""

import json

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.models.position import PositionModel
from emurl.rewards.splits import JudgeSettings, Split, SplitJudge, likeness

K = 12
EASY = JudgeSettings(advance=(0.5, 0.5))


class OneEach:
    """Stands in for a position model: the grid filled with token k is of position k, and 99 of none."""

    positions = K

    def log_ratios(self, grids):
        ratios = np.full((len(grids), K), -6.0)
        for row, grid in enumerate(grids):
            values, counts = np.unique(grid, return_counts=True)
            for value in values[counts > 20]:
                ratios[row, value % K] = 2.0
        return ratios


def grid(position, change=0):
    """A picture of a position; each `change` is another one of the same place."""
    filled = np.full((9, 10), position, np.int64)
    filled.reshape(-1)[:change] = 50
    return filled


KNOWN = np.stack([grid(position) for position in range(K)])


def judge(splits=(), settings=EASY):
    return SplitJudge(OneEach(), [Split(at, 1.0, 0.0) for at in splits], KNOWN, 0.9, settings)


def play(one, grids):
    standing = one.begin()
    furthest = []
    for seen in grids:
        one.update([standing], seen[None])
        furthest.append(standing.furthest)
    return standing, furthest


def road(until, each=3):
    return [grid(position, change) for position in range(until + 1) for change in range(each)]


def test_the_road_is_followed_to_its_end():
    one = judge(splits=(3, 7))
    standing, furthest = play(one, road(K - 1))
    assert furthest == sorted(furthest) and standing.furthest == K - 1 and standing.passed == 2
    assert one.progress(standing) == 1.0


def test_progress_tells_moments_of_one_position_apart_and_never_falls():
    one = judge(settings=JudgeSettings(advance=(0.9, 0.1)))
    standing, told = one.begin(), []
    for seen in road(K - 1, each=6):
        one.update([standing], seen[None])
        told.append(one.progress(standing) * (K - 1))
        assert standing.furthest <= told[-1] < standing.furthest + 1 or standing.furthest == K - 1
    assert told == sorted(told) and len(set(told)) > 2 * K
    one.update([standing], grid(1, 9)[None])  # back again
    assert one.progress(standing) == told[-1] / (K - 1) and standing.copy().reached == standing.reached


def test_waiting_and_walking_to_and_fro_gain_nothing():
    one = judge()
    standing, _ = play(one, road(4))
    before, belief = standing.furthest, standing.belief.copy()
    for seen in [grid(4), grid(3), grid(4), grid(3, 1), grid(4, 2)] * 20:  # all seen before
        assert one.update([standing], seen[None])[0] == 0
    assert standing.furthest == before and np.array_equal(standing.belief, belief)


def test_what_looks_like_nothing_of_the_footage_says_nothing():
    one = judge()
    standing, _ = play(one, road(2))
    belief = standing.belief.copy()
    rng = np.random.default_rng(0)
    for _ in range(200):
        one.update([standing], rng.integers(60, 99, (1, 9, 10)))
    assert np.array_equal(standing.belief, belief)
    # Half of the picture is of a later place (a menu over it, say): not alike enough.
    half = grid(9)
    half[:4] = 70
    one.update([standing], half[None])
    assert np.array_equal(standing.belief, belief)


def test_nobody_gets_past_a_split_that_was_not_passed():
    # Position 5 is never shown; the pictures after it are.
    jumping = road(4) + [grid(position, change) for position in range(6, K) for change in range(8)]
    assert play(judge(), jumping)[0].furthest == K - 1
    stopped, _ = play(judge(splits=(5, 11), settings=JudgeSettings(advance=(0.5, 0.5), skip=0)), jumping)
    assert stopped.furthest == 4 and stopped.passed == 0
    # One may be gone without where the next one is seen.
    skipped, _ = play(judge(splits=(5, 8), settings=EASY), jumping)
    assert skipped.passed == 2 and skipped.furthest == K - 1


def without(*positions, settings):
    """Splits passed by a run that never shows these positions, where every position is a split."""
    one = judge(splits=range(1, K), settings=settings)
    shown = [seen for seen in road(K - 1, each=8) if not np.isin(seen[-1, -1], positions)]
    return play(one, shown)[0]


def test_who_goes_without_several_splits_shows_as_many_more_of_the_next():
    once = JudgeSettings(advance=(0.5, 0.3, 0.1, 0.1), skip=1, confirmations=1)
    assert without(5, 6, settings=once).passed == K - 1  # lacks one, which position 8 confirms after 7
    assert without(5, 6, settings=once.model_copy(update={"confirmations": 0})).passed == 4
    # Of three in a row two are to be made up for: 9 and 10 do, where 8 was shown; one of them does not.
    assert without(5, 6, 7, settings=once).passed == K - 1
    assert without(5, 6, 7, 10, 11, settings=once).passed == 4
    twice = once.model_copy(update={"confirmations": 2})
    assert without(5, 6, 9, 10, 11, settings=twice).passed == 4 and without(5, 6, settings=twice).passed == K - 1


def test_a_later_picture_confirms_nothing_alone_nor_out_of_order():
    one = judge(splits=range(1, K), settings=JudgeSettings(advance=(0.5, 0.5), skip=1, confirmations=1))
    standing, _ = play(one, road(2))
    for change in range(9):  # the same one, again and again, and then those before it
        one.update([standing], grid(6, change)[None])
    assert standing.passed == 2 and standing.lacking == {5: 2}
    for position in (9, 8, 7):
        one.update([standing], grid(position)[None])
    assert standing.passed == 2 and standing.copy().lacking == standing.lacking
    one.update([standing], grid(3)[None])  # and whoever comes as was expected needs none
    assert standing.passed == 3 and standing.lacking == {}


def test_a_frame_off_the_course_leaves_the_belief_where_it_is():
    one = judge()
    standing, _ = play(one, road(3))
    for change in range(4):
        one.update([standing], grid(10, change)[None])  # known, but far from here
    assert standing.furthest == 3


def test_progress_is_paid_once_and_episodes_are_apart():
    one = judge()
    first, second = one.begin(), one.begin()
    gained = np.zeros(2, int)
    for position in range(4):
        for change in range(3):
            gained += one.update([first, second], np.stack([grid(position, change), grid(0, change)]))
    assert gained.tolist() == [first.furthest, 0] and first.furthest == 3
    copied = first.copy()
    one.update([copied], grid(4)[None])
    assert len(copied.seen) == len(first.seen) + 1


def test_likeness_by_hand():
    assert likeness(np.stack([grid(3), grid(3, 9)]), KNOWN) == pytest.approx([1.0, 0.9])
    assert likeness(grid(70)[None], KNOWN) == pytest.approx([0.0]) and likeness(grid(1)[None], KNOWN[:0]) == pytest.approx([0.0])


def test_a_judge_is_saved_and_read(tmp_path):
    model = PositionModel(16, K, 4, 4, 8)
    one = SplitJudge(model.eval(), [Split(3, 0.5, 1.5)], KNOWN % 16, 0.9, EASY)
    one.save(tmp_path, fps=7.5)
    again = SplitJudge.from_folder(tmp_path)
    assert again.splits == one.splits and again.settings == EASY and np.array_equal(again.known, one.known)
    grids = np.random.default_rng(0).integers(0, 16, (5, 9, 10))
    assert np.allclose(again.model.log_ratios(grids), model.log_ratios(grids))
    told = json.loads((tmp_path / "splits.json").read_text())
    assert told["splits"][0] == {"position": 3, "threshold": 0.5, "seconds": 1.5} and told["fps"] == 7.5
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(InputError, match="run the reward stage again"):
        SplitJudge.from_folder(tmp_path)


def test_ratios_are_of_the_average():
    # Where the network says nothing, every position is as likely as any other, whatever the prior.
    model = PositionModel(16, K, 4, 4, 8).eval()
    ratios = np.exp(model.log_ratios(np.random.default_rng(0).integers(0, 16, (5, 9, 10))))
    assert ratios.mean(axis=1) == pytest.approx(np.ones(5))
