"""Menus, pages and the end screen say what the game knows, in the words of the source, pixel by pixel (`Hand.look`)."""

from __future__ import annotations

import pytest

from emurl.envs.gameboy.memory_text import decode_rows
from emurl.games.mossdale.cartridge import MOSSDALE
from tests.fixtures.mossdale_hand import ADDRESS, HP, MOVES, Hand, has_word
from tests.fixtures.mossdale_scenes import BAG, BEASTS, BEINGS, BLOW, BLOWS, FIGHT, ITEMS, ME, OPTIONS, OWN, PARTY, START, scenes

MENUS: list[bytes] = []
"""The tile maps of all menus that stood; filled by the tests, looked at by the last one."""


def test_the_bag_and_what_is_left_of_it():
    hand = Hand(scenes().states["wild"])
    hand.choose(FIGHT, 1)
    hand.until(lambda: hand.value("wMenu") == ITEMS)
    assert decode_rows(hand.menus[-1])[14] == "BALM 2"
    MENUS.extend(hand.menus)
    for left, shown in ((1, ["BALM 2", "PENNIES 500"]), (0, ["NOTHING LEFT", "PENNIES 500"])):
        hand.load(scenes().states["town"])
        hand.put("wNumBagItems", 0, left)
        hand.put("wObtainedBadges", 0, 1)
        hand.tap("start")
        hand.choose(START, 1)
        hand.until(lambda: hand.value("wMenu") == BAG)
        rows = decode_rows(hand.menus[-1])
        assert [rows[4], rows[8], rows[10]] == [*shown, "BADGE ×"]  # the game draws a star there, its layout's character is ×
        MENUS.extend(hand.menus)


def test_the_menus_say_what_the_game_knows():
    hand = Hand(scenes().states["alone town"])
    hand.tap("start")
    hand.choose(START, 0)
    hand.until(lambda: hand.value("wMenu") == PARTY)
    assert decode_rows(hand.menus[-1])[8] == "NOBODY YET"
    MENUS.extend(hand.menus)
    hand.load(scenes().states["town"])
    hand.put("wPartyMons", HP, 17)
    hand.tap("start")
    rows = decode_rows(hand.menus[-1])
    assert [row.split()[-1] for row in rows[2:12:2]] == ["PARTNER", "BAG", "BEASTS", "OPTIONS", "CLOSE"]
    assert rows[13].endswith(ME)
    hand.choose(START, 0)
    hand.until(lambda: hand.value("wMenu") == PARTY)
    rows = decode_rows(hand.menus[-1])
    assert [rows[row] for row in (2, 4, 6)] == [OWN, "L 5 EMBER", "HP 17/38"]
    assert [rows[row] for row in (9, 10)] == ["POINTS 100", "NEXT 144"]
    assert [rows[row].split()[-1] for row in range(12, 16)] == list(BEINGS.species[OWN].moves)
    hand.tap("b")
    hand.settle()
    hand.put("wPokedexSeen", 0, 0x7F & ~1)
    hand.tap("start")
    hand.choose(START, 2)
    hand.until(lambda: hand.value("wMenu") == BEASTS)
    for number, (name, species) in enumerate(BEINGS.species.items(), start=1):
        hand.tick(6)
        hand.look()
        rows = decode_rows(hand.menus[-1])
        shown = [name, BEINGS.kinds[species.kind].title, "FRIEND" if name == OWN else "SEEN"]
        assert [rows[row] for row in (2, 4, 6, 8)] == [f"{number}/7", *(shown if number > 1 else ["?????", "", ""])]
        hand.tap("right")
    hand.put("wPokedexSeen", 0, 0x7F)
    for button in ("right", "left"):
        hand.tap(button)
    hand.look()
    assert decode_rows(hand.menus[-1])[4] == "MOSSLING"
    MENUS.extend(hand.menus)


def test_a_battle_s_menus():
    hand = Hand(scenes().states["wild"])
    for own, moves in (("MOSSLING", "BRAMBLE"), (OWN, "FLICKER"), ("PUDDLET", "SPLASH")):
        hand.load(scenes().states["wild"])
        hand.put("wPartyMons", MOVES, *(BLOWS.index(move) for move in BEINGS.species[own].moves))
        hand.tick(4)
        hand.look()
        rows = decode_rows(hand.menus[-1])
        assert rows[14:17] == ["Now what? FIGHT", "ITEM", "RUN"]
        hand.choose(FIGHT, 0)
        hand.until(lambda: hand.value("wMenu") == BLOW)
        rows = decode_rows(hand.menus[-1])
        assert rows[13:17] == ["BUMP TYPE", moves, "GLARE PLAIN", "MEND"]
        hand.tap("down", 4)
        hand.look()
        assert decode_rows(hand.menus[-1])[15] == f"GLARE {BEINGS.kinds[BEINGS.moves[moves].kind].title}"
        MENUS.extend(hand.menus)


def test_the_end_screen():
    hand = Hand(scenes().states["gym"])
    hand.event("puzzle")
    hand.event("badge")
    hand.stand(4, 2, "up")
    hand.step("up")
    hand.until(lambda: hand.value("wGameMode") == 4)
    hand.tick(40)
    rows = decode_rows(hand.console.read(ADDRESS["wTileMap"], 360))
    minutes, seconds = hand.value("wPlayTimeMinutes"), hand.value("wPlayTimeSeconds")
    assert (rows[12], rows[14]) == ("THE LAMP IS LIT", f"TIME {minutes:02d}:{seconds:02d}")
    MENUS.append(hand.console.read(ADDRESS["wTileMap"], 360))
    options = Hand(scenes().states["town"])
    options.tap("start")
    options.choose(START, 3)
    options.until(lambda: options.value("wMenu") == OPTIONS)
    MENUS.extend(options.menus)


def test_every_word_of_a_menu_was_seen():
    if len(MENUS) < 20:
        pytest.skip("only with the rest of this file, which collects what was seen")
    stood = MENUS + scenes().menus
    lines = [line.partition(" ") for line in MOSSDALE.source("words.txt").read_text("ascii").splitlines() if line[:1] not in "# "]
    spoken = {"warden", "wren"}  # names that texts are filled with
    missing = {
        name for name, _, words in lines if not any(all(has_word(tiles, word) for word in words.split()) for tiles in stood)
    } - spoken
    assert not missing
    for word in [*BEINGS.species, *BEINGS.moves, *(kind.title for kind in BEINGS.kinds.values())]:
        assert any(has_word(tiles, word) for tiles in stood), word
