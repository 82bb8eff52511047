"""What a game reader is: one object that says what a game's work RAM means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Fact = int | str | bytes | bool
Facts = Mapping[str, Fact]
"""Facts of one moment by name; the same names for every moment of one game."""


class Memory(Protocol):
    """What a reader needs of a console: `emurl.emulator.console.GameBoy` has it."""

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
