"""What a game's work RAM means: facts for `info` and for evaluation, never for the reward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emurl.emulator.console import read_rom, rom_title
from emurl.emulator.games.base import Fact, Facts, GameReader, Memory
from emurl.emulator.games.layout import read_many
from emurl.emulator.games.mossdale import Mossdale
from emurl.emulator.games.pokemon_red import PokemonRed

__all__ = ["READERS", "Fact", "Facts", "GameReader", "Memory", "read_many", "reader_for", "reader_for_title"]

READERS: dict[str, Callable[[], GameReader]] = {Mossdale.title: Mossdale, PokemonRed.title: PokemonRed}
"""Readers by header title; another game is one module and one row here."""


def reader_for_title(title: str) -> GameReader | None:
    """The reader for a cartridge with this header title; None for a game nobody has described."""
    reader = READERS.get(title)
    return reader() if reader else None


def reader_for(rom: str | Path) -> GameReader | None:
    """The reader for a ROM, found by its header title; None for a game nobody has described.

    Everything but milestones works without one. Raises `InputError` for a bad ROM.
    """
    return reader_for_title(rom_title(read_rom(rom)))
