"""A cartridge of this engine: which sources it is built from, and where it and its addresses lie.

The code (`game/src`) is the same for every cartridge; maps, cells, sprites, pictures, creatures, words and the road through them are its
own. Mossdale is the first; every function that reads sources takes the cartridge it is about.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from emurl.core.errors import InputError

_HERE = Path(__file__).resolve().parent

CODE = _HERE / "game" / "src"
"""The C that all cartridges share."""


@dataclass(frozen=True)
class Cartridge:
    """One game of the engine.

    Attributes:
        name: of its files, `<name>.gb` and `<name>.sym`, and of its leaderboard's address.
        title: in the ROM's header.
        folder: of the package; its sources are in `folder/game`.
        board: its id on the demo leaderboard, 8 letters.
    """

    name: str
    title: str
    folder: Path
    board: str = "b0ard000"

    @property
    def rom(self) -> Path:
        """The committed ROM, 64 KiB."""
        return self.folder / f"{self.name}.gb"

    def source(self, *parts: str) -> Path:
        """A file or folder of its sources."""
        return self.folder.joinpath("game", *parts)

    def symbols(self) -> dict[str, int]:
        """Addresses by name from the committed symbol file: work RAM fields (``wCurMap``) and code labels (``main``).

        Far data, whose addresses mean something only with their bank, is left out.
        """
        found: dict[str, int] = {}
        for line in self.rom.with_suffix(".sym").read_text(encoding="ascii").splitlines():
            place, _, name = line.partition(" ")
            bank, _, address = place.partition(":")
            if name and not line.startswith(";") and int(bank, 16) < 2:
                found[name] = int(address, 16)
        return found


MOSSDALE = Cartridge("mossdale", "MOSSDALE", _HERE, "m05sd4le")


def find_cartridge(name: str) -> Cartridge:
    """The cartridge of the game ``name``, for the command lines that build and draw one.

    Raises:
        InputError: there is no such game, or it is of another engine.
    """
    try:
        found = getattr(importlib.import_module(f"emurl.games.{name}"), "CARTRIDGE", None)
    except ModuleNotFoundError:
        found = None
    if not isinstance(found, Cartridge):
        raise InputError(f"--game {name}: no game of this engine, expected mossdale or another that has a CARTRIDGE")
    return found
