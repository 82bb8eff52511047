"""Every field of the reader against the running game: something is played, and exactly the fields it should change do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emurl.envs.gameboy.memory_layout import SPANS, has_event, read_many
from emurl.games.mossdale import world
from emurl.games.mossdale.memory import Mossdale
from emurl.games.mossdale.plot import plot
from tests.fixtures.mossdale_hand import ENEMY_ATTACK, HP, MAX_HP, MOVES, POINTS, Hand
from tests.fixtures.mossdale_scenes import BEINGS, BLOW, BLOWS, FIGHT, ITEMS, OPTIONS, START, against, foe, scenes

READER = Mossdale()
CHECKED: set[str] = set()
"""Fields that some test has seen change as they should."""

Facts = dict[str, object]


def facts(hand: Hand) -> Facts:
    return READER.read(hand.console)


def changed(hand: Hand, act: Callable[[], object]) -> dict[str, tuple[object, object]]:
    """The facts that differ after `act`, before and after; the clock and the bits behind `events` left out."""
    before = facts(hand)
    act()
    after = facts(hand)
    found = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    CHECKED.update(found)
    return {name: change for name, change in found.items() if name not in ("play_time_s", "event_flags")}


def happened(hand: Hand, name: str) -> bool:
    return has_event(facts(hand), plot().events.index(name))


@pytest.fixture(scope="module")
def states() -> dict[str, bytes]:
    return scenes().states


def strike(hand: Hand, done: Callable[[], bool]) -> None:
    """BUMP until something is so: one blow in 25 misses."""
    hand.until(lambda: done() or (hand.value("wMenu") == FIGHT and _bump(hand)) or done())


def _bump(hand: Hand) -> bool:
    hand.choose(FIGHT, 0)
    hand.choose(BLOW, 0)
    return False


def test_a_step_changes_one_coordinate_by_one(states):
    hand = Hand(states["town"])
    hand.stand(9, 10, "right")
    assert changed(hand, lambda: hand.step("right")) == {"x": (9, 10)}
    assert changed(hand, lambda: hand.step("left")) == {"x": (10, 9), "facing": (12, 8)}
    hand.stand(3, 8, "down")
    assert changed(hand, lambda: hand.step("down")) == {"y": (8, 9)}
    assert changed(hand, lambda: hand.step("up")) == {"y": (9, 8), "facing": (0, 4)}


def test_a_step_takes_16_frames(states):
    hand = Hand(states["town"])
    hand.stand(9, 10, "right")
    hand.console.press("right")
    left = []
    for _ in range(16):
        hand.tick()
        left.append(facts(hand)["step_left"])
    assert left == [*range(15, -1, -1)] and facts(hand)["x"] == 10
    CHECKED.add("step_left")


def test_a_door_changes_the_map_and_counts_once(states):
    hand = Hand(states["town"])
    hand.stand(14, 1, "up")
    hand.event("route", False)

    def through() -> None:
        hand.step("up")
        hand.settle()

    found = changed(hand, through)
    events = found.pop("events")
    assert found == {"map": (3, 4), "x": (14, 6), "y": (1, 38)} and events[1] == events[0] + 1 and happened(hand, "route")
    hand.stand(6, 38, "down")

    def back() -> None:
        hand.step("down")
        hand.settle()

    assert changed(hand, back) == {"map": (4, 3), "x": (6, 14), "y": (38, 1)}


def test_a_box_a_menu_and_a_page(states):
    hand = Hand(states["town"])
    hand.stand(6, 15, "up")

    def ask() -> None:
        hand.tap("a", 1)
        hand.until(lambda: bool(hand.value("wTextWaiting")))

    found = changed(hand, ask)
    before, after = found.pop("events")
    assert after == before + 1, "the sign was read"
    assert found == {"text_box": (False, True), "text": ("", "MOSSDALE\nAll roads go up.")}
    hand.settle()
    found = changed(hand, lambda: hand.tap("start"))
    assert found.pop("text_box") == (False, True) and found.pop("menu") == (0, START) and set(found) <= {"text"}
    hand.choose(START, 3)
    hand.until(lambda: hand.value("wMenu") == OPTIONS)
    assert facts(hand)["mode"] == 6
    hand.tap("b")
    hand.settle()
    assert (facts(hand)["mode"], facts(hand)["menu"], facts(hand)["text"]) == (3, 0, "")


def test_title_introduction_and_name(states):
    hand = Hand(states["title"])
    assert facts(hand)["mode"] == 1 and READER.reached(facts(hand)) == []
    assert facts(hand)["player_name"] == "ROWAN"
    hand.tap("start")
    hand.until(lambda: bool(hand.value("wTextWaiting")))
    assert facts(hand)["mode"] == 2 and READER.reached(facts(hand)) == ["title"]

    def name() -> None:
        hand.choose(1, 2)
        hand.settle()

    found = changed(hand, name)
    assert found["player_name"] == ("ROWAN", "FERN") and found["map"] == (0, 1) and found["mode"] == (2, 3)
    assert READER.reached(facts(hand)) == ["title", "intro"]


def test_waking_a_partner(states):
    hand = Hand(states["alone lodge"])
    assert facts(hand)["party_count"] == facts(hand)["level"] == facts(hand)["hp"] == 0
    nest = world.load_map("lodge").things[1]
    hand.stand(4, 4, "up")

    def wake() -> None:
        hand.tap("a", 1)
        hand.choose(2, 0)
        hand.settle()

    found = changed(hand, wake)
    most = BEINGS.species[nest.of].numbers[0] + 2 * 5
    before, after = found.pop("events")
    assert after == before + 2, "the nest was looked at, somebody woke"
    assert found == {
        "party_count": (0, 1), "level": (0, 5), "hp": (0, most), "max_hp": (0, most), "pokedex_owned": (0, 1), "pokedex_seen": (0, 1),
    }  # fmt: skip
    assert happened(hand, "partner") and "partner" in READER.reached(facts(hand))


def test_a_wild_monster_is_met_hit_and_beaten(states):
    hand = Hand(states["route"])
    hand.stand(5, 31)
    seen = facts(hand)["pokedex_seen"]
    while not hand.value("wIsInBattle"):
        hand.step("left" if hand.value("wXCoord") == 5 else "right")
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    met = facts(hand)
    assert (met["in_battle"], met["mode"], met["pokedex_seen"]) == (1, 5, seen + 1)
    assert met["enemy_hp"] == BEINGS.species[foe(hand)].numbers[0] + 2 * hand.value("wEnemyMon", 14)
    against(hand)
    strike(hand, lambda: hand.value("wEnemyMon", HP) < 200)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    assert 180 < facts(hand)["enemy_hp"] < 200 and facts(hand)["hp"] == met["hp"]
    hand.put("wEnemyMon", HP, 1)
    hand.put("wPartyMons", POINTS, 0, 6 * 6 * 4 - 1)
    hand.until(lambda: hand.value("wMenu") == FIGHT)

    def win() -> None:
        strike(hand, hand.walks)
        hand.settle()

    found = changed(hand, win)
    assert found["enemy_hp"] == (1, 0) and found["in_battle"] == (1, 0) and found["mode"] == (5, 3)
    assert found["level"] == (5, 6), "one point was missing"
    for name in ("hp", "max_hp"):
        assert found[name][1] == found[name][0] + 2


def test_being_hit_costs_hit_points_and_a_balm_gives_them_back(states):
    hand = Hand(states["wild"])
    against(hand)
    hand.put("wEnemyMon", MOVES, *[BLOWS.index("BUMP")] * 4)
    most = facts(hand)["max_hp"]
    strike(hand, lambda: hand.value("wPartyMons", HP) < most)
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    assert 0 < facts(hand)["hp"] < most
    against(hand)
    for left in (1, 0):
        hand.put("wPartyMons", HP, 10)

        def heal() -> None:
            hand.choose(FIGHT, 1)
            hand.choose(ITEMS, 0)
            hand.until(lambda: hand.value("wMenu") == FIGHT)

        found = changed(hand, heal)
        assert found.pop("hp") == (10, 30)
        assert found == ({} if left else {"bag_items": (1, 0)}), "a kind of item is counted, not how many of it"


def test_the_hearth_gives_all_hit_points_back(states):
    hand = Hand(states["hearth"])
    hand.put("wPartyMons", HP, 3)
    hand.stand(4, 3, "up")

    def rest() -> None:
        hand.tap("a", 1)
        hand.settle()

    found = changed(hand, rest)
    assert found.pop("hp") == (3, hand.value("wPartyMons", MAX_HP))
    assert set(found) <= {"events"}


@pytest.mark.parametrize(("name", "place", "prize", "bit"), [("wren", "route", 80, "trainer"), ("alder", "gym", 300, "badge")])
def test_beating_an_opponent_pays_and_sets_its_bit(states, name, place, prize, bit):
    hand = Hand(states[place])
    if name == "wren":
        hand.stand(3, 16, "up")
        hand.step("up")
    else:
        hand.meet(world.load_map("gym").things[0])
    hand.until(lambda: hand.value("wMenu") == FIGHT)
    money, before = facts(hand)["money"], facts(hand)
    assert before["in_battle"] == 2 and before["badges"] == 0 and not happened(hand, bit)

    def win() -> None:
        for _ in BEINGS.trainers[name].monsters:
            hand.until(lambda: hand.value("wMenu") == FIGHT)
            against(hand, hp=1)
            strike(hand, lambda: hand.walks() or hand.value("wEnemyMon", HP) != 1)
        hand.settle()

    found = changed(hand, win)
    assert found["money"] == (money, money + prize) and found["in_battle"] == (2, 0) and happened(hand, bit)
    assert found.get("badges") == ((0, 1) if name == "alder" else None)
    assert bit in READER.reached(facts(hand))


def test_a_defeat_is_told_and_halves_the_purse(states):
    hand = Hand(states["wild"])
    against(hand)
    hand.put("wPartyMons", HP, 1)
    hand.put("wEnemyMon", MOVES, *[BLOWS.index("BUMP")] * 4)
    hand.put("wEnemyMon", ENEMY_ATTACK, 250)
    money = facts(hand)["money"]
    strike(hand, lambda: facts(hand)["in_battle"] == 255)
    assert facts(hand)["hp"] == 0
    CHECKED.add("in_battle")
    hand.until(lambda: facts(hand)["in_battle"] == 0)
    hand.settle()
    after = facts(hand)
    assert (after["map"], after["money"], after["hp"]) == (6, money // 2, after["max_hp"])


def test_the_end_screen_is_the_last_milestone(states):
    hand = Hand(states["gym"])
    hand.event("puzzle")
    hand.event("badge")
    hand.stand(4, 2, "up")
    hand.step("up")
    hand.until(lambda: hand.value("wGameMode") == 4)
    assert facts(hand)["mode"] == 4 and facts(hand)["map"] == 5 and "goal" in READER.reached(facts(hand))


def test_the_clock_is_in_seconds(states):
    hand = Hand(states["town"])
    hand.put("wPlayTimeMinutes", 0, 59)
    hand.put("wPlayTimeSeconds", 0, 50)
    before = facts(hand)["play_time_s"]
    assert before == 59 * 60 + 50
    hand.tick(60 * 20)
    assert facts(hand)["play_time_s"] == before + 20, "an hour passed meanwhile"
    CHECKED.add("play_time_s")


class Counted:
    """A console that notes how many bytes are read of it."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.bytes = hand, 0

    def read(self, address: int, count: int = 1) -> bytes:
        self.bytes += count
        return self.hand.console.read(address, count)


