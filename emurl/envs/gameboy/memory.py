"""What a game reader is: one object that says what a game's work RAM means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from emurl.core.errors import InputError
from emurl.core.registry import discover
from emurl.envs.gameboy.console import read_rom, rom_title

Fact = int | str | bytes | bool
Facts = Mapping[str, Fact]
"""Facts of one moment by name; the same names for every moment of one game."""


class Memory(Protocol):
    """What a reader needs of a console: `emurl.envs.gameboy.console.GameBoy` has it."""

    def read(self, address: int, count: int = 1) -> bytes:
        """`count` bytes from `address` on."""
        ...


class GameReader(Protocol):
    """Reads facts from work RAM and says which milestones they show.

    Facts go to `info` and to evaluation; they are never part of the reward.
    """

    title: str
    """The header title of the cartridge it reads."""
    milestones: tuple[str, ...]
    """Names of the milestones in the order a run reaches them; the last one is the goal."""
    maps: Mapping[int, str]
    """Names of map numbers, for people; not every map has one."""

    def read(self, gameboy: Memory) -> dict[str, Fact]:
        """The facts of this moment."""
        ...

    def walking(self, facts: Facts) -> bool:
        """Whether the player stands somewhere, so that map, y and x mean something."""
        ...

    def reached(self, facts: Facts) -> list[str]:
        """The milestones these facts show, in order.

        Of this moment only: a milestone such as "stands in the first town" is not shown any more once the player walks
        on, so whoever counts progress keeps the union over an episode.
        """
        ...


def row_for_title(title: str) -> Any:
    """The row of `emurl.games` with this header title; None for a game nobody has described.

    Raises:
        InputError: two games have it, so that nobody can say which is meant.
    """
    found = [game for game in discover("games").values() if game.title == title]
    if len(found) > 1:
        names = " and ".join(game.name for game in found)
        raise InputError(f"games: {names} have the same header title {title!r}, expected a title of its own for each")
    return found[0] if found else None


def reader_for_title(title: str) -> GameReader | None:
    """The reader for a cartridge with this header title; None for a game nobody has described, or without a reader.

    Raises:
        InputError: two games have it.
    """
    game = row_for_title(title)
    reader: GameReader | None = None if game is None or game.reader is None else game.reader()
    return reader


def reader_for(rom: str | Path) -> GameReader | None:
    """The reader for a ROM, found by its header title; None for a game nobody has described.

    Everything but milestones works without one. Raises `InputError` for a bad ROM.
    """
    return reader_for_title(rom_title(read_rom(rom)))
