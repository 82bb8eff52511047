"""A contact sheet of splits: what the screen shows when the median run passes each, and beside it what one run shows then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emurl.report.panel import ACCENT, GROUND, INK, SOFT
from emurl.report.splits_table import ahead_or_behind, stopwatch
from emurl.screen import ScreenSpec, to_gray

SCALE = 2
GAP = 12
HEAD = 40  # px of the title
CAPTION = 26  # px under a picture
COLUMNS = {1: 6, 2: 3}  # splits side by side, by the pictures each has
EMPTY, EDGE = (232, 230, 222), (205, 203, 195)
BEHIND = (176, 58, 46)  # later than the median


@dataclass(frozen=True)
class Shot:
    """A picture of a split: the frame uint8 (H, W) or None where there is none, and its time in seconds or None."""

    frame: np.ndarray | None
    seconds: float | None


def draw_sheet(title: str, spec: ScreenSpec, median: Sequence[Shot], mine: Sequence[Shot] | None = None) -> Image.Image:
    """The sheet; `mine`: the pictures of one run, which go beside those of the median run. Splits without a picture are left out."""
    rows = list(enumerate(zip(median, mine or median, strict=True)))
    pictured = [row for row in rows if any(shot.frame is not None for shot in row[1])]
    if 0 < len(pictured) < len(rows):
        title += f"; {len(rows) - len(pictured)} of {len(rows)} are left out: no run here shows them"
        rows = pictured
    each = 1 if mine is None else 2
    wide, tall = spec.width * SCALE, spec.height * SCALE
    tile = (each * wide + (each - 1) * GAP // 2, tall + CAPTION)
    across = max(1, min(COLUMNS[each], len(rows)))
    down = -(-len(rows) // across)
    sheet = Image.new("RGB", (across * (tile[0] + GAP) + GAP, HEAD + down * (tile[1] + GAP)), GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, HEAD / 2), title, fill=INK, font=ImageFont.load_default(17), anchor="lm")
    for cell, (split, (usual, own)) in enumerate(rows):
        x, y = GAP + cell % across * (tile[0] + GAP), HEAD + cell // across * (tile[1] + GAP)
        _draw(sheet, pen, (x, y), usual, f"{split + 1}", spec)
        if mine is None:
            _write(pen, (x + wide, y + tall), stopwatch(usual.seconds), SOFT)
            continue
        right = x + wide + GAP // 2
        _write(pen, (x + wide, y + tall), f"median {stopwatch(usual.seconds)}", SOFT)
        _draw(sheet, pen, (right, y), own, "this run" if own.seconds is not None else "gone without", spec)
        told = ahead_or_behind(own.seconds, usual.seconds)
        edge = right + wide
        if told:
            _write(pen, (edge, y + tall), told, color_of(told))
            edge -= 62
        if own.seconds is not None:
            _write(pen, (edge, y + tall), stopwatch(own.seconds), INK)
    return sheet


def color_of(apart: str) -> tuple[int, int, int]:
    """The color of what `ahead_or_behind` says: red is behind, as runners know it; neither is gray."""
    return SOFT if float(apart.replace(":", "")) == 0 else BEHIND if apart[0] == "+" else ACCENT


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, at: tuple[int, int], shot: Shot, name: str, spec: ScreenSpec) -> None:
    wide, tall = spec.width * SCALE, spec.height * SCALE
    if shot.frame is None:
        pen.rectangle((*at, at[0] + wide - 1, at[1] + tall - 1), fill=EMPTY)
    else:
        picture = Image.fromarray(to_gray(shot.frame, spec)).convert("RGB")
        sheet.paste(picture.resize((wide, tall), Image.Resampling.NEAREST), at)
    # Many a screen is white to its edge.
    pen.rectangle((at[0] - 1, at[1] - 1, at[0] + wide, at[1] + tall), outline=EDGE)
    pen.text((at[0] + 1, at[1] + tall + CAPTION / 2), name, fill=INK, font=ImageFont.load_default(15), anchor="lm")


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, ink: tuple[int, int, int]) -> None:
    """Text that ends at `corner` of a picture, under it."""
    pen.text((corner[0] - 1, corner[1] + CAPTION / 2), text, fill=ink, font=ImageFont.load_default(15), anchor="rm")
