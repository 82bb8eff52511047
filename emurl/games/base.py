"""What one game is: a row that says what it has. Stages ask the row and never for a game by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emurl.envs.gameboy.console import GameBoy
from emurl.envs.gameboy.memory import GameReader
from emurl.screen import ScreenSpec


class BotRun(Protocol):
    """A run of a game's bot.

    Attributes:
        finished: whether the last milestone was reached.
        ticks: emulator frames from power-on to the end of the run.
        presses: (frame, button or None) for every change of what is held, JSON-ready.
        milestones: the frame that reached each, by name.
    """

    finished: bool
    ticks: int
    presses: list[tuple[int, str | None]]
    milestones: dict[str, int]


class Bot(Protocol):
    """Plays a game to its end without anything learned."""

    def __call__(
        self, gameboy: GameBoy, seed: int, on_tick: Callable[[GameBoy], None] | None = None, *, render_every: int = 2
    ) -> BotRun:
        """Play on a console that has just been switched on.

        Args:
            gameboy: a fresh console with the game in it, before its first frame.
            seed: the same seed gives the same presses.
            on_tick: called after every frame.
            render_every: frame n (from 1) is rendered where this divides it; 0 renders nothing.
        """
        ...


@dataclass(frozen=True)
class Recording:
    """A run of a demo leaderboard, which can be played again in the emulator.

    Attributes:
        fps: pictures a second of its video.
        power_on_frame: the picture of the video at which the console is switched on.
        screens: the screens since then, `fps` a second, as canonical frames of the screen that it is given.
    """

    fps: float
    power_on_frame: int
    screens: Callable[[ScreenSpec], Iterator[np.ndarray]]


class DemoLeaderboard(Protocol):
    """A leaderboard with videos on this machine; it answers as speedrun.com does while its `with` block runs."""

    def __enter__(self) -> DemoLeaderboard: ...

    def __exit__(self, *_: object) -> None: ...

    def here(self, url: str) -> str:
        """A URL of an earlier start of it as one of now: the port may be another."""
        ...

    def missing(self, urls: Iterable[str] | None = None) -> Sequence[Any]:
        """The runs whose video (at one of `urls`; None: any) has not been rendered yet."""
        ...

    def render(self, entries: Iterable[Any], progress: Callable[[Any], None] = ..., workers: int = 2) -> None:
        """Render the videos of runs that were `missing`, `workers` at a time; `progress` is told of each."""
        ...

    def recording(self, run_id: str) -> Recording | None:
        """The run of that id, to be played again; None where it is not of this leaderboard."""
        ...


@dataclass(frozen=True)
class Game:
    """A game. Only `name` and `title` are needed; every other thing that a game lacks (None) is left out where it is asked for.

    Attributes:
        name: what settings call it, as in `emulator.rom: NAME`.
        title: the title in the ROM's header, by which a ROM is recognized.
        rom: the path of the ROM that ships with the game; None where people bring their own.
        md5: digests of the ROMs the game's reader is known to be right for; empty: any.
        reader: makes the reader of its work RAM, with milestones and names of maps.
        atlas: makes the picture of its maps that visits are laid over (`report.explored.Atlas`).
        font: makes its letters as canonical tiles, uint8 (N, 64), the blank first; for the legibility of text.
        leaderboard: `leaderboard(settings)` is the demo leaderboard of recorded runs, with `BroadcastSettings`.
        bot: plays it to the end without anything learned.
        film: `film(path, seconds, screens)` renders a video in which `screens(count)`, uint8 (144, 160) each, are shown as in a
            recorded run; for measurements where no run is recorded yet.
    """

    name: str
    title: str
    rom: Callable[[], Path] | None = None
    md5: tuple[str, ...] = ()
    reader: Callable[[], GameReader] | None = None
    atlas: Callable[[], Any] | None = None
    font: Callable[[], np.ndarray] | None = None
    leaderboard: Callable[[Any], DemoLeaderboard] | None = None
    bot: Bot | None = None
    film: Callable[[Path, float, Callable[[int], Iterable[np.ndarray]]], None] | None = None
