"""What one game is: a row that says what it has. Stages ask the row and never for a game by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emurl.envs.gameboy.memory import GameReader


@dataclass(frozen=True)
class Game:
    """A game. Only `name` and `title` are needed; every other thing that a game lacks (None) is left out where it is asked for.

    Attributes:
        name: what settings call it, as in `emulator.rom: mossdale`.
        title: the title in the cartridge's header, by which a ROM is recognized.
        rom: the path of the ROM that ships with the game; None where people bring their own.
        md5: digests of the ROMs the game's reader is known to be right for; empty: any.
        reader: makes the reader of its work RAM, with milestones and names of maps.
        atlas: makes the picture of its maps that visits are laid over (`report.explored.Atlas`).
        font: makes its letters as canonical tiles, uint8 (N, 64), the blank first; for the legibility of text.
        leaderboard: `leaderboard(settings)` is the demo leaderboard of recorded runs, as a context manager.
        bot: `bot(seed, video)` plays it to the end without anything learned.
    """

    name: str
    title: str
    rom: Callable[[], Path] | None = None
    md5: tuple[str, ...] = ()
    reader: Callable[[], GameReader] | None = None
    atlas: Callable[[], Any] | None = None
    font: Callable[[], np.ndarray] | None = None
    leaderboard: Callable[..., Any] | None = None
    bot: Callable[..., Any] | None = None
