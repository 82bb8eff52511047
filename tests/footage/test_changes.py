"""Changes that tokens do not tell, on frames made by hand."""

from pathlib import Path

import numpy as np
import pytest

from emurl.footage.changes import blind_changes
from emurl.footage.dataset import FrameReader
from tests.fixtures.learning import write_frames


def seen(tmp_path: Path, frames: np.ndarray) -> FrameReader:
    write_frames(tmp_path, [frames, frames])
    return FrameReader(tmp_path)


def darkest(frames: np.ndarray) -> np.ndarray:
    """A token is the darkest shade of its cell."""
    return np.asarray(frames).reshape(-1, 9, 16, 10, 16).min(axis=(2, 4))


def test_a_lamp_and_a_letter(tmp_path):
    frames = np.full((6, 144, 160), 3, np.uint8)
    frames[1:, :4, :4] = 0  # told: white to black
    frames[2:, 20:24, :4] = 2  # told: the darkest is another shade
    frames[3:, 8:12, :4] = 1  # not told: the cell has black in it already
    frames[4:, 100, :7] = 0  # too few pixels
    frames[5] = 0  # every cell
    assert blind_changes(darkest, seen(tmp_path, frames), "val", 1, 8, 4) == pytest.approx(1 / 3)


def test_the_same_change_again_counts_once(tmp_path):
    frames = np.full((40, 144, 160), 3, np.uint8)
    frames[1::2, :4, :4] = 0
    frames[30:, 40:44, :4] = 1
    frames[35:, 44:48, :4] = 2  # the one change that is not told, of four: on, off, light, more light
    assert blind_changes(darkest, seen(tmp_path, frames), "val", 1, 8, 4) == pytest.approx(1 / 4)


def test_nothing_changes(tmp_path):
    assert blind_changes(darkest, seen(tmp_path, np.zeros((5, 144, 160), np.uint8)), "val", 2, 8, 4) is None
