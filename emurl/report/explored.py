"""Where players have been: counts by coordinate laid over a picture of the game's maps, player beside player.

Counts are visits of walking cells by (map, y, x). An `Atlas` says where each map lies on a picture: a game may draw
its own (`Game.atlas`), any other gets `plain_atlas`, a field a map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Counts = Mapping[tuple[int, int, int], int]
"""Visits by (map number, y, x)."""

PAPER, INK, SOFT, RULE, FIELD = (251, 250, 247), (35, 38, 31), (108, 112, 102), (222, 220, 211), (236, 234, 226)
RAMP = ((255, 221, 120), (252, 158, 62), (226, 76, 74), (150, 32, 118), (52, 10, 92))
"""Seldom to often: brightness falls all the way, so that it reads in gray too."""

STRENGTH = 0.8  # of a cell's color over the map beneath
GAP, HEAD, FOOT = 20, 58, 60  # px: round the panels, above them, below them
ROOM = 10.0  # px between two numbers of the legend, at least
PLAIN_CELL, PLAIN_ROW, PLAIN_TAG = 12, 640, 22  # px of the plain atlas: a cell, a row of fields, a name above its field


@dataclass(frozen=True)
class Plot:
    """A map on an atlas: its cells `column` …, `row` … (of the map), `width` × `height` of them, begin at pixel (x, y).

    `whole`: wherever on the map somebody was, all of the plot counts as one place.
    """

    name: str
    x: int
    y: int
    width: int
    height: int
    cell: int = 16
    column: int = 0
    row: int = 0
    whole: bool = False


@dataclass(frozen=True)
class Atlas:
    """A picture uint8 (H, W, 3) of the maps, what goes over the heat uint8 (H, W, 4), and the plots by map number."""

    ground: np.ndarray
    cover: np.ndarray
    plots: Mapping[int, Plot]


def share(count: float, most: int) -> float:
    """Where `count` visits lie between 1 (0.0) and `most` (1.0), logarithmically; 1.0 where most is 1."""
    return min(1.0, max(0.0, math.log(count) / math.log(most))) if most > 1 else 1.0


def color(at: float) -> tuple[float, float, float]:
    """The color of a share 0 … 1."""
    place = at * (len(RAMP) - 1)
    low = min(int(place), len(RAMP) - 2)
    red, green, blue = (a + (b - a) * (place - low) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True))
    return red, green, blue


def boxes(atlas: Atlas, counts: Counts) -> dict[tuple[int, int, int, int], int]:
    """Visits by rectangle of the atlas (x, y, width, height in pixels); what lies on none of its plots is left out."""
    found: dict[tuple[int, int, int, int], int] = {}
    for (number, y, x), count in counts.items():
        plot = atlas.plots.get(number)
        if plot is None:
            continue
        across, down = x - plot.column, y - plot.row
        if plot.whole:
            box = (plot.x, plot.y, plot.width * plot.cell, plot.height * plot.cell)
        elif 0 <= across < plot.width and 0 <= down < plot.height:
            box = (plot.x + across * plot.cell, plot.y + down * plot.cell, plot.cell, plot.cell)
        else:
            continue
        found[box] = found.get(box, 0) + count
    return found


def heat(atlas: Atlas, counts: Counts, most: int) -> np.ndarray:
    """The atlas with one player's counts over it, uint8 (H, W, 3)."""
    picture = atlas.ground.astype(np.float32)
    for (x, y, wide, tall), count in boxes(atlas, counts).items():
        # A hair of the map stays visible between cells, so that they can be counted.
        part = picture[y : y + tall - 1, x : x + wide - 1]
        part *= 1 - STRENGTH
        part += STRENGTH * np.array(color(share(count, most)), np.float32)
    over = atlas.cover[..., 3:].astype(np.float32) / 255
    return np.asarray((picture * (1 - over) + atlas.cover[..., :3] * over).round(), np.uint8)


