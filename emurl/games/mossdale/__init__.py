"""MOSSDALE, the open Game Boy game that ships with emurl: the built ROM and its symbols.

The source is in ``game/``, ``build.py`` makes the ``.gb`` of it, ``world.py`` reads the same maps in Python and
``bot.py`` plays; `cartridge.Cartridge` is what other games of this engine differ in. This module stays light: it only
knows where the files are.
"""

from __future__ import annotations

from pathlib import Path

from emurl.core.registry import lazily
from emurl.games.base import Game
from emurl.games.mossdale.cartridge import MOSSDALE

CARTRIDGE = MOSSDALE
"""What this game is to the engine, which builds others, too."""

TITLE = MOSSDALE.title
"""The title in the ROM header, by which a reader recognizes the game."""


def rom_path() -> Path:
    """The committed ROM, 64 KiB."""
    return MOSSDALE.rom


def symbols() -> dict[str, int]:
    """Addresses by name from the committed symbol file, as `Cartridge.symbols` gives them."""
    return MOSSDALE.symbols()


GAME = Game(
    name="mossdale",
    title=TITLE,
    rom=rom_path,
    reader=lazily("emurl.games.mossdale.memory:Mossdale"),
    atlas=lazily("emurl.games.mossdale.atlas:atlas"),
    font=lazily("emurl.games.mossdale.font:glyphs"),
    leaderboard=lazily("emurl.games.mossdale.broadcast:Broadcast"),
    bot=lazily("emurl.games.mossdale.bot:play"),
    film=lazily("emurl.games.mossdale.broadcast.compose:film"),
)
