"""What happens on a cartridge, parsed from ``game/plot.txt``: its events, the road through its places, its puzzle.

One line a fact:

    tilesets outdoor indoor           the tilesets, in the order of their numbers
    events title intro ...            events by their bit in wEventFlags. A bit in use never moves, so the order is of invention
    milestones title intro ...        the events that are the road, in the order a run reaches them
    goal tower 5                      the map that ends the game, and its number: it has no cells
    heal hearth 4,3                   where one wakes up after a defeat, as long as nobody has healed elsewhere
    leader alder                      the opponent who gives the badge
    levers 3 7 6 lit 2                the lamps each lever changes, a bit each; those lit at the beginning
    intro keeper mossling tower       the introduction's pictures; the first asks for the name
    road town route if partner        from town the road leads to the route once the event has happened: the first line that fits
    road maze route by maze           ... and there is a way to such a warp; ``by``: one that sets the event
    errand gym lever until badge      what has to be done first: use the things of a kind, or with a name, until the event
    rest town hearth if partner       where somebody who takes care looks in
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

from emurl.core.errors import InputError
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge

Cell = tuple[int, int]
"""(x, y) in 16×16 cells."""


@dataclass(frozen=True)
class Way:
    """From ``place`` the road leads to ``to`` once ``after`` has happened ("": always), by a warp that sets ``by`` ("": any)."""

    place: str
    to: str
    after: str = ""
    by: str = ""


@dataclass(frozen=True)
class Errand:
    """In ``place``, until ``until``: use a thing of the kind or name ``what``. ``until`` is "hurt" for the healer: as long as one is."""

    place: str
    what: str
    until: str


@dataclass(frozen=True)
class Plot:
    """A parsed ``plot.txt``; `emurl.games.mossdale.plot` says what the lines mean."""

    tilesets: tuple[str, ...]
    events: tuple[str, ...]
    milestones: tuple[str, ...]
    goal: tuple[str, int]
    heal: tuple[str, Cell]
    leader: str
    levers: tuple[int, ...]
    lit: int
    intro: tuple[str, ...]
    roads: tuple[Way, ...]
    errands: tuple[Errand, ...]
    rests: tuple[Way, ...]

    @property
    def all_lit(self) -> int:
        """The lamps when the puzzle is solved: a bit a lever."""
        return (1 << len(self.levers)) - 1

    def solution(self, lamps: int) -> tuple[int, ...]:
        """The fewest levers, in ascending order, that light every lamp; which are lit now is ``lamps``.

        Raises:
            ValueError: no levers do.
        """
        numbers = range(len(self.levers))
        for count in range(len(self.levers) + 1):
            for chosen in itertools.combinations(numbers, count):
                changed = lamps
                for number in chosen:
                    changed ^= self.levers[number]
                if changed == self.all_lit:
                    return chosen
        raise ValueError(f"no levers turn the lamps {lamps:b} into {self.all_lit:b}")


@lru_cache
def plot(of: Cartridge = MOSSDALE) -> Plot:
    """The plot of a cartridge.

    Raises:
        InputError: a line of another form, an event nobody knows, a fact that is missing.
    """
    path = of.source("plot.txt")
    facts: dict[str, tuple[str, ...]] = {}
    roads: list[Way] = []
    errands: list[Errand] = []
    rests: list[Way] = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        match line.split():
            case [] | ["#", *_]:
                continue
            case ["tilesets" | "events" | "milestones" | "goal" | "heal" | "leader" | "levers" | "intro" as name, *values] if (
                values
            ):
                facts[name] = tuple(values)
            case ["road" | "rest" as name, place, to]:
                (roads if name == "road" else rests).append(Way(place, to))
            case ["road" | "rest" as name, place, to, "if", event]:
                (roads if name == "road" else rests).append(Way(place, to, after=event))
            case ["road", place, to, "by", event]:
                roads.append(Way(place, to, by=event))
            case ["errand", place, what, "until", event]:
                errands.append(Errand(place, what, event))
            case ["errand", place, what, "hurt"]:
                errands.append(Errand(place, what, "hurt"))
            case _:
                raise InputError(f"plot.txt:{number}: {line!r} is none of the facts, road, errand, rest")
    try:
        levers, lit = facts["levers"][: facts["levers"].index("lit")], facts["levers"][-1]
        found = Plot(
            facts["tilesets"], facts["events"], facts["milestones"], (facts["goal"][0], int(facts["goal"][1])),
            (facts["heal"][0], _cell(facts["heal"][1])), facts["leader"][0], tuple(map(int, levers)), int(lit), facts["intro"],
            tuple(roads), tuple(errands), tuple(rests),
        )  # fmt: skip
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"plot.txt: goal, heal, leader, levers or another fact is missing or incomplete ({error})") from None
    named = {
        *found.milestones,
        *(way.after for way in roads + rests),
        *(way.by for way in roads),
        *(each.until for each in errands),
    }
    if unknown := named - {*found.events, "", "hurt"}:
        raise InputError(f"plot.txt: {', '.join(sorted(unknown))}: no such event, expected one of {', '.join(found.events)}")
    return found


def _cell(word: str) -> Cell:
    x, y = word.split(",")
    return int(x), int(y)
