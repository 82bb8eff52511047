"""Frames and what came after them: where the footage shows one step of the game, and the frames a model sees before it."""

from __future__ import annotations

import numpy as np

from emurl.core.errors import InputError
from emurl.footage.dataset import NOT_GAME, FrameReader


def transitions(reader: FrameReader, split: str, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Every frame of a split that shows the game, as does the one `stride` frames later.

    Blank frames count: a press of START is seen as a picture that fades to nothing.

    Returns:
        Their videos (as places in `reader.videos`) and frame numbers, each int64 (M,).

    Raises:
        InputError: there are none.
    """
    videos, indices = [], []
    for video in reader.split(split):
        game = reader.flags(video) & NOT_GAME == 0
        here = np.flatnonzero(game[: max(0, len(game) - stride)] & game[stride:])
        videos.append(np.full(len(here), video, np.int64))
        indices.append(here.astype(np.int64))
    if not sum(len(part) for part in indices):
        raise InputError(f"frames: no two frames {stride} apart in the {split} split, expected footage longer than that")
    return np.concatenate(videos), np.concatenate(indices)


def past(index: np.ndarray, context: int, stride: int) -> np.ndarray:
    """Numbers of the frames a model sees before and at `index` (n,): (n, context), `stride` apart, newest last.

    Before the first frame that is a whole number of strides away, that one is repeated.
    """
    return np.maximum(index[:, None] - stride * np.arange(context)[::-1], index[:, None] % stride)
