"""MOSSDALE, the open Game Boy game that ships with emurl: the built ROM and its symbols.

The source is in ``game/``, ``build.py`` makes the ``.gb`` of it, ``world.py`` reads the same maps in Python and
``bot.py`` plays. This module stays light: it only knows where the files are.
"""

from __future__ import annotations

from pathlib import Path

from emurl.core.registry import lazily
from emurl.games.base import Game

TITLE = "MOSSDALE"
"""The title in the ROM header, by which a reader recognizes the game."""

_HERE = Path(__file__).resolve().parent


def rom_path() -> Path:
    """The committed ROM, 64 KiB."""
    return _HERE / "mossdale.gb"


def symbols() -> dict[str, int]:
    """Addresses by name from the committed symbol file: work RAM fields (``wCurMap``) and code labels (``main``).

    Far data, whose addresses mean something only with their bank, is left out.
    """
    found: dict[str, int] = {}
    for line in (_HERE / "mossdale.sym").read_text(encoding="ascii").splitlines():
        place, _, name = line.partition(" ")
        bank, _, address = place.partition(":")
        if name and not line.startswith(";") and int(bank, 16) < 2:
            found[name] = int(address, 16)
    return found


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
