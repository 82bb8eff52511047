"""The reader against the running game, and every text of a whole game against its source."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.memory_layout import read_many
from emurl.envs.gameboy.memory_text import read_text
from emurl.games.mossdale import rom_path, symbols
from emurl.games.mossdale.bot import Style, play
from emurl.games.mossdale.memory import Mossdale
from emurl.games.mossdale.text import texts

ADDRESS = symbols()
READER = Mossdale()


def pattern(page: list[str]) -> str:
    """What a page looks like on the screen, any word in the places that are filled in."""
    words = re.escape("\n".join(page))
    for hole in ("name", "a", "b", "c"):
        words = words.replace(re.escape("{" + hole + "}"), r"[A-Z0-9]+")
    return words


def watched(seed: int, look: Callable[[GameBoy], None], style: Style | None = None) -> None:
    assert play(GameBoy(rom_path()), seed, look, render_every=0, style=style).finished


def value(console: GameBoy, name: str) -> int:
    return console.read(ADDRESS[name])[0]


@pytest.mark.parametrize("seed", [3, 4])
def test_every_text_that_was_printed_to_its_end_is_one_of_the_source(seed):
    pages = [re.compile(pattern(page)) for text in texts().values() for page in text]
    seen: set[str] = set()

    def look(console: GameBoy) -> None:
        if value(console, "wTextStands") or value(console, "wTextWaiting"):
            seen.add(read_text(console).text)

    watched(seed, look)
    assert not {text for text in seen if not any(page.fullmatch(text) for page in pages)}
    assert len(seen) > 30 and any("uses" in text for text in seen) and any("EMBER BADGE" in text for text in seen)


def test_the_reader_s_facts_follow_the_game():
    changes: dict[str, list[tuple[object, object]]] = {}
    before: dict[str, object] = {}

    def look(console: GameBoy) -> None:
        if console.frames % 4:
            return
        facts = READER.read(console)
        for name, fact in facts.items():
            if name in before and before[name] != fact:
                changes.setdefault(name, []).append((before[name], fact))
        if facts["mode"] == 5 and facts["in_battle"] in (1, 2):
            assert facts["hp"] <= facts["max_hp"] and facts["pokedex_seen"] >= 1
        many = read_many([console, console])
        assert all((values[0] == values[1]).all() for values in many.values())
        assert (many["x"][0], many["party_hp"][0, 0], many["party_levels"][0, 0]) == (facts["x"], facts["hp"], facts["level"])
        before.update(facts)

    watched(1, look, Style.plain(1))
    assert changes["party_count"] == [(0, 1)] and changes["pokedex_owned"] == [(0, 1)]
    assert changes["badges"] == [(0, 1)], "winning the tower's bout is what gives the badge"
    assert {change for change in changes["in_battle"] if 255 not in change} >= {(0, 1), (1, 0), (0, 2), (2, 0)}
    assert all(after > was for was, after in changes["level"]) and changes["level"][0][0] == 0
    assert [after for _, after in changes["money"]] == [500, 580, 880]
    assert all(after >= was for was, after in changes["events"])
    assert all(abs(after - was) == 1 for was, after in changes["play_time_s"])
    steps = [change for change in changes["x"] + changes["y"] if abs(change[1] - change[0]) == 1]
    assert len(steps) > 100
    assert any(after < was for was, after in changes["enemy_hp"]) and any(after < was for was, after in changes["hp"])


def test_blacking_out_wakes_by_the_hearth_healed_and_poorer_and_a_balm_heals():
    state: list[bytes] = []

    def look(console: GameBoy) -> None:
        if not state and value(console, "wIsInBattle") == 1 and value(console, "wMenu") == 3:
            state.append(console.save())

    watched(1, look, Style.plain(1))
    console = GameBoy(rom_path())
    console.tick(1)

    def press(button: str, ticks: int = 40) -> None:
        console.step(BUTTONS.index(button), 16)
        console.tick(ticks)

    def fight_on(first: str) -> None:
        console.load(state[0])
        for button in BUTTONS:
            console.release(button)
        console.tick(8)

    fight_on("balm")
    console.memory[ADDRESS["wPartyMons"] + 2] = 5
    press("down")
    press("a")
    assert value(console, "wMenu") == 5
    console.memory[ADDRESS["wEnemyMon"] + 17 + 1] = 0  # its blows do little
    press("a", 60)
    assert READER.read(console)["hp"] >= 20 and console.read(ADDRESS["wBagItems"] + 1)[0] == 1

    fight_on("defeat")
    money = READER.read(console)["money"]
    console.memory[ADDRESS["wPartyMons"] + 2] = 1
    console.memory[ADDRESS["wEnemyMon"] + 2] = 60
    lost = False
    for _ in range(400):
        facts = READER.read(console)
        lost |= facts["in_battle"] == 255
        if lost and facts["mode"] == 3 and facts["map"] == 6 and not facts["text_box"]:
            break
        press("a", 8)
    assert lost and (facts["map"], facts["x"], facts["y"]) == (6, 4, 3)
    assert facts["hp"] == facts["max_hp"] and facts["money"] == money // 2 and facts["in_battle"] == 0
