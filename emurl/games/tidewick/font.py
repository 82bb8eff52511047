"""Tidewick's letters."""

from __future__ import annotations

import numpy as np

from emurl.games.mossdale import font
from emurl.games.tidewick import TIDEWICK


def glyphs() -> np.ndarray:
    """The font as canonical tiles: see `emurl.games.mossdale.font.glyphs`."""
    return font.glyphs(TIDEWICK)
