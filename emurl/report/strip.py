"""The strip chart of the OOD detector: over the time of a video, how strange its moments are, and pictures of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, LEFT, RIGHT, TOP = 1200, 150, 24, 46
PICTURE = (80, 72)  # a frame at half its size
ROW, GAP = 92, 12
PAGE, INK, SOFT, RULE = (251, 250, 247), (35, 38, 31), (108, 112, 102), (228, 226, 218)
LINE, STRANGE, WASH = (47, 125, 79), (196, 61, 46), (246, 222, 214)


def strip_chart(
    times: np.ndarray,
    scores: Mapping[str, np.ndarray],
    strange: np.ndarray,
    frames: np.ndarray,
    threshold: float,
    finest: float,
    title: str,
) -> Image.Image:
    """A picture with a row for each kind of score, over time.

    The axis is logarithmic in the share of footage that is as strange (1 − score): scores are evenly spread over 0 … 1 by their making,
    and all that matters is between 0.9 and 1.

    Args:
        times: seconds, ascending (N,). scores: by name, each (N,), 0 … 1. strange: which moments are flagged, bool (N,).
        frames: of the moments, uint8 (N, 144, 160[, 3]) with 0–255. threshold: score from which on they are. finest: smallest share
            that scores resolve.
    """
    plot, pictures = WIDTH - LEFT - RIGHT, (WIDTH - LEFT - RIGHT) // (PICTURE[0] + 4)
    height = TOP + PICTURE[1] + GAP + len(scores) * (ROW + GAP) + 34
    image = Image.new("RGB", (WIDTH, height), PAGE)
    draw, font, small = ImageDraw.Draw(image), ImageFont.load_default(15), ImageFont.load_default(12)
    first, length = float(times[0]), max(float(times[-1] - times[0]), 1e-9)
    across = LEFT + (np.asarray(times) - first) / length * (plot - 1)
    draw.text((LEFT, 14), title, INK, font)
    told = f"{int(strange.sum())} of {len(strange)} moments strange"
    draw.text((WIDTH - RIGHT - draw.textlength(told, font), 14), told, STRANGE if strange.any() else SOFT, font)

    for number in range(pictures):
        # The moment in the middle of what is above the picture's own width.
        middle = LEFT + (number + 0.5) * plot / pictures
        at = int(np.abs(across - middle).argmin())
        picture = Image.fromarray(frames[at]).resize(PICTURE, Image.Resampling.BILINEAR)
        image.paste(picture.convert("RGB"), (int(middle - PICTURE[0] / 2), TOP))

    depth = max(1.0, -np.log10(finest))
    top = TOP + PICTURE[1] + GAP
    for name, values in scores.items():
        bottom = top + ROW
        for x in across[strange]:
            draw.line([(x, top), (x, bottom)], WASH, 2)
        for power in range(int(np.floor(depth)) + 1):
            y = bottom - power / depth * ROW
            draw.line([(LEFT, y), (WIDTH - RIGHT, y)], RULE)
            label = "ordinary" if power == 0 else f"1 in {10**power:,}"
            draw.text((LEFT - 8 - draw.textlength(label, small), y - (12 if power == 0 else 7)), label, SOFT, small)
        draw.text((14, top + ROW / 2 - 10), name, INK, font)
        ups = bottom - np.clip(-np.log10(np.maximum(1.0 - np.asarray(values, np.float64), finest)) / depth, 0, 1) * ROW
        points = list(zip(across.tolist(), ups.tolist(), strict=True))
        if len(points) > 1:
            draw.line(points, LINE, 1)
        limit = bottom - min(1.0, -np.log10(max(1.0 - threshold, finest)) / depth) * ROW
        for x in range(LEFT, WIDTH - RIGHT, 8):
            draw.line([(x, limit), (x + 3, limit)], STRANGE)
        for x, y in zip(across[np.asarray(values) >= threshold], ups[np.asarray(values) >= threshold], strict=True):
            draw.ellipse([(x - 2, y - 2), (x + 2, y + 2)], STRANGE)
        top = bottom + GAP

    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if length / s <= 12), length)
    for seconds in np.arange(np.ceil(first / step) * step, first + length + 1e-9, step):
        x = LEFT + (seconds - first) / length * (plot - 1)
        draw.line([(x, top - GAP), (x, top - GAP + 5)], SOFT)
        label = f"{seconds:g} s" if length < 120 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
        draw.text((x - draw.textlength(label, small) / 2, top - GAP + 7), label, SOFT, small)
    return image
