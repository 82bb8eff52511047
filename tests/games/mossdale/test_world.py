"""The sources of the cartridge: maps that can be walked to the end, and mistakes in them told by file and line."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.core.errors import InputError
from emurl.games.mossdale import drawing, text, world
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.creatures import creatures
from emurl.games.mossdale.plot import plot


def test_every_warp_leads_to_a_cell_one_can_stand_on_and_the_way_on_is_open():
    by_name = {each.name: each for each in world.maps()}
    for each in world.maps():
        for warp in each.warps:
            assert warp.at in each.open_after(plot().events)
            if warp.map != plot().goal[0]:
                target = by_name[warp.map]
                assert warp.cell in target.open_after(plot().events)
                assert warp.cell not in {back.at for back in target.warps}, "nobody is thrown to and fro"
    set_by_warps = {warp.event for each in world.maps() for warp in each.warps if warp.event}
    set_by_people = {trainer.event for trainer in creatures().trainers.values()}
    assert set_by_warps | set_by_people | {"title", "intro", "partner", "puzzle"} == set(plot().milestones)
    assert plot().events[:6] == ("title", "intro", "bedroom", "house", "route", "goal"), "bits in use never move"


def test_everybody_can_be_reached():
    for each in world.maps():
        starts = [warp.cell for other in world.maps() for warp in other.warps if warp.map == each.name]
        starts += [each.start[0]] if each.start else []
        open_cells = each.open_after(plot().events, {thing.at for thing in each.things})
        for thing in each.things:
            sides = [(thing.at[0] + dx, thing.at[1] + dy) for dx, dy in world.STEPS.values()]
            ways = 0
            for start in starts:
                with contextlib.suppress(ValueError):
                    world.find_path(open_cells, start, sides, [warp.at for warp in each.warps], ledges=each.ledges)
                    ways += 1
            assert ways, f"{each.name}: {thing}"


def test_ledges_lead_down_only():
    cells = {(0, 0), (0, 2)}
    assert world.find_path(cells, (0, 0), [(0, 2)], ledges=[(0, 1)]) == ["down", "down"]
    with pytest.raises(ValueError, match="no way"):
        world.find_path(cells, (0, 2), [(0, 0)], ledges=[(0, 1)])
    route = world.load_map("route")
    assert len(world.find_path(route.walkable, (5, 21), [(5, 23)], ledges=route.ledges)) == 2
    assert len(world.find_path(route.walkable, (5, 23), [(5, 21)], ledges=route.ledges)) > 10


def test_the_town_and_the_route_are_no_straight_lines():
    """The way must turn often, or holding one button would play the game."""
    for name, start, goal in (("town", (3, 14), "route"), ("route", (6, 38), "maze")):
        here = world.load_map(name)
        way = world.find_path(here.open_after({"partner"}), start, [warp.at for warp in here.warps if warp.map == goal])
        turns = sum(a != b for a, b in itertools.pairwise(way))
        assert (len(way) > 40, turns >= 6) == (True, True)


def test_find_path_by_hand():
    cells = {(0, 0), (1, 0), (2, 0), (2, 1), (0, 1), (0, 2), (1, 2), (2, 2)}
    assert world.find_path(cells, (0, 0), [(2, 1)]) == ["right", "right", "down"]
    assert world.find_path(cells, (0, 0), [(2, 2)], order=("down", "right", "up", "left")) == ["down", "down", "right", "right"]
    assert world.find_path(cells, (0, 0), [(2, 1)], avoid=[(1, 0)]) == ["down", "down", "right", "right", "up"]
    assert world.find_path(cells, (0, 0), [(0, 0)]) == []
    with pytest.raises(ValueError, match="no way"):
        world.find_path(cells, (0, 0), [(5, 5)])


@given(st.lists(st.lists(st.sampled_from((0, 1, 2, 3)), min_size=8, max_size=8), min_size=8, max_size=8))
def test_tiles_are_packed_as_the_console_reads_them(tile):
    packed = drawing.two_bits(tile)
    unpacked = [[(packed[2 * y] >> (7 - x) & 1) + 2 * (packed[2 * y + 1] >> (7 - x) & 1) for x in range(8)] for y in range(8)]
    assert unpacked == tile
    assert drawing.one_bit(tile) == bytes(sum((shade == 3) << (7 - x) for x, shade in enumerate(row)) for row in tile)


def test_text_is_encoded_as_pokemon_red_does():
    assert text.encode("AZaz09") == bytes([0x80, 0x99, 0xA0, 0xB9, 0xF6, 0xFF])
    assert text.encode("{name}, it's :-?!.") == bytes(
        [0x52, 0xF4, 0x7F, 0xA8, 0xB3, 0xE0, 0xB2, 0x7F, 0x9C, 0xE3, 0xE6, 0xE7, 0xE8]
    )
    with pytest.raises(InputError, match="no '&'"):
        text.encode("you & me")


def drawing_file(folder: Path, text: str) -> Path:
    path = folder / "tiles.txt"
    path.write_text(text)
    return path


def test_mistakes_in_a_drawing_are_named(tmp_path):
    good = drawing_file(tmp_path, "# two drawings\n= a b\n..## ----\n.##. ++++\n")
    (group,) = drawing.read_groups(good)
    assert group.words == ("a", "b")
    assert group.drawings == ([[0, 0, 3, 3], [0, 3, 3, 0]], [[1] * 4, [2] * 4])
    with pytest.raises(InputError, match=r"tiles.txt:1: row 2 is not as wide"):
        list(drawing.read_groups(drawing_file(tmp_path, "= a\n..##\n.##\n")))
    with pytest.raises(InputError, match=r"tiles.txt:1: 'x' is not a pixel"):
        list(drawing.read_groups(drawing_file(tmp_path, "= a\n..x#\n")))
    bank = drawing.TileBank(1, "tileset test")
    assert bank.add([[0] * 8] * 8) == bank.add([[drawing.CLEAR] * 8] * 8) == 0
    with pytest.raises(InputError, match="tileset test: more than 1"):
        bank.add([[1] * 8] * 8)


def game_with(folder: Path, map_text: str = "", words: str = "", plot_text: str = "") -> Cartridge:
    of = Cartridge("other", "OTHER", folder)
    of.source("tiles").mkdir(parents=True)
    of.source("maps").mkdir()
    of.source("tiles", "outdoor.txt").write_bytes(MOSSDALE.source("tiles", "outdoor.txt").read_bytes())
    of.source("maps", "place.txt").write_text(map_text)
    of.source("text.txt").write_text(words)
    of.source("plot.txt").write_text(plot_text)
    return of


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("id 1\ntileset outdoor\nborder T\ncells\nTTT\nTT\n", "'TT' is not 3 characters"),
        ("id 1\ntileset outdoor\nborder T\ncells\nT!T\n", "'T!T' is not 3 characters of the outdoor legend"),
        ("id 1\ncolor green\ncells\nT\n", "'color green' is none of"),
    ],
)
def test_mistakes_in_a_map_are_named(tmp_path, body, complaint):
    with pytest.raises(InputError, match=r"place.txt: .*" + complaint.replace("!", "[!]")):
        world.load_map("place", game_with(tmp_path, body))


FACTS = """tilesets outdoor
events title intro badge
milestones title badge
goal tower 5
heal hearth 4,3
leader alder
levers 3 7 6 lit 2
intro keeper
"""


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (FACTS.replace("goal tower 5\n", ""), r"goal, .* is missing or incomplete \('goal'\)"),
        (FACTS + "rood bedroom house\n", "plot.txt:9: 'rood bedroom house' is none of the facts, road, errand, rest"),
        (FACTS + "road town route if partner\n", "partner: no such event, expected one of title, intro, badge"),
    ],
)
def test_mistakes_in_a_plot_are_named(tmp_path, body, complaint):
    with pytest.raises(InputError, match=complaint):
        plot(game_with(tmp_path, plot_text=body))


def test_levers_are_pulled_until_every_lamp_glows(tmp_path):
    read = plot(game_with(tmp_path, plot_text=FACTS + "road bedroom house\nerrand hearth heal hurt\n"))
    assert [read.solution(lamps) for lamps in (2, 1, 7, 0)] == [(0, 2), (2,), (), (1,)]
    with pytest.raises(ValueError, match="no levers"):
        replace(read, levers=(3, 3, 3)).solution(2)


def test_a_text_that_does_not_fit_the_box_is_named(tmp_path):
    of = game_with(tmp_path, words="[a]\neighteen letters!!\nseventeen letters\n\n{name} too\n")
    assert text.texts(of) == {"a": [["eighteen letters!!", "seventeen letters"], ["{name} too"]]}
    of.source("text.txt").write_text("[a]\nfine\neighteen letters!!\n")
    with pytest.raises(InputError, match=r"text.txt:3"):
        text.texts(of)
