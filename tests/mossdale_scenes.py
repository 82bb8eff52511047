"""Scenes of the embedded game, reached once and kept as save states, and what was read and which menus stood on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from mossdale_hand import ADDRESS, ENEMY_SPEED, HP, MOVES, TYPE, Hand, said

from emurl.cartridge import world
from emurl.cartridge.creatures import creatures

BEINGS = creatures()
KINDS, BLOWS = list(BEINGS.kinds), list(BEINGS.moves)
ME, OWN = "HAZEL", "CINDRIL"
"""The player's name and the partner in every scene that has one."""

NAME, YES_NO, FIGHT, BLOW, ITEMS, START, PARTY, BAG, BEASTS, OPTIONS = range(1, 11)
"""Values of wMenu."""


@dataclass
class Scenes:
    """`states`: "title"; maps by their name, "alone …" without a partner; "wild" at the first choice of a battle.

    `read` and `menus`: what stood on the screen on the way there, as `Hand` keeps it.
    """

    states: dict[str, bytes] = field(default_factory=dict)
    read: list[tuple[str, str]] = field(default_factory=list)
    menus: list[bytes] = field(default_factory=list)


@cache
def scenes() -> Scenes:
    """All scenes, played up to once."""
    hand, found = Hand(), Scenes()

    def keep(name: str) -> None:
        found.states[name] = hand.console.save()
        found.read += hand.read
        found.menus += hand.menus
        hand.read, hand.menus = [], []

    hand.until(lambda: hand.value("wGameMode") == 1)
    hand.tick(40)
    found.menus.append(hand.console.read(ADDRESS["wTileMap"], 360))  # the title waits for START, not for a choice
    keep("title")
    hand.tap("start")
    hand.choose(NAME, 1)
    hand.settle()
    assert hand.read == [page for text in ("1", "2", "3", "ask", "4") for page in said(f"intro_{text}", name=ME)]
    keep("alone bedroom")
    for place in ("house", "town", "lodge"):
        hand.enter(place)
        keep(f"alone {place}")
    hand.meet(world.load_map("lodge").things[2])
    hand.choose(YES_NO, 0)
    hand.settle()
    keep("lodge")
    for place in ("town", "hearth", "route", "maze", "gym"):
        hand.enter(place)
        keep(place)
    hand.load(found.states["route"])
    hand.stand(5, 31)
    while not hand.value("wIsInBattle"):
        hand.step("left" if hand.value("wXCoord") == 5 else "right")
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    assert hand.read == said("wild", b=foe(hand)) + said("go", a=OWN)
    keep("wild")
    return found


def foe(hand: Hand) -> str:
    """The species of the opponent."""
    return list(BEINGS.species)[hand.value("wEnemyMon") - 1]


def against(hand: Hand, kind: str = "plain", hp: int = 200, moves: str = "GLARE") -> None:
    """Another opponent: of that type, with that one move only, hard to beat and slow."""
    hand.put("wEnemyMon", TYPE, KINDS.index(kind), KINDS.index(kind))
    hand.put("wEnemyMon", MOVES, *[BLOWS.index(moves)] * 4)
    hand.put("wEnemyMon", HP, hp)
    hand.put("wEnemyMon", ENEMY_SPEED, 1)
