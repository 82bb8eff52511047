"""Sequences of labeled footage: whole videos window after window, unlabeled frames thinned, the same again after a kill."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from emurl.footage.sequences import UNLABELED, Sequence, Streams, labeled_sequences, thinned

LENGTH = 5


class Numbered:
    """Tokens whose every cell is the number of its frame; video 1 has frames that are no game."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        flags = [np.zeros(count, np.uint8) for count in counts]
        flags[-1][3:6] = 255
        videos = [SimpleNamespace(count=count) for count in counts]
        self.reader = SimpleNamespace(videos=videos, flags=lambda video: flags[video])

    def read(self, video: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.broadcast_to((video * 1000 + index)[:, None, None], (len(index), 9, 10)).copy()


@pytest.fixture
def labels() -> pd.DataFrame:
    rows = [(0, frame, frame % 8, "train") for frame in range(0, 40, 2)] + [(1, frame, 1, "train") for frame in (1, 7, 9)]
    return pd.DataFrame([*rows, (1, 2, 3, "val")], columns=["video", "frame", "action", "split"])


def streams(sequences: list[Sequence], count: int = 3) -> Streams:
    tokens = Numbered((41, 12))
    ones = {0: np.ones(41), 1: np.full(12, 0.5)}
    return Streams(sequences, tokens, np.arange(1.0, 9.0), ones, count, LENGTH, hidden=2)  # type: ignore[arg-type]


def test_a_video_gives_a_sequence_for_every_frame_an_action_may_begin_at(labels: pd.DataFrame) -> None:
    found = labeled_sequences(labels, Numbered((41, 12)), "train", 2)  # type: ignore[arg-type]
    assert [(one.video, int(one.frames[0]), len(one.frames)) for one in found] == [(0, 0, 21), (1, 1, 4)]
    assert found[1].frames.tolist() == [1, 7, 9, 11]  # 3 and 5 are no game; the odd frames of video 0 have no label at all
    assert found[1].actions.tolist() == [1, 1, 1, UNLABELED]


def test_thinning_spares_every_label() -> None:
    actions = np.array([UNLABELED, 2, UNLABELED, UNLABELED, 5] * 40)
    rng = np.random.default_rng(0)
    sequence = Sequence(0, np.arange(200), actions)
    assert thinned(sequence, 0.0, rng).actions.tolist() == [2, 5] * 40
    assert len(thinned(sequence, 1.0, rng).frames) == 200
    assert 20 < (thinned(sequence, 0.5, rng).actions == UNLABELED).sum() < 100


def test_windows_follow_each_other_to_the_end_and_memory_is_kept_between_them(labels: pd.DataFrame) -> None:
    read = streams(labeled_sequences(labels, Numbered((41, 12)), "train", 2), count=1)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    seen: list[int] = []
    for _ in range(40):
        going_on = int(read.kept["sequence"][0]) >= 0
        read.kept["state"][:] = 7.0
        window = read.next(rng)
        assert (read.kept["state"] == (7.0 if going_on else 0.0)).all()
        frames = window.grids[:, 0, 0, 0]
        n = int((frames > 0).sum()) if not going_on and frames[0] else LENGTH
        if going_on and frames[0]:
            assert frames[0] > seen[-1]  # the same video, further on
        seen += [int(frame) for frame in frames if frame]
        for t in range(n):
            weight = window.weights[t, 0]
            if weight:
                assert weight == pytest.approx((window.actions[t, 0] + 1) * (0.5 if frames[t] >= 1000 else 1.0))
    assert max(seen) == 1011 and 40 in seen


def test_a_checkpoint_goes_on_with_the_very_same_windows(labels: pd.DataFrame) -> None:
    found = labeled_sequences(labels, Numbered((41, 12)), "train", 2)  # type: ignore[arg-type]
    one, other = streams(found), streams(found)
    rng = np.random.default_rng(1)
    for _ in range(4):
        one.next(rng)
    for name, tensor in one.kept.items():
        other.kept[name] = tensor.clone()
    again = np.random.default_rng()
    again.bit_generator.state = rng.bit_generator.state
    for _ in range(6):
        first, second = one.next(rng), other.next(again)
        assert np.array_equal(first.grids, second.grids) and np.array_equal(first.weights, second.weights)
