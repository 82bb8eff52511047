"""The game's letters as the screen shows them, for measuring whether text is still legible."""

from __future__ import annotations

from functools import cache

import numpy as np

from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.drawing import read_groups

PIXELS = 64  # of a tile, 8×8


@cache
def glyphs(of: Cartridge = MOSSDALE) -> np.ndarray:
    """The font as canonical tiles, each once, the blank first: uint8 (N, 64), 0 ink, 3 ground."""
    drawn = [drawing for group in read_groups(of.source("font.txt")) for drawing in group.drawings]
    tiles = np.unique(3 - np.array(drawn, np.int64).reshape(len(drawn), -1).clip(0, 3), axis=0).astype(np.uint8)
    blank = np.full((1, PIXELS), 3, np.uint8)
    return np.concatenate([blank, tiles[(tiles != 3).any(axis=1)]])
