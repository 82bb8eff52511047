"""Faults of a stream, played on clean frames, so that a model says the same of a video's frame and the emulator's.

A stream is scaled, blurred and compressed. After calibration and quantization what is left of that are wrong shades along
edges, and here and there a wrong pixel.
"""

from __future__ import annotations

import numpy as np


def stream_faults(frames: np.ndarray, rng: np.random.Generator, share: float = 0.5, shades: int = 4) -> np.ndarray:
    """A copy of frames uint8 (N, 144, 160[, 3]) in which `share` of them have stream-like faults.

    Each of those is blended with itself moved by one pixel (a sub-pixel shift of up to 0.45), quantized again, and up to one pixel in
    250 gets a neighboring shade.
    """
    seen = frames.copy()
    chosen = np.flatnonzero(rng.random(len(frames)) < share)
    if not len(chosen):
        return seen
    # In eighths, and in uint8 for four shades: three times as fast as floats.
    wide = np.uint8 if shades <= 8 else np.uint16
    clean = frames[chosen].astype(wide)
    moves = rng.integers(-1, 2, (len(chosen), 2))
    parts = rng.integers(0, 4, len(chosen)).astype(wide)  # eighths of the moved frame
    for place, (move, part) in enumerate(zip(moves, parts, strict=True)):
        if part and move.any():
            moved = _moved(clean[place], int(move[0]), int(move[1]))
            seen[chosen[place]] = (clean[place] * (wide(8) - part) + moved * part + wide(4)) // wide(8)
    height, width = frames.shape[1:3]
    count = int(rng.integers(0, height * width // 250 + 1)) * len(chosen)
    where = chosen[rng.integers(0, len(chosen), count)], rng.integers(0, height, count), rng.integers(0, width, count)
    step = rng.integers(0, 2, count) * 2 - 1
    step = step[:, None] if frames.ndim == 4 else step
    seen[where] = np.clip(seen[where].astype(np.int16) + step * max(1, shades // 8), 0, shades - 1).astype(np.uint8)
    return seen


def _moved(frame: np.ndarray, down: int, right: int) -> np.ndarray:
    """The frame moved by at most one pixel each way; the edge it leaves is repeated."""
    rows = np.clip(np.arange(frame.shape[0]) - down, 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(frame.shape[1]) - right, 0, frame.shape[1] - 1)
    return frame[rows][:, columns]
