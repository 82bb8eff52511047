"""Faults of a stream, played on clean frames, so that a model says the same of a video's frame and the emulator's.

A stream is scaled, blurred and compressed. After calibration and quantization what is left of that are wrong shades along
edges, and here and there a wrong pixel.
"""

from __future__ import annotations

import numpy as np

from emurl.training.settings import AugmentSettings

DEFAULT = AugmentSettings()


def stream_faults(
    frames: np.ndarray, rng: np.random.Generator, settings: AugmentSettings = DEFAULT, shades: int = 4
) -> np.ndarray:
    """A copy of frames in which some have stream-like faults.

    Each of those is blended with itself shifted by at most `max_shift` pixels (with the default of 3 eighths a sub-pixel shift of up
    to 0.375), quantized again, and some of its pixels get a neighboring shade.

    Args:
        frames: uint8 (N, 144, 160[, 3]), values below `shades`; not changed.
        rng: the only source of chance. settings: how many frames get faults, and how strong they are.
        shades: 4 or 256.
    """
    seen = frames.copy()
    chosen = np.flatnonzero(rng.random(len(frames)) < settings.share)
    if not len(chosen):
        return seen
    # In eighths, and in uint8 for four shades: three times as fast as floats.
    wide = np.uint8 if shades <= 8 else np.uint16
    clean = frames[chosen].astype(wide)
    shifts = rng.integers(-settings.max_shift, settings.max_shift + 1, (len(chosen), 2))
    parts = rng.integers(0, settings.max_blend + 1, len(chosen)).astype(wide)  # eighths of the shifted frame
    for place, (shift, part) in enumerate(zip(shifts, parts, strict=True)):
        if part and shift.any():
            shifted = _shifted(clean[place], int(shift[0]), int(shift[1]))
            seen[chosen[place]] = (clean[place] * (wide(8) - part) + shifted * part + wide(4)) // wide(8)
    height, width = frames.shape[1:3]
    count = int(rng.integers(0, int(height * width * settings.max_noise) + 1)) * len(chosen)
    where = chosen[rng.integers(0, len(chosen), count)], rng.integers(0, height, count), rng.integers(0, width, count)
    step = rng.integers(0, 2, count) * 2 - 1
    step = step[:, None] if frames.ndim == 4 else step
    seen[where] = np.clip(seen[where].astype(np.int16) + step * max(1, shades // 8), 0, shades - 1).astype(np.uint8)
    return seen


def _shifted(frame: np.ndarray, down: int, right: int) -> np.ndarray:
    """The frame shifted by so many pixels; the edge it leaves is repeated."""
    rows = np.clip(np.arange(frame.shape[0]) - down, 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(frame.shape[1]) - right, 0, frame.shape[1] - 1)
    return frame[rows][:, columns]


def wrong_tokens(rng: np.random.Generator, grids: np.ndarray, share: float, vocab: int) -> np.ndarray:
    """Put wrong tokens into `grids` (…, 9, 10), in place: `share` of them on average, up to twice as many in one grid."""
    wrong = rng.random(grids.shape) < 2 * share * rng.random((*grids.shape[:-2], 1, 1))
    grids[wrong] = rng.integers(0, vocab, int(wrong.sum()))
    return grids
