"""Runs brought side by side: paths by hand, and made-up runs whose course is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.footage.alignment import AlignmentSettings, align, best_path, transition_log_probs
from emurl.footage.splits import SplitSettings, find_splits, unique_grids
from emurl.rewards.splits import likeness
from tests.fixtures.course import PLACES, VOCAB, made_up_run

SETTINGS = AlignmentSettings(positions=24, rounds=3, steps=60, batch_size=64, width=32, dim=16, token_dim=8, eval_every=1000)


def learn(runs, output):
    grids = [grids for grids, _ in runs]
    return align(grids, VOCAB, SETTINGS, device=torch.device("cpu"), output=output, tracker=Tracker.silent())


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned")
    output = Output(folder / "files", folder / "scratch")
    output.scratch.mkdir()
    runs = [made_up_run(seed) for seed in range(6)]
    model, paths = learn(runs, output)
    return model, runs, paths


def test_the_likeliest_path_by_hand():
    # Three positions; the second frame could be of the first or the third, and only one step at a time is allowed.
    likely = np.log(np.array([[0.8, 0.1, 0.1], [0.4, 0.15, 0.45], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))
    assert best_path(likely, np.log([0.5, 0.5])).tolist() == [0, 0, 1, 2]
    # Without any way to the end it ends where it got.
    assert best_path(likely[:2], np.log([0.5, 0.5])).tolist() == [0, 1]


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 12))
def test_a_path_never_goes_back_nor_too_far(seed, frames, positions):
    rng = np.random.default_rng(seed)
    settings = AlignmentSettings()
    path = best_path(rng.normal(size=(frames, positions)), transition_log_probs(positions, float(frames + positions), settings))
    assert path[0] == 0 and len(path) == frames
    assert (np.diff(path) >= 0).all() and np.diff(path).max(initial=0) <= settings.max_advance


def test_transitions_take_a_run_to_the_end():
    chances = np.exp(transition_log_probs(100, 400.0, AlignmentSettings(max_advance=2, advance_decay=0.5)))
    assert chances.sum() == pytest.approx(1.0) and chances[1] == pytest.approx(2 * chances[2])
    assert 0.0 < np.exp(transition_log_probs(400, 100.0, AlignmentSettings()))[0] < 0.01  # shorter than the course: few stay


def test_the_same_place_of_every_run_gets_the_same_position(aligned):
    _, runs, paths = aligned
    # The road passes place 2 twice, in the third part and in the fifth.
    positions = [
        [float(np.median(path[places == part])) for part in range(len(PLACES))]
        for (_, places), path in zip(runs, paths, strict=True)
    ]
    assert np.ptp(np.array(positions), axis=0).max() <= 3
    assert (np.diff(np.median(positions, axis=0)) > 0).all()


def test_a_place_that_comes_twice_is_ambiguous_and_those_that_come_once_are_splits(aligned):
    model, runs, paths = aligned
    grids, places = runs[0]
    median = [float(np.median(paths[0][places == part])) for part in range(len(PLACES))]
    twice = [part for part in range(len(PLACES)) if PLACES.count(PLACES[part]) == 2]
    ratio = np.exp(model.log_ratios(grids[places == twice[0]][:1])[0])
    near = [ratio[max(0, round(median[part]) - 2) : round(median[part]) + 3].max() for part in twice]
    assert min(near) > 1.0  # both are likelier than on average

    all_grids = [one for one, _ in runs]
    familiar = [likeness(run, unique_grids(all_grids[:i] + all_grids[i + 1 :])) >= 0.9 for i, run in enumerate(all_grids)]
    found = find_splits([model.log_ratios(run) for run in all_grids], paths, familiar, 7.5, 2, SplitSettings(min_log_ratio=1.7))
    assert found and [split.position for split in found] == sorted(split.position for split in found)
    # Seven parts: a place that comes once is seven times likelier there than on average (1.95 nats), one that comes twice half as much.
    inner = [part for part in range(1, len(PLACES)) if part not in twice]
    for part in inner:
        assert min(abs(split.position - median[part]) for split in found) <= 3


def test_the_same_seed_gives_the_same_positions(aligned, tmp_path):
    model, runs, _ = aligned
    output = Output(tmp_path / "files", tmp_path / "scratch")
    output.scratch.mkdir()
    again, _ = learn(runs, output)
    assert all(
        torch.equal(one, other) for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


def made_up_ratios(runs: int, lacking: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Runs of 8 frames, one a position, whose picture at position 3 belongs there, but in `lacking` of them."""
    ratios = [np.zeros((8, 8)) for _ in range(runs)]
    for run in ratios[lacking:]:
        run[3, 3] = 4.0
    return ratios, [np.arange(8)] * runs, [np.ones(8, bool)] * runs


def test_an_odd_run_does_not_cost_the_others_a_split() -> None:
    assert [split.position for split in find_splits(*made_up_ratios(13, 0), 7.5, 1, SplitSettings())] == [3]
    (split,) = find_splits(*made_up_ratios(13, 1), 7.5, 1, SplitSettings())
    assert (split.position, split.threshold) == (3, 2.5)  # of the worst run that has it, less the margin
    assert find_splits(*made_up_ratios(13, 2), 7.5, 1, SplitSettings()) == []
    assert find_splits(*made_up_ratios(12, 1), 7.5, 1, SplitSettings()) == []  # a dozen runs may not lack any


def test_a_split_is_sought_near_its_position_and_no_further() -> None:
    ratios, paths, familiar = made_up_ratios(3, 0)
    ratios[0] = np.roll(ratios[0], 2, axis=0)  # its picture comes two positions later
    found = [find_splits(ratios, paths, familiar, 7.5, 1, SplitSettings(window=window)) for window in (1, 2)]
    assert [len(splits) for splits in found] == [0, 1]


def test_a_path_may_begin_and_end_anywhere_if_asked():
    on = np.full((4, 5), -9.0)
    on[[0, 1, 2, 3], [1, 1, 2, 3]] = 0.0
    transitions = transition_log_probs(5, 10.0, AlignmentSettings())
    assert best_path(on, transitions, begins=False, ends=False).tolist() == [1, 1, 2, 3]
    assert best_path(on, transitions, ends=False).tolist()[0] == 0 and best_path(on, transitions, begins=False).tolist()[-1] == 4
    assert best_path(on, transitions).tolist()[::3] == [0, 4]
