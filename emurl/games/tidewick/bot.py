"""Tidewick's runner: the engine's, which finds its way by this world's plot."""

from __future__ import annotations

from functools import partial

from emurl.games.mossdale import bot
from emurl.games.tidewick import TIDEWICK

play = partial(bot.play, of=TIDEWICK)
"""Play a run of this world: see `emurl.games.mossdale.bot.play`."""
