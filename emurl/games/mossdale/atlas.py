"""The game's world as one picture: its maps laid out around the road north, doors tied to where they lead.

``python -m emurl.games.mossdale.atlas docs/mossdale_map.png`` draws it as it is; evaluation lays over it where players went.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from emurl.games.mossdale import TITLE, world
from emurl.games.mossdale.assets import compose, drawings_by_name
from emurl.games.mossdale.drawing import CLEAR, Pixels, read_groups, stamp
from emurl.report.explored import PAPER, Atlas, Plot, heat

CELL = 16
WIDTH, HEIGHT = 42, 61
"""Cells of the whole picture."""

LAYOUT = {
    "tower": (1, 1), "gym": (1, 9), "bedroom": (1, 24), "house": (1, 32), "route": (11, 1), "town": (3, 41), "maze": (26, 3),
    "hearth": (25, 42), "lodge": (25, 51),
}  # fmt: skip
"""Where each map's upper left corner lies, in cells. Town and route touch, as they do in the game."""

ROADS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((5.5, 10.3), (5.5, 5.7)),  # the gym's stairs, the lamp
    ((18.5, 4.6), (10.5, 4.6), (10.5, 20.4), (5.0, 20.4), (5.0, 19.7)),  # the tower's door on the route, the gym
    ((21.5, 8.4), (21.5, 8.0), (25.5, 8.0), (25.5, 2.5), (33.5, 2.5), (33.5, 3.4)),  # the maze's far end
    ((16.5, 8.7), (16.5, 9.0), (25.5, 9.0), (25.5, 16.5), (33.5, 16.5), (33.5, 15.6)),  # its entrance
    ((9.5, 25.5), (10.5, 25.5), (10.5, 33.5), (9.5, 33.5)),  # the stairs between bedroom and house
    ((5.0, 39.7), (5.0, 40.5), (2.4, 40.5), (2.4, 54.5), (6.5, 54.5)),  # the house's door
    ((19.5, 44.5), (24.0, 44.5), (24.0, 50.4), (29.0, 50.4), (29.0, 49.7)),  # the hearth's
    ((14.5, 50.5), (23.5, 50.5), (23.5, 59.4), (29.0, 59.4), (29.0, 58.7)),  # the lodge's
)
"""Warps that are drawn, from door to door, in cells of the picture."""

SHADES = ((243, 243, 233), (213, 219, 203), (164, 178, 158), (94, 112, 98))
"""The console's four shades, white first, pale enough for colors to lie on them."""

ROAD, TAG, LETTERS = (30, 92, 130), (35, 38, 31), (251, 250, 247)


@lru_cache
def atlas() -> Atlas:
    """The world with a plot a map."""
    ground = np.empty((HEIGHT * CELL, WIDTH * CELL, 3), np.uint8)
    ground[:] = PAPER
    plots: dict[int, Plot] = {}
    for each in world.maps():
        column, row = LAYOUT[each.name]
        plots[each.id] = Plot(each.name, column * CELL, row * CELL, each.width, each.height, CELL)
        _put(ground, _map_pixels(each), column * CELL, row * CELL)
    name, number = world.GOAL_MAP
    column, row = LAYOUT[name]
    lamp = [line[8:-8] for line in dict(compose("ending"))["ending"][:80]]
    plots[number] = Plot(name, column * CELL, row * CELL, 9, 5, CELL, whole=True)
    _put(ground, lamp, column * CELL, row * CELL)
    drawings = drawings_by_name()
    for place, letter in enumerate(TITLE):
        _put(ground, drawings[f"logo_{letter}"], (29 + place) * CELL, 22 * CELL)
    _put(ground, drawings["mossling"], 31 * CELL + 8, 24 * CELL)
    return Atlas(ground, _cover(plots), plots)


def _map_pixels(each: world.Map) -> Pixels:
    """A map as it is when it is first entered, people and things on it."""
    legend = world.tileset(each.tileset)
    canvas: Pixels = [[0] * (each.width * CELL) for _ in range(each.height * CELL)]
    for y, line in enumerate(each.rows):
        for x, char in enumerate(line):
            stamp(canvas, legend[char].pixels, x * CELL, y * CELL)
    sprites = {group.words[0]: group.drawings[0] for group in reversed(list(read_groups(world.GAME / "sprites.txt")))}
    for thing in each.things:
        if thing.sprite != "sign":
            stamp(canvas, sprites[thing.sprite], thing.at[0] * CELL, thing.at[1] * CELL)
    return canvas


def _put(ground: np.ndarray, pixels: Pixels, x: int, y: int) -> None:
    shades = np.array(pixels)
    shown = shades != CLEAR
    ground[y : y + shades.shape[0], x : x + shades.shape[1]][shown] = np.array(SHADES, np.uint8)[shades[shown]]


def _cover(plots: dict[int, Plot]) -> np.ndarray:
    """What lies over the heat: roads between doors, and every map's name in the game's own letters."""
    picture = Image.new("RGBA", (WIDTH * CELL, HEIGHT * CELL))
    pen = ImageDraw.Draw(picture)
    for points in ROADS:
        line = [(x * CELL, y * CELL) for x, y in points]
        pen.line(line, (*LETTERS, 200), 6, "curve")
        pen.line(line, (*ROAD, 255), 3, "curve")
        for x, y in (line[0], line[-1]):
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), (*ROAD, 255), (*LETTERS, 255), 2)
    glyphs = _glyphs()
    for plot in plots.values():
        letters = [glyphs[letter] for letter in plot.name.upper()]
        pen.rounded_rectangle((plot.x - 4, plot.y - 8, plot.x + 16 * len(letters) + 5, plot.y + 13), 4, (*TAG, 255))
        for place, glyph in enumerate(letters):
            mask = Image.fromarray((np.array(glyph) == 3).astype(np.uint8) * 255).resize((16, 16), Image.Resampling.NEAREST)
            picture.paste((*LETTERS, 255), (plot.x + 2 + 16 * place, plot.y - 4), mask)
    return np.asarray(picture)


def _glyphs() -> dict[str, Pixels]:
    return {
        word: drawing
        for group in read_groups(world.GAME / "font.txt")
        for word, drawing in zip(group.words, group.drawings, strict=True)
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emurl.games.mossdale.atlas", description=__doc__)
    parser.add_argument("file", type=Path, help="the .png to write")
    Image.fromarray(heat(atlas(), {}, 1)).save(parser.parse_args(arguments).file, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
