"""A bot's run as data: which button went down or up at which tick, when the goals fell, and the screens it makes again.

The emulator is deterministic, so presses are the whole run: a few kilobytes that give every frame back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emurl.envs.gameboy.console import FRAMES_PER_SECOND, GameBoy, is_color, read_rom
from emurl.screen import ScreenSpec


@dataclass(frozen=True)
class Playthrough:
    """`presses`: (tick, button, down) in order of time; `ticks` from power-on to the last split; `splits`: (name, tick)."""

    presses: tuple[tuple[int, str, bool], ...]
    ticks: int
    splits: tuple[tuple[str, int], ...]

    @property
    def time_s(self) -> float:
        """The run's time as the leaderboard tells it, to a millisecond."""
        return round(self.ticks / FRAMES_PER_SECOND, 3)

    def split_times(self) -> list[tuple[str, float]]:
        """(name, seconds since power-on)."""
        return [(name, tick / FRAMES_PER_SECOND) for name, tick in self.splits]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Playthrough:
        """The inverse of `to_dict`, also after a way through JSON."""
        presses = tuple((int(tick), str(button), bool(down)) for tick, button, down in values["presses"])
        return cls(presses, int(values["ticks"]), tuple((str(name), int(tick)) for name, tick in values["splits"]))


def as_shown(rom: Path) -> ScreenSpec:
    """What a console shows of a cartridge: RGB of one that knows colors, else the four shades."""
    return ScreenSpec(channels=3, shades=256) if is_color(read_rom(rom)) else ScreenSpec()


def screens(
    rom: Path, run: Playthrough, per_second: float, after_s: float, spec: ScreenSpec | None = None
) -> Iterator[np.ndarray]:
    """The game's screens since power-on, `per_second` times a second until `after_s` past the end: uint8 frames of `spec` (None:
    as the console shows them).

    Screen n is the one that stands at n / per_second seconds.
    """
    console = GameBoy(rom, spec or as_shown(rom))
    try:
        due = 0
        for number in range(int((run.ticks / FRAMES_PER_SECOND + after_s) * per_second)):
            goal = max(1, int(number * FRAMES_PER_SECOND / per_second))
            while due < len(run.presses) and run.presses[due][0] < goal:
                tick, button, down = run.presses[due]
                if tick > console.frames:
                    console.tick(tick - console.frames, render=False)
                (console.press if down else console.release)(button)
                due += 1
            if goal > console.frames:
                console.tick(goal - console.frames, render=True)
            yield console.frame()
    finally:
        console.close()
