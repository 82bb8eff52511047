"""The game's world as one picture: its maps laid out around the road north, doors tied to where they lead.

``python -m emurl.games.mossdale.atlas docs/mossdale_map.png`` draws it as it is; evaluation lays over it where players went.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from emurl.core.errors import InputError
from emurl.games.mossdale import world
from emurl.games.mossdale.assets import compose, drawings_by_name
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge, find_cartridge
from emurl.games.mossdale.drawing import CLEAR, Pixels, read_groups, stamp
from emurl.games.mossdale.plot import plot
from emurl.report.explored import PAPER, Atlas, Plot, heat

CELL = 16

Point = tuple[float, float]
"""(x, y) in cells of the picture."""

SHADES = ((243, 243, 233), (213, 219, 203), (164, 178, 158), (94, 112, 98))
"""The console's four shades, white first, pale enough for colors to lie on them."""

ROAD, TAG, LETTERS = (30, 92, 130), (35, 38, 31), (251, 250, 247)


@dataclass(frozen=True)
class Layout:
    """Where things lie on the picture, in cells: maps and other things by their upper left corners, roads from door to door."""

    size: Point
    places: dict[str, Point]
    roads: tuple[tuple[Point, ...], ...]
    title: Point
    mascot: tuple[str, Point]


@lru_cache
def layout(of: Cartridge = MOSSDALE) -> Layout:
    """A cartridge's ``atlas.txt``: ``size X,Y``, ``at MAP X,Y``, ``road X,Y X,Y ...``, ``title X,Y``, ``mascot DRAWING X,Y``.

    Raises:
        InputError: a line of another form.
    """
    size = title = mascot = None
    places: dict[str, Point] = {}
    roads: list[tuple[Point, ...]] = []
    for number, line in enumerate(of.source("atlas.txt").read_text(encoding="ascii").splitlines(), start=1):
        match line.partition("  #")[0].split():
            case [] | ["#", *_]:
                continue
            case ["size", point]:
                size = _point(point)
            case ["title", point]:
                title = _point(point)
            case ["at", name, point]:
                places[name] = _point(point)
            case ["road", *points] if len(points) > 1:
                roads.append(tuple(map(_point, points)))
            case ["mascot", name, point]:
                mascot = (name, _point(point))
            case _:
                raise InputError(f"atlas.txt:{number}: {line!r} is none of size, at, road, title, mascot")
    if size is None or title is None or mascot is None:
        raise InputError("atlas.txt: expected a size, a title and a mascot")
    return Layout(size, places, tuple(roads), title, mascot)


def _point(word: str) -> Point:
    x, y = word.split(",")
    return float(x), float(y)


@lru_cache
def atlas(of: Cartridge = MOSSDALE) -> Atlas:
    """The world with a plot a map."""
    lay = layout(of)
    ground = np.empty((round(lay.size[1] * CELL), round(lay.size[0] * CELL), 3), np.uint8)
    ground[:] = PAPER
    plots: dict[int, Plot] = {}
    for each in world.maps(of):
        x, y = _pixel(lay.places[each.name])
        plots[each.id] = Plot(each.name, x, y, each.width, each.height, CELL)
        _put(ground, _map_pixels(each, of), x, y)
    name, number = plot(of).goal
    x, y = _pixel(lay.places[name])
    end = [line[8:-8] for line in dict(compose("ending", of))["ending"][:80]]
    plots[number] = Plot(name, x, y, 9, 5, CELL, whole=True)
    _put(ground, end, x, y)
    drawings = drawings_by_name(of)
    x, y = _pixel(lay.title)
    for place, letter in enumerate(of.title):
        _put(ground, drawings[f"logo_{letter}"], x + place * CELL, y)
    _put(ground, drawings[lay.mascot[0]], *_pixel(lay.mascot[1]))
    return Atlas(ground, _cover(plots, of), plots)


def _pixel(point: Point) -> tuple[int, int]:
    return round(point[0] * CELL), round(point[1] * CELL)


def _map_pixels(each: world.Map, of: Cartridge) -> Pixels:
    """A map as it is when it is first entered, people and things on it."""
    canvas: Pixels = [[0] * (each.width * CELL) for _ in range(each.height * CELL)]
    for y, line in enumerate(each.rows):
        for x, char in enumerate(line):
            stamp(canvas, each.legend[char].pixels, x * CELL, y * CELL)
    sprites = {group.words[0]: group.drawings[0] for group in reversed(list(read_groups(of.source("sprites.txt"))))}
    for thing in each.things:
        if thing.sprite != "sign":
            stamp(canvas, sprites[thing.sprite], thing.at[0] * CELL, thing.at[1] * CELL)
    return canvas


def _put(ground: np.ndarray, pixels: Pixels, x: int, y: int) -> None:
    shades = np.array(pixels)
    shown = shades != CLEAR
    ground[y : y + shades.shape[0], x : x + shades.shape[1]][shown] = np.array(SHADES, np.uint8)[shades[shown]]


def _cover(plots: dict[int, Plot], of: Cartridge) -> np.ndarray:
    """What lies over the heat: roads between doors, and every map's name in the game's own letters."""
    picture = Image.new("RGBA", _pixel(layout(of).size))
    pen = ImageDraw.Draw(picture)
    for points in layout(of).roads:
        line = [(x * CELL, y * CELL) for x, y in points]
        pen.line(line, (*LETTERS, 200), 6, "curve")
        pen.line(line, (*ROAD, 255), 3, "curve")
        for x, y in (line[0], line[-1]):
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), (*ROAD, 255), (*LETTERS, 255), 2)
    glyphs = _glyphs(of)
    for place in plots.values():
        letters = [glyphs[letter] for letter in place.name.upper()]
        pen.rounded_rectangle((place.x - 4, place.y - 8, place.x + 16 * len(letters) + 5, place.y + 13), 4, (*TAG, 255))
        for column, glyph in enumerate(letters):
            mask = Image.fromarray((np.array(glyph) == 3).astype(np.uint8) * 255).resize((16, 16), Image.Resampling.NEAREST)
            picture.paste((*LETTERS, 255), (place.x + 2 + 16 * column, place.y - 4), mask)
    return np.asarray(picture)


def _glyphs(of: Cartridge) -> dict[str, Pixels]:
    return {
        word: drawing
        for group in read_groups(of.source("font.txt"))
        for word, drawing in zip(group.words, group.drawings, strict=True)
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emurl.games.mossdale.atlas", description=__doc__)
    parser.add_argument("file", type=Path, help="the .png to write")
    parser.add_argument("--game", default=MOSSDALE.name, help="which game of this engine (default: %(default)s)")
    options = parser.parse_args(arguments)
    Image.fromarray(heat(atlas(find_cartridge(options.game)), {}, 1)).save(options.file, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