def plain_atlas(players: Iterable[Counts], names: Mapping[int, str]) -> Atlas:
    """An atlas for a game whose maps nobody has drawn: for every map that was visited a field with its name above."""
    places = sorted({place for counts in players for place in counts})
    extents: dict[int, tuple[int, int, int, int]] = {}  # the corners of what was visited, by map
    for number, y, x in places:
        left, top, right, bottom = extents.get(number, (x, y, x, y))
        extents[number] = min(left, x), min(top, y), max(right, x), max(bottom, y)
    font = ImageFont.load_default(14)
    plots: dict[int, Plot] = {}
    pen_x = pen_y = tall = 0
    for number, (left, top, right, bottom) in extents.items():
        name = names.get(number, f"map {number}")
        width, height = right - left + 3, bottom - top + 3  # a cell of margin all round
        wide = max(width * PLAIN_CELL, math.ceil(font.getlength(name)))
        if pen_x and pen_x + wide > PLAIN_ROW:
            pen_x, pen_y, tall = 0, pen_y + tall + GAP, 0
        plots[number] = Plot(name, pen_x, pen_y + PLAIN_TAG, width, height, PLAIN_CELL, left - 1, top - 1)
        pen_x += wide + GAP
        tall = max(tall, PLAIN_TAG + height * PLAIN_CELL)
    wide = max(
        (plot.x + max(plot.width * PLAIN_CELL, math.ceil(font.getlength(plot.name))) for plot in plots.values()), default=1
    )
    ground = Image.new("RGB", (wide, max(1, pen_y + tall)), PAPER)
    pen = ImageDraw.Draw(ground)
    for plot in plots.values():
        edge = (plot.x, plot.y, plot.x + plot.width * plot.cell - 1, plot.y + plot.height * plot.cell - 1)
        pen.rounded_rectangle(edge, 4, FIELD)
        pen.text((plot.x, plot.y - 5), plot.name, INK, font, "ls")
    return Atlas(np.asarray(ground), np.zeros((ground.height, ground.width, 4), np.uint8), plots)


def draw(atlas: Atlas, players: Sequence[tuple[str, Counts]]) -> Image.Image:
    """The picture: a panel a player, one scale for all, its legend below."""
    most = max((count for _, counts in players for count in boxes(atlas, counts).values()), default=1)
    tall, wide = atlas.ground.shape[:2]
    panel = max(wide, 300)
    picture = Image.new("RGB", (len(players) * (panel + GAP) + GAP, HEAD + tall + FOOT + GAP), PAPER)
    pen = ImageDraw.Draw(picture)
    for order, (name, counts) in enumerate(players):
        left = GAP + order * (panel + GAP)
        pen.text((left, 34), name, INK, ImageFont.load_default(28), "ls")
        pen.text((left + panel, 34), summary(atlas, counts), SOFT, ImageFont.load_default(18), "rs")
        pen.line((left, 45, left + panel - 1, 45), RULE, 2)
        picture.paste(Image.fromarray(heat(atlas, counts, most)), (left, HEAD))
    _legend(pen, GAP, HEAD + tall + GAP, min(420, panel), most)
    return picture


def summary(atlas: Atlas, counts: Counts) -> str:
    """How much of the game it was: places and cells."""
    seen = {number for number, _, _ in counts}
    places = f"{len(seen & set(atlas.plots))} of {len(atlas.plots)} places"
    return f"{places} · {len(boxes(atlas, counts))} cells"


def ticks(most: int, wide: int, length: Callable[[str], float]) -> list[tuple[str, int, float]]:
    """The numbers below a legend `wide` px across: 1, the powers of ten that leave room, and `most`; each with its place and where it begins.

    Args:
        length: px of a text.
    """

    def text(number: int) -> str:
        return f"{number:,}".replace(",", " ")

    last = wide - 1 - length(text(most))
    found, end = [], -ROOM
    for number in (10**power for power in range(len(str(most)))):
        at, needed = round((wide - 1) * share(number, most)), length(text(number))
        left = max(0.0, at - needed / 2)
        if number < most and left >= end + ROOM and left + needed + ROOM <= last:
            found.append((text(number), at, left))
            end = left + needed
    return [*found, (text(most), wide - 1, last)]


def _legend(pen: ImageDraw.ImageDraw, x: int, y: int, wide: int, most: int) -> None:
    """The colors from one visit to the most, with round numbers below."""
    font = ImageFont.load_default(16)
    label = "actions that ended on a cell, all episodes"
    for step in range(wide):
        shade = color(step / max(1, wide - 1) if most > 1 else 1.0)
        mixed = tuple(round(STRENGTH * a + (1 - STRENGTH) * b) for a, b in zip(shade, FIELD, strict=True))
        pen.line((x + step, y, x + step, y + 13), mixed)
    for text, at, left in ticks(most, wide, font.getlength):
        pen.line((x + at, y + 14, x + at, y + 18), SOFT)
        pen.text((x + left, y + 20), text, SOFT, font, "la")
    pen.text((x + wide + 16, y + 12), label, SOFT, font, "ls")
