"""Rectangles of a video that might be the game, by their borders: for a game that hardly moves.

In a battle or a menu a few letters change and the rest stands, but the screen still ends on all four sides in a straight
step to what lies beside it, and few other things of the console's shape do.
"""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np

from emurl.footage.screen_finder.candidates import Candidate
from emurl.footage.screen_finder.grid import Slopes
from emurl.footage.screen_finder.thresholds import DEFAULTS, BorderSettings, FinderSettings
from emurl.screen import HEIGHT, WIDTH


def framed(
    slopes: Slopes, changes: np.ndarray, like: float | None = None, settings: FinderSettings = DEFAULTS
) -> list[Candidate]:
    """Screens by their borders, the straightest first, no two nearly the same; `changes` as `candidates.change_map`. With `like`
    only those that are about so many pixels wide."""
    own = settings.borders
    # The bar at the end of a row of pixels ends in a column, so what is summed down stands upright.
    upright, flat = slopes.borders(1).cumsum(axis=0), slopes.borders(0).cumsum(axis=1)
    upright, flat = np.pad(upright, ((1, 0), (0, 0))), np.pad(flat, ((0, 0), (1, 0)))
    height, width = changes.shape
    guesses: list[Candidate] = []
    least, most = (settings.candidates.min_scale * WIDTH, settings.candidates.max_scale * WIDTH) if like is None else (like, like)
    for wide in range(round(least), min(width, round(most)) + 1, own.step):
        high = round(wide * HEIGHT / WIDTH)
        if high <= height:
            guesses += _straight(upright, flat, wide, high, own)
    best: list[Candidate] = []
    for one in sorted(guesses, key=lambda one: -one.score - own.size_bonus * np.log(one.width)):
        if len(best) < own.max_found and all(one.overlap(other) < 0.85 for other in best):
            inside = changes[one.y : one.y + one.height, one.x : one.x + one.width]
            best += [_exactly(upright, flat, one, own.snap)] if (inside > 0).mean() > own.min_moving else []
    return best


def _straight(upright: np.ndarray, flat: np.ndarray, wide: int, high: int, own: BorderSettings) -> list[Candidate]:
    """The likeliest rectangles of one size, to a few pixels; `upright` and `flat` are running sums of `Slopes.borders`."""
    step = own.step
    columns_of = _pooled((upright[high::step] - upright[:-high:step]) / high, 1, step)
    rows_of = _pooled((flat[:, wide::step] - flat[:, :-wide:step]) / wide, 0, step)
    rows, columns = len(columns_of), rows_of.shape[1]
    right, below = wide // step, high // step
    score = (
        columns_of[:, :columns] + columns_of[:, right : right + columns] + rows_of[:rows] + rows_of[below : below + rows]
    ) / 4
    y, x = np.nonzero(score > own.min_score)
    order = np.argsort(-score[y, x])[: 4 * own.max_found]
    return [
        Candidate(int(b) * step, int(a) * step, wide, high, float(score[a, b])) for a, b in zip(y[order], x[order], strict=True)
    ]


def _pooled(shares: np.ndarray, axis: int, step: int) -> np.ndarray:
    """The largest of every `step` places along `axis` and of the neighbors of these."""
    short = -shares.shape[axis] % step
    padded = np.pad(shares, [(0, short) if axis == a else (0, 0) for a in (0, 1)]) if short else shares
    # As reshape and max would give, which numpy is slow at where the axis is this short.
    every = [padded[:, first::step] if axis == 1 else padded[first::step] for first in range(step)]
    pooled = reduce(np.maximum, every).astype(np.float32)
    return cv2.dilate(pooled, np.ones((1, 3) if axis == 1 else (3, 1), np.uint8))


def _exactly(upright: np.ndarray, flat: np.ndarray, one: Candidate, snap: int) -> Candidate:
    """Each side moved to the straightest step within `snap` pixels of it."""

    def near(line: np.ndarray, place: int) -> int:
        first = max(0, place - snap)
        return first + int(line[first : place + snap + 1].argmax())

    columns = upright[one.y + one.height] - upright[one.y]
    rows = flat[:, one.x + one.width] - flat[:, one.x]
    left, right = near(columns, one.x), near(columns, one.x + one.width)
    top, bottom = near(rows, one.y), near(rows, one.y + one.height)
    return Candidate(left, top, right - left, bottom - top, one.score)
