"""What an agent relies on: one cell an action without drift, pictures on the grid, RAM that tells what the screen shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.games.mossdale import rom_path, symbols, world
from emurl.games.mossdale.bot import Style, play
from emurl.games.mossdale.text import char_code, texts
from tests.fixtures.mossdale_hand import assert_tile_map_is_true

ADDRESS = symbols()
MAPS = {each.id: each for each in world.maps()}


def value(console: GameBoy, name: str) -> int:
    return console.read(ADDRESS[name])[0]


def act(console: GameBoy, button: str | None) -> None:
    console.step(None if button is None else BUTTONS.index(button), 16)


def cell(console: GameBoy) -> tuple[int, int]:
    return value(console, "wXCoord"), value(console, "wYCoord")


def skip_text(console: GameBoy) -> None:
    while value(console, "wFontLoaded") or value(console, "wFading") or value(console, "wGameMode") == 2:
        act(console, "a" if value(console, "wTextWaiting") else None)


def walk(console: GameBoy, goal: tuple[int, int], after: Callable[[], None] = lambda: None) -> None:
    """One action a cell; fails where an action is not exactly one cell."""
    here = MAPS[value(console, "wCurMap")]
    for direction in world.find_path(here.walkable, cell(console), [goal], [warp.at for warp in here.warps]):
        x, y = cell(console)
        dx, dy = world.STEPS[direction]
        act(console, direction)
        assert (cell(console), value(console, "wStepLeft")) == ((x + dx, y + dy), 0)
        after()


@pytest.fixture(scope="module")
def states() -> dict[str, bytes]:
    """Save states: every map as it is first entered by a runner who does nothing else."""
    found: dict[str, bytes] = {}

    def look(console: GameBoy) -> None:
        name = MAPS[value(console, "wCurMap")].name if value(console, "wCurMap") in MAPS else ""
        busy = any(value(console, field) for field in ("wFading", "wFontLoaded", "wStepLeft"))
        if name and name not in found and value(console, "wGameMode") == 3 and not busy:
            found[name] = console.save()

    assert play(GameBoy(rom_path()), 0, look, render_every=0, style=Style.plain()).finished
    assert list(found) == ["bedroom", "house", "town", "lodge", "route", "maze", "gym"]
    return found


def at(states: dict[str, bytes], name: str) -> GameBoy:
    """A console standing on that map, no button down."""
    console = GameBoy(rom_path())
    console.tick(1)
    console.load(states[name])
    for button in BUTTONS:
        console.release(button)
    console.tick(32)
    return console


def read_line(console: GameBoy, row: int) -> bytes:
    return console.read(ADDRESS["wTileMap"] + 20 * row + 1, 18)


def encoded(line: str) -> bytes:
    return bytes(char_code(char) for char in line.replace("{name}", "ROWAN")).ljust(18, b"\x7f")


@pytest.mark.parametrize(("name", "goal"), [("bedroom", (8, 2)), ("house", (3, 6)), ("town", (13, 4)), ("route", (10, 34))])
def test_an_action_of_16_ticks_is_a_cell_and_its_picture_stands_on_the_grid(states, name, goal):
    console = at(states, name)
    walk(console, goal, lambda: assert_tile_map_is_true(console))
    assert value(console, "wLagFrames") == 0


def test_a_held_direction_walks_a_cell_every_16_ticks(states):
    console = at(states, "town")
    walk(console, (4, 16))
    console.press("right")
    for ticks in range(1, 8 * 16 + 1):
        console.tick(1)
        assert cell(console) == (4 + ticks // 16, 16)


def test_a_wall_turns_the_player_and_takes_no_time(states):
    console = at(states, "bedroom")
    walk(console, (0, 5))
    for direction in ("up", "left"):  # the bed, the edge of the map
        act(console, direction)
        assert cell(console) == (0, 5)
        assert value(console, "wFacing") == world.FACINGS[direction]
    act(console, "right")
    assert cell(console) == (1, 5)


def test_a_change_of_map_fits_in_one_action_and_leaves_no_drift(states):
    console = at(states, "bedroom")
    walk(console, (8, 2))
    act(console, "up")
    assert value(console, "wFading") == 1
    act(console, "down")  # pressed into the fade: ignored
    assert (value(console, "wFading"), value(console, "wCurMap"), cell(console)) == (0, 2, (8, 2))
    act(console, "down")
    assert (cell(console), value(console, "wStepLeft")) == ((8, 3), 0)
    assert_tile_map_is_true(console)


def test_warps_lead_back_as_well(states):
    console = at(states, "route")
    walk(console, (6, 38))
    act(console, "down")
    act(console, None)
    act(console, None)
    assert (value(console, "wCurMap"), cell(console)) == (3, (14, 1))
    act(console, "up")
    act(console, None)
    act(console, None)
    assert (value(console, "wCurMap"), cell(console)) == (4, (6, 38))


SPOKEN = [
    (each.name, thing) for each in world.maps() for thing in each.things if thing.kind in ("talk", "guard", "lever", "nest")
]


@pytest.mark.parametrize(("name", "thing"), [pair for pair in SPOKEN if pair[1].at[1] > 30 or pair[0] != "route"])
def test_every_text_stands_on_the_screen_as_in_its_source(states, name, thing):
    console = at(states, name)
    here = MAPS[value(console, "wCurMap")]
    sides = {(thing.at[0] - dx, thing.at[1] - dy): way for way, (dx, dy) in world.STEPS.items()}
    warps = [warp.at for warp in here.warps]
    way = world.find_path(here.walkable, cell(console), set(sides) - set(warps), warps)
    side = cell(console)
    for step in way:
        side = (side[0] + world.STEPS[step][0], side[1] + world.STEPS[step][1])
    direction = sides[side]
    walk(console, side)
    act(console, direction)
    act(console, "a")
    for page in texts()[thing.text]:
        assert value(console, "wFontLoaded") == 1
        while not value(console, "wTextWaiting"):
            console.tick(1)
        console.tick(2)
        assert_tile_map_is_true(console)
        first, second = read_line(console, 14), read_line(console, 16)
        assert first == encoded(page[0])
        assert second[:17] == encoded(page[1])[:17]
        assert second[17] == 0xEE, "the arrow asks for A"
        act(console, "a")
    if thing.kind != "nest":
        console.tick(40)
        assert value(console, "wFontLoaded") == 0
        assert_tile_map_is_true(console)
    number = [each for each in texts() if each.startswith("talk_")].index(thing.text)
    assert value(console, "wTextBoxID") == (0x10 + number if thing.kind != "nest" else 4)
    bit = 32 + number
    assert console.read(ADDRESS["wEventFlags"] + bit // 8)[0] >> bit % 8 & 1


def test_title_and_introduction_want_new_presses_of_their_own_buttons():
    console = GameBoy(rom_path())
    console.press("start")  # held from power-on: pressed once, long before the title was there
    console.press("a")
    console.tick(400)
    assert value(console, "wGameMode") == 1
    assert_tile_map_is_true(console)
    console.release("start")
    console.release("a")
    console.tick(1)
    for button in ("a", "b", "select", "up"):
        act(console, button)
    assert value(console, "wGameMode") == 1
    act(console, "start")
    console.press("a")
    pages = [texts()[f"intro_{number}"][0] for number in (1, 2, 3)]
    for number, page in enumerate(pages):
        while not value(console, "wTextWaiting"):
            console.tick(1)
        console.tick(200)
        assert value(console, "wTextWaiting") == 1, "a held A goes no further"
        assert_tile_map_is_true(console)
        assert value(console, "wTextBoxID") == 1
        assert read_line(console, 14) == encoded(page[0])
        assert (number, read_line(console, 16)[:17]) == (number, encoded(page[1])[:17])
        console.release("a")
        console.tick(2)
        console.press("a")
        console.tick(3)
        assert value(console, "wTextWaiting") == 0
    console.tick(60)
    console.release("a")
    while not value(console, "wMenu"):
        console.tick(1)
    for button in ("down", "down", "up", "a"):
        act(console, button)
    assert console.read(ADDRESS["wPlayerName"], 6) == encoded("HAZEL")[:5] + b"\x50"
    while not value(console, "wTextWaiting"):
        console.tick(1)
    console.tick(2)
    assert read_line(console, 14) == encoded("HAZEL, go and")
    act(console, "a")
    console.tick(60)
    assert (value(console, "wGameMode"), value(console, "wCurMap")) == (3, 1)


def test_new_game_fields():
    console = GameBoy(rom_path())
    while value(console, "wGameMode") != 1:
        console.tick()
    assert console.read(ADDRESS["wPlayerName"], 6) == encoded("ROWAN")[:5] + b"\x50"
    assert console.read(ADDRESS["wPlayerMoney"], 3) == b"\x00\x05\x00"
    assert [value(console, name) for name in ("wPartyCount", "wObtainedBadges", "wIsInBattle", "wCurMap")] == [0] * 4
    assert console.read(ADDRESS["wNumBagItems"], 4) == b"\1\x14\2\xff"


def test_the_clock_counts_a_second_in_60_ticks(states):
    console = at(states, "town")
    minutes, seconds, frames = console.read(ADDRESS["wPlayTimeMinutes"], 3)
    console.tick(1000)
    later = console.read(ADDRESS["wPlayTimeMinutes"], 3)
    assert (later[0] * 60 + later[1]) * 60 + later[2] == (minutes * 60 + seconds) * 60 + frames + 1000


def test_the_start_menu_and_its_pages_stand_in_the_tile_map(states):
    console = at(states, "town")
    before = console.frame().copy()
    for line in range(5):
        act(console, "start")
        console.tick(8)
        for _ in range(line):
            act(console, "down")
        assert_tile_map_is_true(console)
        assert (value(console, "wMenu"), value(console, "wCurrentMenuItem")) == (6, line)
        act(console, "a")
        console.tick(40)
        if line < 4:
            assert value(console, "wMenu") == 7 + line
            assert_tile_map_is_true(console)
            act(console, "right")
            assert_tile_map_is_true(console)
            act(console, "b")
            console.tick(40)
        assert (value(console, "wMenu"), value(console, "wFontLoaded"), value(console, "wGameMode")) == (0, 0, 3)
        assert_tile_map_is_true(console)
    assert (console.frame() == before).all()


@pytest.mark.parametrize("seed", range(3))
def test_chance_alone_gets_nowhere(seed):
    console = GameBoy(rom_path())
    rng = np.random.default_rng(seed)
    for _ in range(400):
        console.step(int(rng.integers(8)), 16)
    assert console.read(ADDRESS["wEventFlags"])[0] < 16, "no random player has left the house within 400 actions"
