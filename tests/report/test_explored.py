"""Where players went: counts land on the right cells of the right map, with colors that mean their number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from emurl.games.mossdale import atlas as drawn
from emurl.games.mossdale import world
from emurl.games.mossdale.drawing import stamp
from emurl.games.mossdale.memory import Mossdale
from emurl.report import Atlas, Plot, draw, plain_atlas
from emurl.report.explored import FIELD, RAMP, ROOM, STRENGTH, boxes, color, heat, share, summary, ticks

places = st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 60))


def white(plots: dict[int, Plot], wide: int = 64, tall: int = 48) -> Atlas:
    return Atlas(np.full((tall, wide, 3), 255, np.uint8), np.zeros((tall, wide, 4), np.uint8), plots)


def test_colors_go_by_the_logarithm_and_darken_all_the_way() -> None:
    assert [share(count, 1000) for count in (1, 10, 100, 1000)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert share(1, 1) == 1.0 and share(5000, 1000) == 1.0
    assert (color(0.0), color(0.5), color(1.0)) == (RAMP[0], RAMP[2], RAMP[4])
    light = [sum(weight * value for weight, value in zip((0.3, 0.59, 0.11), color(at / 50), strict=True)) for at in range(51)]
    assert all(later < sooner for sooner, later in itertools.pairwise(light))


def test_a_visit_colors_its_cell_and_no_other() -> None:
    atlas = white({7: Plot("cellar", 16, 0, 3, 2, 16, column=4, row=9)})
    shown = heat(atlas, {(7, 10, 5): 100, (7, 9, 4): 1, (7, 0, 0): 9, (8, 9, 4): 9}, 100)
    changed = (shown != 255).any(axis=-1)
    expected = np.zeros((48, 64), bool)
    expected[16:31, 32:47] = expected[0:15, 16:31] = True
    assert (changed == expected).all()
    often = np.round((1 - STRENGTH) * 255 + STRENGTH * np.array(RAMP[-1]))
    assert (shown[20, 40] == often).all() and (shown[5, 20] > shown[20, 40]).all()


def test_a_place_without_cells_counts_as_one_and_the_cover_lies_on_top() -> None:
    atlas = white({5: Plot("lamp", 0, 0, 2, 2, 16, whole=True)})
    assert boxes(atlas, {(5, 1, 4): 2, (5, 0, 0): 3}) == {(0, 0, 32, 32): 5}
    atlas.cover[3, 3] = (1, 2, 3, 255)
    assert heat(atlas, {(5, 1, 4): 1}, 1)[3, 3].tolist() == [1, 2, 3]


@given(st.lists(st.dictionaries(places, st.integers(1, 10**6), max_size=12), min_size=1, max_size=3))
def test_any_game_s_visits_all_lie_on_plain_fields_that_do_not_overlap(players: list[dict]) -> None:
    atlas = plain_atlas(players, {1: "a place with a rather long name"})
    tall, wide = atlas.ground.shape[:2]
    taken = np.zeros((tall, wide), int)
    for plot in atlas.plots.values():
        taken[plot.y : plot.y + plot.height * plot.cell, plot.x : plot.x + plot.width * plot.cell] += 1
        assert plot.x + plot.width * plot.cell <= wide and plot.y + plot.height * plot.cell <= tall
    assert taken.max(initial=0) <= 1
    for counts in players:
        assert sum(boxes(atlas, counts).values()) == sum(counts.values())
    assert set(atlas.plots) == {place[0] for counts in players for place in counts}


def test_a_plain_field_is_named_and_begins_a_cell_before_the_first_visit() -> None:
    atlas = plain_atlas([{(3, 20, 30): 1, (3, 22, 30): 1}], {})
    (plot,) = atlas.plots.values()
    assert (plot.name, plot.column, plot.row, plot.width, plot.height) == ("map 3", 29, 19, 3, 5)
    assert (atlas.ground[plot.y + 20, plot.x + 20] == FIELD).all()


def test_the_embedded_game_s_maps_are_all_there_side_by_side_as_they_are_drawn() -> None:
    atlas = drawn.atlas()
    assert {number: plot.name for number, plot in atlas.plots.items()} == dict(Mossdale.maps)
    wide, high = map(int, drawn.layout().size)
    taken = np.zeros((high, wide), int)
    for plot in atlas.plots.values():
        x, y = plot.x // 16, plot.y // 16
        taken[y : y + plot.height, x : x + plot.width] += 1
        assert x + plot.width <= wide and y + plot.height <= high
    assert taken.max() == 1
    town, tree = atlas.plots[3], [[0] * 16 for _ in range(16)]
    stamp(tree, world.tileset("outdoor")["T"].pixels, 0, 0)
    shown = atlas.ground[town.y + 17 * 16 : town.y + 18 * 16, town.x : town.x + 16]
    assert (shown == np.array(drawn.SHADES, np.uint8)[np.array(tree)]).all(), "the town's lower left corner is a tree"


def test_doors_are_tied_to_where_they_lead() -> None:
    """Every drawn road begins and ends on a warp of its maps, and every warp between two places has one."""
    corners = {each.name: drawn.layout().places[each.name] for each in world.maps()}
    doors = {
        (each.name, warp.map): {(corners[each.name][0] + w.at[0], corners[each.name][1] + w.at[1]) for w in each.warps if w.map == warp.map}
        for each in world.maps()
        for warp in each.warps
    }  # fmt: skip
    tied: set[frozenset[str]] = {frozenset(("town", "route"))}  # these two touch
    for road in drawn.layout().roads:
        ends = []
        for x, y in (road[0], road[-1]):
            beside = {(int(x) - dx, int(y) - dy) for dx, dy in [(0, 0), *world.STEPS.values()]} | {(int(x - 0.5), int(y))}
            ends.append({pair for pair, cells in doors.items() if cells & beside})
        pairs = {frozenset(pair) for pair in ends[0]} & {frozenset(pair) for pair in ends[1]}
        tied |= pairs or {frozenset(pair) for pair in ends[0]}
    assert tied >= {frozenset(pair) for pair in doors}


@given(st.integers(1, 10**8), st.integers(120, 420))
def test_numbers_below_the_legend_never_overlap(most: int, wide: int) -> None:
    shown = ticks(most, wide, lambda text: 9.0 * len(text))
    for (text, _, left), (_, _, after) in itertools.pairwise(shown):
        assert left + 9.0 * len(text) + ROOM <= after
    assert shown[-1][0] == f"{most:,}".replace(",", " ") and shown[-1][1] == wide - 1 and shown[0][2] >= 0
    assert all(0 <= at < wide for _, at, _ in shown)


def test_the_powers_of_ten_that_leave_room_are_below_the_legend() -> None:
    def texts(most: int) -> list[str]:
        return [text for text, _, _ in ticks(most, 420, ImageFont.load_default(16).getlength)]

    assert texts(33600) == ["1", "10", "100", "1 000", "33 600"]
    assert texts(99999) == ["1", "10", "100", "1 000", "10 000", "99 999"] and texts(1) == ["1"]


def test_the_picture_has_a_panel_a_player_and_says_how_much_was_seen() -> None:
    atlas = drawn.atlas()
    chance = {(1, 5, 1): 40, (1, 5, 2): 3}
    assert summary(atlas, chance) == "1 of 9 places · 2 cells"
    one, two = draw(atlas, [("policy", chance)]), draw(atlas, [("policy", chance), ("random", {})])
    assert two.height == one.height and two.width > 1.9 * one.width
    panel = np.asarray(two)[58 : 58 + 61 * 16, 20 : 20 + 42 * 16]
    assert (panel == heat(atlas, chance, 40)).all()
    assert draw(plain_atlas([{}], {}), [("policy", {})]).width > 0, "nobody moved at all"
