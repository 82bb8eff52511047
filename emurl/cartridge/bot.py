"""The runner: plays the cartridge from power-on to its end the way a person speedruns it, by reading RAM.

It knows the maps (`emurl.cartridge.world`) and finds its way on them; what it does not do is play perfectly. Every seed
is another person on another day: reaction times, pauses, wrong turns, presses that do nothing, corners overshot, a
detour to look at something, a chat with somebody on the way. A direction stays held while the way goes straight and A
is tapped, as hands do it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emurl.cartridge import symbols
from emurl.cartridge.world import EVENTS, GOAL_MAP, STEPS, Cell, Map, Thing, Warp, find_path, maps
from emurl.emulator.console import GameBoy

TITLE, INTRO, OVERWORLD, ENDING = 1, 2, 3, 4
"""Values of wGameMode."""

TICK_LIMIT = 60 * 60 * 4
"""Ticks after which a run is given up; none has come near it."""


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


@dataclass(frozen=True)
class Style:
    """One person's habits: times in ticks, the rest as chances."""

    reaction: float
    pause: float
    wrong_turn: float
    overshoot: float
    idle_press: float
    detour: float
    chat: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        """Anything from a practised runner to somebody who is there for the first time."""
        care = rng.uniform(0.2, 1.6)  # one number, so that a slow reader is also the one who gets lost
        return cls(
            reaction=8 + 22 * care * rng.uniform(0.6, 1.4),
            pause=0.028 * care * rng.uniform(0.5, 1.5),
            wrong_turn=0.022 * care * rng.uniform(0.4, 1.6),
            overshoot=0.12 * care * rng.uniform(0.4, 1.6),
            idle_press=0.012 * care * rng.uniform(0.4, 1.6),
            detour=0.45 * care,
            chat=0.35 * care,
        )


def play(
    gameboy: GameBoy,
    seed: int,
    on_tick: Callable[[GameBoy], None] | None = None,
    *,
    render_every: int = 2,
    end_ticks: int = 150,
) -> RunRecord:
    """Play a run on a console that has just been switched on.

    Args:
        gameboy: a fresh console with the cartridge in it, before its first tick.
        seed: which person, which day; the same seed gives the same presses.
        on_tick: called after every tick. Tick ``n`` (from 1) is rendered where ``render_every`` divides it.
        render_every: 0 renders nothing, which is much faster.
        end_ticks: how long to look at the end screen.

    Returns:
        the run; ``finished`` is False where it was given up after `TICK_LIMIT` ticks.
    """
    runner = _Runner(gameboy, seed, on_tick, render_every)
    with contextlib.suppress(_OutOfTime):
        runner.run(end_ticks)
    runner.record.finished = EVENTS[-1] in runner.record.milestones
    return runner.record


class _OutOfTime(Exception):
    """The run took longer than `TICK_LIMIT`."""


