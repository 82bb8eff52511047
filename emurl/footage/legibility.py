"""Is text still legible in what a tokenizer says? Measured by the letters of a game whose font is known (`Game.font`)."""

from __future__ import annotations

import numpy as np

from emurl.models.tokenizer import Tokenizer

TILE = 8  # pixels along a tile
CHUNK = 128  # frames at a time


def cut_tiles(frames: np.ndarray) -> np.ndarray:
    """Frames (N, 144, 160) as tiles (N·360, 64)."""
    n, height, width = frames.shape
    cut = frames.reshape(n, height // TILE, TILE, width // TILE, TILE).transpose(0, 1, 3, 2, 4)
    return cut.reshape(-1, TILE * TILE)


def legible(frames: np.ndarray, said: np.ndarray, font: np.ndarray) -> tuple[int, int]:
    """(letters still read, letters there) of frames (N, 144, 160) and what was made of them.

    A letter is there where an aligned tile of the frame is exactly a glyph of `font` (N, 64), whose first is the blank and does not
    count. It is still read if of all glyphs, the blank included, its own is nearest to the tile made of it.
    """
    number = {glyph.tobytes(): place for place, glyph in enumerate(font)}
    true, made = cut_tiles(frames), cut_tiles(said)
    # Few tiles are ink on ground with some ink: only those are looked up.
    possible = np.flatnonzero(((true == font.min()) | (true == font.max())).all(axis=1) & (true == font.min()).any(axis=1))
    which = np.array([number.get(true[place].tobytes(), 0) for place in possible], np.int64)
    letters, which = possible[which > 0], which[which > 0]
    wanted = font.astype(np.float32)
    distance = np.square(wanted).sum(axis=1) - 2.0 * made[letters].astype(np.float32) @ wanted.T
    return int((distance.argmin(axis=1) == which).sum()), len(letters)


def text_legibility(tokenizer: Tokenizer, frames: np.ndarray, font: np.ndarray) -> float | None:
    """Share of the letters in frames (N, 144, 160) that are still read in their reconstruction; None if there are no letters.

    `font` are the letters as canonical tiles, uint8 (N, 64), the blank first.
    """
    read = there = 0
    for start in range(0, len(frames), CHUNK):
        part = frames[start : start + CHUNK]
        counts = legible(part, tokenizer.decode(tokenizer.encode(part)).cpu().numpy(), font)
        read, there = read + counts[0], there + counts[1]
    return read / there if there else None
