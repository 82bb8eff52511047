"""The runner: plays the cartridge from power-on to its end the way a person speedruns it, by reading RAM.

It knows the maps (`emurl.games.mossdale.world`) and finds its way on them, fights through every battle and comes back after a
defeat; what it does not do is play perfectly. Every seed is another person on another day: name and partner, reaction
times, pauses, wrong turns, presses that do nothing, corners overshot, a detour to look at something, a chat with somebody
on the way, a look into the bestiary, care or greed in battle. A direction stays held while the way goes straight and A is
tapped, as hands do it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from emurl.envs.gameboy.console import GameBoy
from emurl.games.mossdale import hands
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.creatures import creatures
from emurl.games.mossdale.fighter import Fighter
from emurl.games.mossdale.hands import BATTLE, INTRO, OVERWORLD, PAGE, TITLE, Hands, OutOfTime, RunRecord
from emurl.games.mossdale.plot import plot
from emurl.games.mossdale.style import Style
from emurl.games.mossdale.world import STEPS, Cell, Map, Thing, find_path, maps

__all__ = ["RunRecord", "Style", "play"]


def play(
    gameboy: GameBoy,
    seed: int,
    on_tick: Callable[[GameBoy], None] | None = None,
    *,
    render_every: int = 2,
    end_ticks: int = 150,
    style: Style | None = None,
    of: Cartridge = MOSSDALE,
) -> RunRecord:
    """Play a run on a console that has just been switched on.

    Args:
        gameboy: a fresh console with the cartridge in it, before its first tick.
        seed: which person, which day; the same seed gives the same presses.
        on_tick: called after every tick. Tick ``n`` (from 1) is rendered where ``render_every`` divides it.
        render_every: 0 renders nothing, which is much faster.
        end_ticks: how long to look at the end screen.
        style: this person, not the one the seed draws.
        of: the cartridge that is in the console.

    Returns:
        the run; ``finished`` is False where it was given up after `emurl.games.mossdale.hands.TICK_LIMIT` ticks.
    """
    rng = np.random.default_rng([seed, 0x6D6F7373])
    drawn = Style.draw(rng)
    style = style or drawn
    runner = _Runner(Hands(gameboy, seed, on_tick, render_every, style.reaction, rng, of), style, of)
    with contextlib.suppress(OutOfTime):
        runner.run(end_ticks)
    record = runner.hands.record
    record.finished = "goal" in record.milestones
    return record


class _Runner:
    def __init__(self, own: Hands, style: Style, of: Cartridge) -> None:
        self.hands = own
        self.style = style
        self.fighter = Fighter(own, creatures(of), style.heal_below, style.flee, style.best_move)
        self.maps = {each.id: each for each in maps(of)}
        self.plot = plot(of)
        self.taste: list[str] = list(STEPS)
        self.visits: set[str] = set()

    def mode(self) -> int:
        return self.hands.read("wGameMode")

    def run(self, end_ticks: int) -> None:
        own = self.hands
        while self.mode() != TITLE:
            own.tick()
        own.wait(3.0)
        while self.mode() == TITLE:
            own.tap("a" if own.chance(0.08) else "start")
            own.wait(1.5)
        while self.mode() == INTRO:
            if own.read("wMenu") == hands.NAME:
                own.wait(1.5)
                own.choose(self.style.name)
            else:
                self.text() if own.read("wTextWaiting") else own.tick()
        while self.mode() in (OVERWORLD, BATTLE, PAGE):
            self.settle()
            if self.mode() == OVERWORLD:
                self.next_thing()
        own.hold(None)
        own.tick(end_ticks)

    def text(self) -> None:
        """A text box waits: read it, tap A."""
        self.hands.hold(None)
        self.hands.wait()
        self.hands.tap("a")

    def settle(self) -> bool:
        """Until the player stands and nothing is in the way; True where something had to be answered."""
        own, busy = self.hands, False
        while self.mode() in (OVERWORLD, BATTLE, PAGE):
            menu = own.read("wMenu")
            if menu == hands.YES_NO:
                own.wait()
                own.choose(0)
            elif self.mode() == BATTLE:
                busy = True
                own.hold(None)
                self.fighter.act()
            elif menu or self.mode() == PAGE:
                own.hold(None)
                own.wait()
                own.tap("b")
            elif own.read("wFontLoaded"):
                own.hold(None)
                busy = True
                self.text() if own.read("wTextWaiting") else own.tick()
            elif own.read("wStepLeft") or own.read("wFading") or own.read("wCurMap") not in self.maps:
                own.tick()
            else:
                # Between the last text and what it leads to a few frames pass.
                own.tick(2 if busy else 0)
                if not (own.read("wFontLoaded") or own.read("wFading") or own.read("wStepLeft")) and self.mode() == OVERWORLD:
                    break
        return busy

    def here(self) -> Map:
        return self.maps[self.hands.read("wCurMap")]

    def cell(self) -> Cell:
        return self.hands.read("wXCoord"), self.hands.read("wYCoord")

    def next_thing(self) -> None:
        """The next errand on this map: what the road asks for here, or the way on, perhaps by a detour."""
        own, here = self.hands, self.here()
        self.taste = [list(STEPS)[index] for index in own.rng.permutation(len(STEPS))]
        events = own.events()
        if here.name not in self.visits:
            self.visits.add(here.name)
            self.diversions(here)
            return
        for errand in self.plot.errands:
            if errand.place == here.name and (self.hurt() if errand.until == "hurt" else errand.until not in events):
                self.visit(here, self.choice(here, errand.what))
                return
        self.walk(here, self.exits(here, events))

    def choice(self, here: Map, what: str) -> Thing:
        """Which of the things of this kind or name is used next: the partner one likes, a lever that still has to be pulled."""
        own = self.hands
        every = [thing for thing in here.things if what in (thing.kind, thing.of)]
        if what == "nest":
            return every[self.style.partner]
        if what == "lever":
            due = self.plot.solution(own.read("wLamps"))
            every = [thing for thing in every if int(thing.of) in due]
            return every[int(own.rng.integers(len(every)))]
        return every[0]

    def hurt(self) -> bool:
        own = self.hands
        return own.read("wPartyCount") > 0 and own.read("wPartyMons", 2) < own.read("wPartyMons", 35)

    def exits(self, here: Map, events: set[str]) -> list[Cell]:
        """Where the road goes on from this map, as far as it can be reached."""
        for way in self.plot.roads:
            if way.place != here.name or (way.after and way.after not in events):
                continue
            cells = [warp.at for warp in here.warps if warp.map == way.to and way.by in ("", warp.event)]
            if self.way(here, self.cell(), cells) is not None:
                return cells
        raise ValueError(f"the map {here.name} has no way on from {self.cell()}")

    def diversions(self, here: Map) -> None:
        """What somebody does who is not in a hurry, once a map."""
        own, style = self.hands, self.style
        talkers = [thing for thing in here.things if thing.kind in ("talk", "guard")]
        if own.chance(style.chat) and talkers:
            self.visit(here, talkers[int(own.rng.integers(len(talkers)))])
        if self.here() is here and own.chance(style.detour):
            self.wander(here)
        if self.here() is here and own.chance(style.leaf):
            self.leaf()
        for rest in self.plot.rests:
            if rest.place == here.name and rest.after in own.events() and own.chance(style.visit_hearth):
                self.walk(here, [warp.at for warp in here.warps if warp.map == rest.to])

    def leaf(self) -> None:
        """Open the menu, look at one of its pages, close it."""
        own = self.hands
        self.settle()
        own.hold(None)
        own.tick(2)
        own.tap("start")
        own.wait()
        if own.read("wMenu") != hands.START:
            return
        own.choose(int(own.rng.integers(4)))
        while self.mode() == OVERWORLD or own.read("wMenu") == 0:
            own.tick()
        for _ in range(int(own.rng.integers(1, 5)) if own.read("wMenu") == hands.BEASTS else 0):
            own.wait()
            own.tap("right")
        own.wait(2.0)
        own.tap("b")
        self.settle()

    def wander(self, here: Map) -> None:
        """To some cell not too far off the way."""
        start = self.cell()
        near = [
            cell
            for cell in sorted(here.walkable - here.grass - {warp.at for warp in here.warps})
            if abs(cell[0] - start[0]) + abs(cell[1] - start[1]) <= 6 and self.way(here, start, [cell]) is not None
        ]
        if near:
            self.walk(here, [near[int(self.hands.rng.integers(len(near)))]])

    def visit(self, here: Map, thing: Thing) -> None:
        """Walk up to a sign or somebody, face it, press A, read."""
        own = self.hands
        sides = {(thing.at[0] - dx, thing.at[1] - dy): name for name, (dx, dy) in STEPS.items()}
        way = self.way(here, self.cell(), list(sides))
        if way is None or (len(way) > 16 and thing.kind == "talk") or not self.walk(here, list(sides)):
            return
        own.hold(sides[self.cell()])
        own.tick(int(own.rng.integers(3, 9)))
        own.hold(None)
        own.wait(0.4)
        own.tap("a")
        own.tick(4)
        self.settle()

    def way(self, here: Map, start: Cell, goals: list[Cell]) -> list[str] | None:
        """Directions that keep off the map's warps, or None; of equally short ways, today's favorite."""
        own = self.hands
        things = {(own.read("thing_x", each), own.read("thing_y", each)) for each in range(len(here.things))}
        walkable = here.open_after(own.events(), things)
        try:
            return find_path(walkable, start, goals, [warp.at for warp in here.warps], self.taste, here.ledges)
        except ValueError:
            return None

    def walk(self, here: Map, goals: list[Cell]) -> bool:
        """Walk to one of these cells; False where it led to another map (or the end) on the way or by design."""
        while True:
            self.settle()
            if self.mode() != OVERWORLD or self.here() is not here:
                return False
            way = self.way(here, self.cell(), goals)
            if not way:
                return bool(way is not None)
            self.step(way[0])

    def step(self, direction: str) -> None:
        """One decision: usually a step that way."""
        own, style = self.hands, self.style
        if own.chance(style.pause):
            own.hold(None)
            own.wait(own.rng.uniform(0.5, 3.0))
        elif own.chance(style.idle_press):
            own.hold(None)
            own.tap("ab"[int(own.rng.integers(2))])
        elif own.chance(style.wrong_turn):
            own.hold(list(STEPS)[int(own.rng.integers(4))])
            own.tick(int(own.rng.integers(2, 20)))
        elif own.held in STEPS and own.held != direction and own.chance(style.overshoot):
            own.tick(int(own.rng.integers(2, 14)))
        else:
            own.hold(direction)
            own.tick()
