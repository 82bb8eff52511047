"""TIDEWICK, the second open Game Boy game that ships with emurl: another world on Mossdale's engine.

Its own are the sources in ``game/`` (maps, cells, sprites, pictures, letters, creatures, words, and the order of its places),
the ROM built from them, and the milestones; code, bot and leaderboard are Mossdale's. It shows that nothing was fitted to the first game.
"""

from __future__ import annotations

from pathlib import Path

from emurl.core.registry import lazily
from emurl.games.base import Game
from emurl.games.mossdale.cartridge import Cartridge

TIDEWICK = Cartridge("tidewick", "TIDEWICK", Path(__file__).resolve().parent, "t1dew1ck")

CARTRIDGE = TIDEWICK
"""What this game is to the engine."""


def rom_path() -> Path:
    """The committed ROM, 64 KiB."""
    return TIDEWICK.rom


GAME = Game(
    name=TIDEWICK.name,
    title=TIDEWICK.title,
    rom=rom_path,
    reader=lazily("emurl.games.tidewick.memory:Tidewick"),
    atlas=lazily("emurl.games.tidewick.atlas:atlas"),
    font=lazily("emurl.games.tidewick.font:glyphs"),
    leaderboard=lazily("emurl.games.tidewick.broadcast:leaderboard"),
    bot=lazily("emurl.games.tidewick.bot:play"),
    film=lazily("emurl.games.mossdale.broadcast.compose:film"),
)