class _Runner:
    def __init__(self, gameboy: GameBoy, seed: int, on_tick: Callable[[GameBoy], None] | None, render_every: int) -> None:
        self.gameboy = gameboy
        self.rng = np.random.default_rng([seed, 0x6D6F7373])
        self.style = Style.draw(self.rng)
        self.on_tick = on_tick
        self.render_every = render_every
        self.record = RunRecord(seed)
        self.held: str | None = None
        self.maps = {each.id: each for each in maps()}
        self.address = symbols()
        self.taste: list[str] = list(STEPS)

    # Hands and eyes

    def read(self, name: str) -> int:
        """A byte of work RAM by its name in ram.h."""
        return int(self.gameboy.memory[self.address[name]])

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
        """Let time pass, button held as it is."""
        for _ in range(count):
            if self.record.ticks >= TICK_LIMIT:
                raise _OutOfTime
            self.record.ticks += 1
            render = self.render_every > 0 and self.record.ticks % self.render_every == 0
            self.gameboy.tick(1, render)
            if self.on_tick:
                self.on_tick(self.gameboy)
        events = self.read("wEventFlags")
        for bit, name in enumerate(EVENTS):
            if events >> bit & 1:
                self.record.milestones.setdefault(name, self.record.ticks)

    def tap(self, button: str) -> None:
        """Press and release, as a thumb does: 4 to 8 ticks."""
        self.hold(button)
        self.tick(int(self.rng.integers(4, 9)))
        self.hold(None)
        self.tick(int(self.rng.integers(2, 5)))

    def wait(self, scale: float = 1.0) -> None:
        """A reaction time, ``scale`` times this person's usual one."""
        self.tick(1 + int(self.rng.gamma(4.0, self.style.reaction * scale / 4.0)))

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < probability)

    # The parts of a run

    def run(self, end_ticks: int) -> None:
        while self.read("wGameMode") != TITLE:
            self.tick()
        self.title()
        while self.read("wGameMode") == INTRO:
            self.text() if self.read("wTextWaiting") else self.tick()
        while self.read("wGameMode") == OVERWORLD:
            self.settle()
            if self.read("wGameMode") == OVERWORLD:
                self.leave_map()
        self.hold(None)
        self.tick(end_ticks)

    def title(self) -> None:
        self.wait(3.0)
        while self.read("wGameMode") == TITLE:
            self.tap("a" if self.chance(0.08) else "start")
            self.wait(1.5)

    def text(self) -> None:
        """A text box waits: read it, tap A; the impatient tap while it still prints."""
        self.hold(None)
        self.wait()
        self.tap("a")

    def settle(self) -> bool:
        """Until the player stands and nothing is in the way; True where a text box had to be read."""
        chatted = False
        while self.read("wGameMode") == OVERWORLD:
            if self.read("wFontLoaded"):
                self.hold(None)
                chatted = True
                self.text() if self.read("wTextWaiting") else self.tick()
            elif self.read("wStepLeft") or self.read("wFading") or self.read("wCurMap") not in self.maps:
                self.tick()
            else:
                break
        return chatted

    def here(self) -> Map:
        return self.maps[self.read("wCurMap")]

    def cell(self) -> Cell:
        return self.read("wXCoord"), self.read("wYCoord")

    def leave_map(self) -> None:
        """From where the player stands to the way on, perhaps by a detour."""
        here = self.here()
        self.taste = [list(STEPS)[index] for index in self.rng.permutation(len(STEPS))]
        if self.chance(self.style.chat) and here.things:
            self.visit(here, here.things[int(self.rng.integers(len(here.things)))])
        if self.here() is here and self.chance(self.style.detour):
            self.wander(here)
        while self.here() is here and self.read("wGameMode") == OVERWORLD:
            if not self.walk(here, [warp.at for warp in _onward(here)]):
                break

    def wander(self, here: Map) -> None:
        """To some cell not too far off the way."""
        start = self.cell()
        warps = {warp.at for warp in here.warps}
        near = [
            cell
            for cell in sorted(here.walkable - warps)
            if abs(cell[0] - start[0]) + abs(cell[1] - start[1]) <= 7 and self.way(here, start, [cell]) is not None
        ]
        if near:
            self.walk(here, [near[int(self.rng.integers(len(near)))]])

    def visit(self, here: Map, thing: Thing) -> None:
        """Walk up to a sign or somebody, face it, press A, read."""
        sides = {(thing.at[0] - dx, thing.at[1] - dy): name for name, (dx, dy) in STEPS.items()}
        way = self.way(here, self.cell(), list(sides))
        if way is None or len(way) > 16 or not self.walk(here, list(sides)):
            return
        self.hold(sides[self.cell()])
        self.tick(int(self.rng.integers(3, 9)))
        self.hold(None)
        self.wait(0.4)
        self.tap("a")
        self.settle()

    def way(self, here: Map, start: Cell, goals: list[Cell]) -> list[str] | None:
        """Directions that keep off the map's warps, or None; of equally short ways, today's favourite."""
        try:
            return find_path(here.walkable, start, goals, [warp.at for warp in here.warps], self.taste)
        except ValueError:
            return None

    def walk(self, here: Map, goals: list[Cell]) -> bool:
        """Walk to one of these cells; False where it led to another map (or the end) on the way or by design."""
        while True:
            self.settle()
            if self.read("wGameMode") != OVERWORLD or self.here() is not here:
                return False
            start = self.cell()
            way = self.way(here, start, goals)
            if not way:
                return bool(way is not None)
            self.step(way[0])

    def step(self, direction: str) -> None:
        """One decision: usually a step that way."""
        style = self.style
        if self.chance(style.pause):
            self.hold(None)
            self.wait(self.rng.uniform(0.5, 3.0))
        elif self.chance(style.idle_press):
            self.hold(None)
            self.tap("ab"[int(self.rng.integers(2))])
        elif self.chance(style.wrong_turn):
            self.hold(list(STEPS)[int(self.rng.integers(4))])
            self.tick(int(self.rng.integers(2, 20)))
        elif self.held in STEPS and self.held != direction and self.chance(style.overshoot):
            self.tick(int(self.rng.integers(2, 14)))
        else:
            self.hold(direction)
            self.tick()


def _onward(here: Map) -> list[Warp]:
    """The warps towards the goal: those that set an event, which the way back never does."""
    found = [warp for warp in here.warps if warp.event]
    if not found:
        raise ValueError(f"the map {here.name} has no warp that leads on to the {GOAL_MAP[0]}")
    return found