def test_many_consoles_in_different_places_are_read_at_once_each_as_it_is(states):
    hands = [Hand(states[name]) for name in ("title", "alone lodge", "town", "gym", "wild", "maze")]
    hands[3].put("wObtainedBadges", 0, 1)
    counted = [Counted(hand) for hand in hands]
    many = read_many(counted)
    assert {each.bytes for each in counted} == {sum(count for _, _, count in SPANS)} == {648}
    for number, hand in enumerate(hands):
        one = facts(hand)
        for name, values in many.items():
            if name == "event_flags":
                assert values[number].tobytes() == one[name]
            elif name.startswith("party_") and values.ndim == 2:
                short = name.removeprefix("party_").replace("levels", "level")
                assert values[number, 0] == one[short] and not values[number, 1:].any()
            else:
                assert values[number] == one[name], name
    assert many["map"].tolist() == [0, 7, 3, 9, 4, 8] and many["in_battle"].tolist() == [0, 0, 0, 0, 1, 0]
    assert many["party_levels"][:, 0].tolist() == [0, 0, 5, 5, 5, 5] and many["badges"].tolist() == [0, 0, 0, 1, 0, 0]
    assert all(isinstance(values, np.ndarray) and len(values) == len(hands) for values in many.values())


def test_no_field_of_the_reader_went_unchecked(states):
    """The last of this file: a new field without a test of its own fails here."""
    if len(CHECKED) < 10:
        pytest.skip("only with the rest of this file")
    assert set(facts(Hand(states["town"]))) == CHECKED
