"""Tidewick's world as one picture."""

from __future__ import annotations

from emurl.games.mossdale import atlas as engine
from emurl.games.tidewick import TIDEWICK
from emurl.report.explored import Atlas


def atlas() -> Atlas:
    """The world with a plot a map: see `emurl.games.mossdale.atlas.atlas`."""
    return engine.atlas(TIDEWICK)
