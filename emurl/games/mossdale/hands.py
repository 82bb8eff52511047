"""The runner's hands and eyes: buttons as a thumb presses them, work RAM by name, and everything written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emurl.envs.gameboy.console import GameBoy
from emurl.games.mossdale.cartridge import Cartridge
from emurl.games.mossdale.plot import plot

TITLE, INTRO, OVERWORLD, ENDING, BATTLE, PAGE = range(1, 7)
"""Values of wGameMode."""

NAME, YES_NO, FIGHT, MOVES, ITEMS, START, PARTY, BAG, BEASTS, OPTIONS = range(1, 11)
"""Values of wMenu."""

TICK_LIMIT = 60 * 60 * 12
"""Ticks after which a run is given up; none has come near it."""


class OutOfTime(Exception):
    """The run took longer than `TICK_LIMIT`."""


@dataclass
class RunRecord:
    """What a run was.

    ``presses`` holds ``(tick, button)``: from that tick on ``button`` is the one held (None: none), so that replaying
    them on a fresh console gives the same run. ``milestones`` maps names to the tick at which they were reached.
    """

    seed: int
    finished: bool = False
    ticks: int = 0
    presses: list[tuple[int, str | None]] = field(default_factory=list)
    milestones: dict[str, int] = field(default_factory=dict)


class Hands:
    """One console, one person's way of pressing, and the record of what was pressed."""

    def __init__(
        self,
        gameboy: GameBoy,
        seed: int,
        on_tick: Callable[[GameBoy], None] | None,
        render_every: int,
        reaction: float,
        rng: np.random.Generator,
        of: Cartridge,
    ) -> None:
        self.gameboy = gameboy
        self.rng = rng
        self.reaction = reaction
        self.on_tick = on_tick
        self.render_every = render_every
        self.record = RunRecord(seed)
        self.held: str | None = None
        self._address = of.symbols()
        self._events = plot(of).events
        self._bits = [(name, *divmod(self._events.index(name), 8)) for name in plot(of).milestones]

    def read(self, name: str, offset: int = 0) -> int:
        """A byte of work RAM by its name in ram.h."""
        return int(self.gameboy.memory[self._address[name] + offset])

    def events(self) -> set[str]:
        """The events that have happened."""
        return {name for bit, name in enumerate(self._events) if self.read("wEventFlags", bit >> 3) >> (bit & 7) & 1}

    def hold(self, button: str | None) -> None:
        """From the next tick on hold this button and no other."""
        if button == self.held:
            return
        if self.held:
            self.gameboy.release(self.held)
        if button:
            self.gameboy.press(button)
        self.held = button
        self.record.presses.append((self.record.ticks, button))

    def tick(self, count: int = 1) -> None:
        """Let time pass, button held as it is. Raises `OutOfTime` past `TICK_LIMIT`."""
        for _ in range(count):
            if self.record.ticks >= TICK_LIMIT:
                raise OutOfTime
            self.record.ticks += 1
            render = self.render_every > 0 and self.record.ticks % self.render_every == 0
            self.gameboy.tick(1, render)
            if self.on_tick:
                self.on_tick(self.gameboy)
        flags = [self.read("wEventFlags", offset) for offset in range(2)]
        for name, offset, bit in self._bits:
            if flags[offset] >> bit & 1:
                self.record.milestones.setdefault(name, self.record.ticks)

    def tap(self, button: str) -> None:
        """Press and release, as a thumb does: 4 to 8 ticks."""
        self.hold(button)
        self.tick(int(self.rng.integers(4, 9)))
        self.hold(None)
        self.tick(int(self.rng.integers(2, 5)))

    def wait(self, scale: float = 1.0) -> None:
        """A reaction time, ``scale`` times this person's usual one."""
        self.tick(1 + int(self.rng.gamma(4.0, self.reaction * scale / 4.0)))

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < probability)

    def choose(self, line: int) -> None:
        """Bring a menu's cursor to this line, the short way round, and take it."""
        kind = self.read("wMenu")
        while self.read("wMenu") == kind and (at := self.read("wCurrentMenuItem")) != line:
            lines = self.read("wMaxMenuItem") + 1
            self.tap("down" if (line - at) % lines <= lines // 2 else "up")
            self.wait(0.15)
        self.tap("a")
