"""Every text of the source is brought to the screen by the game itself, rare branches too, and read as it stands in the source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from emurl.games.mossdale import world
from emurl.games.mossdale.text import texts
from tests.fixtures.mossdale_hand import (
    ENEMY_ATTACK,
    ENEMY_LEVEL,
    ENEMY_SPEED,
    HP,
    MAPS,
    MAX_HP,
    POINTS,
    SPEED,
    Hand,
    filled,
    said,
)
from tests.fixtures.mossdale_scenes import BAG, BEINGS, BLOW, FIGHT, ITEMS, ME, OWN, START, YES_NO, against, foe, scenes

SEEN: dict[str, set[str]] = {}
"""What was read, by the name of the text; filled by the scenes, looked at by the last test."""


def keep(hand: Hand) -> None:
    for name, text in hand.read:
        SEEN.setdefault(name, set()).add(text)


def check(hand: Hand, *expected: list[tuple[str, str]]) -> None:
    """What was read is exactly this, page by page."""
    keep(hand)
    assert hand.read == [page for pages in expected for page in pages]
    hand.read = []


@pytest.fixture(scope="module")
def states() -> dict[str, bytes]:
    for name, text in scenes().read:
        SEEN.setdefault(name, set()).add(text)
    return scenes().states


class Missed(Exception):
    """The dice fell otherwise than the scene needs."""


def turn(hand: Hand, move: int) -> None:
    hand.choose(FIGHT, 0)
    hand.choose(BLOW, move)
    hand.until(lambda: hand.value("wMenu") == FIGHT or hand.value("wGameMode") == 3)


def in_battle(states: dict[str, bytes], scene: Callable[[Hand], list[list[tuple[str, str]]]], state: str = "wild") -> Hand:
    """A scene of a battle; dice are thrown anew (by waiting) where a blow missed that should not, or the other way round.

    What is read in a throw that is not taken is compared with the source too (`Hand.look`), as everything is.
    """
    hand = Hand(states[state])
    for wait in range(120):
        hand.load(states[state])
        hand.tick(wait)
        expected: list[tuple[str, str]] = []
        with contextlib.suppress(Missed):
            expected = [page for pages in scene(hand) for page in pages]
        if expected and hand.read == expected:
            check(hand, expected)
            return hand
    raise AssertionError(f"read {hand.read}, expected {expected}")


PEOPLE = [
    (place, thing)
    for place in ("alone bedroom", "alone house", "alone town", "alone lodge", "route", "maze")
    for thing in world.load_map(place.split()[-1]).things
    if thing.kind in ("talk", "guard", "gift")
]


@pytest.mark.parametrize(("state", "thing"), PEOPLE, ids=lambda each: getattr(each, "text", None))
def test_what_people_and_signs_say(states, state, thing):
    hand = Hand(states[state])
    hand.meet(thing)
    hand.settle()
    check(hand, said(thing.text, name=ME))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_nests(states, number):
    hand = Hand(states["alone lodge"])
    nest = world.load_map("lodge").things[number]
    hand.meet(nest)
    hand.choose(YES_NO, 1)
    hand.settle()
    check(hand, said(f"talk_nest_{number}"), said("nest_ask", a=nest.of))
    assert hand.value("wPartyCount") == 0
    hand.meet(nest)
    hand.choose(YES_NO, 0)
    hand.settle()
    check(hand, said(f"talk_nest_{number}"), said("nest_ask", a=nest.of), said("nest_yes", a=nest.of))
    hand.meet(nest)
    hand.settle()
    check(hand, said("nest_no"))


def test_the_hearth(states):
    nurse = world.load_map("hearth").things[0]
    hand = Hand(states["alone town"])
    hand.enter("hearth")
    hand.meet(nurse)
    hand.settle()
    check(hand, said("talk_nurse"), said("nobody_to_heal"))
    hand.load(states["hearth"])
    hand.put("wPartyMons", HP, 3)
    hand.meet(nurse)
    hand.settle()
    check(hand, said("talk_nurse"), said("healed", a=OWN))


def test_the_lamps(states):
    hand = Hand(states["gym"])
    levers = {thing.of: thing for thing in world.load_map("gym").things if thing.kind == "lever"}
    for number in ("1", "1", "0", "2"):
        hand.meet(levers[number])
        hand.settle()
        more = [said("gate_opens")] if hand.value("wLamps") == 7 else []
        check(hand, said(f"talk_lever_{int(number) + 1}"), *more)
    assert hand.value("wLamps") == 7
    hand.meet(world.load_map("gym").things[4])
    hand.settle()
    check(hand, said("talk_gym_sign"))


def won(hand: Hand, species: str, level: int) -> list[list[tuple[str, str]]]:
    """Beat this opponent with one blow: what is read meanwhile."""
    points = str(BEINGS.species[species].numbers[4] * level // 4)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    if foe(hand) != species:
        raise Missed
    assert hand.value("wEnemyMon", ENEMY_LEVEL) == level
    against(hand, "plain", hp=1)
    hand.put("wPartyMons", POINTS, 0, 10)
    turn(hand, 0)
    if ("misses", "But it misses!") in hand.read:
        raise Missed
    return [said("uses", a=OWN, b="BUMP"), said("foe_faints", b=species), said("gains", a=OWN, b=points)]


@pytest.mark.parametrize("name", ["wren", "alder"])
def test_the_opponents_before_while_and_after(states, name):
    place = "route" if name == "wren" else "gym"
    thing = next(thing for thing in world.load_map(place).things if thing.of == name)
    trainer = BEINGS.trainers[name]

    def scene(hand: Hand) -> list[list[tuple[str, str]]]:
        if name == "wren":  # it sees whoever comes by
            hand.stand(3, 16, "up")
            hand.step("up")
        else:
            hand.meet(thing)
        expected = [said(f"{name}_before")]
        for species, level in trainer.monsters:
            expected.append(said("sends", c=name.upper(), b=species))
            expected += won(hand, species, level)
        hand.until(lambda: hand.value("wGameMode") == 3)
        hand.settle()
        expected += [said("prize", name=ME, b=str(trainer.prize)), said(f"{name}_after")]
        return [*expected, said("badge", name=ME)] if name == "alder" else expected

    hand = in_battle(states, scene, place)
    facing = (thing.at[0] - 1, thing.at[1])
    if name == "wren":
        facing = (hand.value("wXCoord"), hand.value("wYCoord"))
    hand.stand(*facing, "right")
    hand.tap("a")
    hand.settle()
    check(hand, said(f"talk_{name}"))


def test_nobody_fights_without_a_partner(states):
    hand = Hand(states["gym"])
    hand.put("wPartyCount", 0, 0)
    hand.meet(world.load_map("gym").things[0])
    hand.settle()
    check(hand, said("nobody_to_heal"))


BOUTS: dict[str, Callable[[Hand], list[list[tuple[str, str]]]]] = {}


def bout(scene: Callable[[Hand], list[list[tuple[str, str]]]]) -> Callable[[Hand], list[list[tuple[str, str]]]]:
    BOUTS[scene.__name__] = scene
    return scene


@bout
def a_strong_blow_and_a_weakening_one(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "leaf")
    turn(hand, 1)
    return [said("uses", a=OWN, b="FLICKER"), said("strong"), said("uses", a=foe(hand), b="GLARE"), said("weaker", b=OWN)]


@bout
def a_weak_blow_and_a_mending(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "tide", moves="MEND")
    turn(hand, 1)
    other = foe(hand)
    return [said("uses", a=OWN, b="FLICKER"), said("weak"), said("uses", a=other, b="MEND"), said("mends", b=other)]


@bout
def weakened_to_the_last(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain", moves="MEND")
    expected = []
    for _ in range(3):
        turn(hand, 2)
        other = foe(hand)
        done = said("weaker", b=other) if len(expected) < 8 else said("no_effect")
        expected += [said("uses", a=OWN, b="GLARE"), done, said("uses", a=other, b="MEND"), said("mends", b=other)]
    return expected


@bout
def a_mending_of_one_s_own_and_a_miss(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain")
    turn(hand, 3)
    return [said("uses", a=OWN, b="MEND"), said("mends", b=OWN), said("uses", a=foe(hand), b="GLARE"), said("misses")]


@bout
def the_faster_one_begins(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain")
    hand.put("wEnemyMon", ENEMY_SPEED, 99)
    turn(hand, 0)
    return [said("uses", a=foe(hand), b="GLARE"), said("weaker", b=OWN), said("uses", a=OWN, b="BUMP")]


@bout
def a_level_gained(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain", hp=1)
    other, points = foe(hand), 6 * 6 * 4 - 1
    gained = BEINGS.species[other].numbers[4] * hand.value("wEnemyMon", ENEMY_LEVEL) // 4
    hand.put("wPartyMons", POINTS, 0, points)
    turn(hand, 0)
    won = [said("uses", a=OWN, b="BUMP"), said("foe_faints", b=other), said("gains", a=OWN, b=str(gained))]
    return [*won, said("grows", a=OWN, b="6")]


@bout
def running(hand: Hand) -> list[list[tuple[str, str]]]:
    hand.choose(FIGHT, 2)
    hand.until(hand.walks)
    return [said("ran")]


@bout
def running_too_slowly(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain")
    hand.put("wPartyMons", SPEED, 0)
    hand.choose(FIGHT, 2)
    hand.until(lambda: hand.value("wMenu") == FIGHT or hand.walks())
    return [said("cannot_run"), said("uses", a=foe(hand), b="GLARE"), said("weaker", b=OWN)]


@bout
def a_balm(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain")
    hand.put("wPartyMons", HP, 5)
    hand.choose(FIGHT, 1)
    hand.choose(ITEMS, 0)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    return [said("balm_used", a=OWN), said("uses", a=foe(hand), b="GLARE"), said("weaker", b=OWN)]


@bout
def a_balm_for_nothing_and_none_left(hand: Hand) -> list[list[tuple[str, str]]]:
    hand.choose(FIGHT, 1)
    hand.choose(ITEMS, 0)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    hand.put("wNumBagItems", 0, 0)
    hand.tick(4)
    hand.tap("a", 1) if hand.value("wCurrentMenuItem") == 1 else hand.choose(FIGHT, 1)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    return [said("no_effect"), said("no_balm")]


@bout
def a_defeat(hand: Hand) -> list[list[tuple[str, str]]]:
    against(hand, "plain", moves="BUMP")
    hand.put("wPartyMons", HP, 1)
    hand.put("wEnemyMon", ENEMY_ATTACK, 200)
    other = foe(hand)
    turn(hand, 2)
    hand.settle()
    assert MAPS[hand.value("wCurMap")].name == "hearth" and hand.value("wPartyMons", HP) == hand.value("wPartyMons", MAX_HP)
    own = [said("uses", a=OWN, b="GLARE"), said("weaker", b=other)]
    return [*own, said("uses", a=other, b="BUMP"), said("faints", b=OWN), said("blackout", name=ME)]


@pytest.mark.parametrize("scene", BOUTS)
def test_a_bout(states, scene):
    in_battle(states, BOUTS[scene])


def test_nobody_runs_from_an_opponent(states):
    hand = Hand(states["route"])
    hand.stand(3, 16, "up")
    hand.step("up")
    hand.choose(FIGHT, 2)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    check(hand, said("wren_before"), said("sends", c="WREN", b="LAMPMOTH"), said("no_run"))


def test_the_bag(states):
    hand = Hand(states["town"])
    hand.put("wPartyMons", HP, hand.value("wPartyMons", MAX_HP) - 3)
    hand.tap("start")
    hand.choose(START, 1)
    for expected in (said("balm_used", a=OWN), said("no_effect")):
        hand.choose(BAG, 0)
        hand.until(lambda: hand.value("wMenu") == BAG)
        check(hand, expected)


def test_every_text_of_the_source_was_read_off_the_screen():
    """The last of this file: a text that no scene brings up fails here, and so does a page of it."""
    if not SEEN or len(SEEN) < 10:
        pytest.skip("only with the rest of this file, which collects what was seen")
    assert set(SEEN) == set(texts())
    for name, pages in texts().items():
        for page in pages:
            holes = {hole for hole in ("name", "a", "b", "c") if any("{" + hole + "}" in line for line in page)}
            start = filled(page, dict.fromkeys(holes, "\0")).split("\0")[0]
            assert any(text.startswith(start) for text in SEEN[name]), f"{name}: {page}"
