"""Changes that tokens do not tell: a lamp goes out in one cell of ninety, and whoever reads tokens sees it burn on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emurl.footage.dataset import CHUNK, FrameReader
from emurl.models.layers import COLUMNS, ROWS
from emurl.screen import CELL

STEP = 0.25  # of the scale of shades, above which a pixel has changed


def blind_changes(
    encode: Callable[[np.ndarray], np.ndarray], reader: FrameReader, split: str, stride: int, least_pixels: int, most_cells: int
) -> float | None:
    """Share of the changes of a cell that leave its token as it was, each different change counted once; None without any.

    A change is a cell before and after `stride` usable frames, at least `least_pixels` of whose pixels changed, where at most `most_cells`
    cells of the frame did: of a scrolling map every cell changes, and a lost one among them is no matter.

    Args:
        encode: frames (n, 144, 160[, 3]) to tokens (n, 9, 10).
    """
    told: dict[bytes, bool] = {}
    for video in reader.split(split):
        shown = reader.usable(video)
        for start in range(0, len(shown) - stride, CHUNK):
            frames = reader.read(video, shown[start : start + CHUNK + stride])
            cells = frames.reshape(len(frames), ROWS, CELL, COLUMNS, CELL, -1).swapaxes(2, 3)
            moved = np.abs(cells[stride:].astype(np.int16) - cells[:-stride]).max(axis=-1) > STEP * (reader.spec.shades - 1)
            changed = moved.sum(axis=(3, 4)) >= least_pixels  # (n, 9, 10)
            few = (changed.sum(axis=(1, 2)) <= most_cells)[:, None, None] & changed
            if not few.any():
                continue
            tokens = encode(frames)
            for at, row, column in np.argwhere(few).tolist():
                key = cells[at, row, column].tobytes() + cells[at + stride, row, column].tobytes()
                told.setdefault(key, bool(tokens[at, row, column] != tokens[at + stride, row, column]))
    return 1.0 - sum(told.values()) / len(told) if told else None
