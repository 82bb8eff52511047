"""Frames and what came after them, by hand."""

import numpy as np

from emurl.footage.dataset import FrameReader
from emurl.footage.transitions import past, transitions
from tests.fixtures.learning import walks, write_frames


def test_windows_of_the_past():
    assert past(np.array([9, 1, 4]), 3, 2).tolist() == [[5, 7, 9], [1, 1, 1], [0, 2, 4]]


def test_transitions_skip_what_is_no_game(tmp_path, monkeypatch):
    reader = FrameReader(write_frames(tmp_path, walks(2, steps=10)).folder)
    flags = np.zeros(reader.videos[0].count, np.uint8)
    flags[3], flags[5] = 4, 1  # not the game; blank
    monkeypatch.setattr(reader, "flags", lambda video: flags)
    _, index = transitions(reader, "train", 2)
    assert 1 not in index and 3 not in index  # to it, from it
    assert {0, 2, 4, 5} <= set(index.tolist()) and index.max() == len(flags) - 3
