"""Does what lies beside a rectangle belong to it? A Game Boy's screen ends at its borders.

Any 160×144 pixels of a larger console's picture are drawn on a perfect grid, and so is the rest of that picture. And a screen
that is partly outside the video can be mistaken for one that reaches as far into what lies beside it.
"""

from __future__ import annotations

import numpy as np

from emurl.footage.screen_finder.grid import Slopes
from emurl.footage.screen_finder.misfit import Lines
from emurl.footage.screen_finder.resample import Box
from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings
from emurl.screen import HEIGHT, WIDTH


def continues(
    pictures: np.ndarray, changes: np.ndarray, rect: Box, scaler: str, share: float, settings: FinderSettings = DEFAULTS
) -> bool:
    """Whether moving pixels of the same size and phase go on beyond a border of the screen at `rect`, of which its `scaler` leaves
    a `share` of the slopes unexplained; `pictures` luma uint8 (n, height, width), `changes` as `candidates.change_map`."""
    own = settings.neighbors
    x, y, width, height = rect
    beside = (round(x), round(x + width)), (round(y), round(y + height))
    for axis, first, length, cells in ((1, x, width, WIDTH), (0, y, height, HEIGHT)):
        scale = length / cells
        start, stop = beside[1] if axis == 1 else beside[0]
        whole = Lines(pictures, axis, round(first), round(length), start, stop, groups=1, bands=1, settings=settings)
        usual = float(whole.misfit(first, length, cells, scaler).whole.sum()) / length
        for low in (first - own.strip * scale, first + length):
            high = low + own.strip * scale
            if low < 0 or high > changes.shape[axis]:
                continue
            part = (
                changes[:, round(low) : round(high)][start:stop] if axis == 1 else changes[round(low) : round(high), start:stop]
            )
            if float((part > 0).mean()) < own.min_moving:
                continue
            lines = Lines(pictures, axis, int(low), round(high - low), start, stop, groups=1, bands=1, settings=settings)
            found = lines.misfit(low, high - low, own.strip, scaler)
            left, energy = found.left.sum(axis=(0, 1)), found.whole.sum(axis=(0, 1))
            if (energy / (high - low) * len(energy) < own.min_detail * usual).any() or (
                left > (own.same_grid_ratio * share + own.same_grid_more) * energy
            ).any():
                continue
            rough = lines.misfit(low, high - low, own.strip // 2, scaler)
            if rough.left.sum() > max(own.smooth_ratio * left.sum(), own.smooth_misfit * energy.sum()):
                return True
    return False


def cut_off(slopes: Slopes, rect: Box, settings: FinderSettings = DEFAULTS) -> bool:
    """Whether the screen at `rect` reaches the edge of the picture, has no border opposite, but one that runs through it."""
    own = settings.neighbors
    x, y, width, height = (round(v) for v in rect)
    for axis, first, length, beside in ((1, x, width, (y, y + height)), (0, y, height, (x, x + width))):
        borders = slopes.bordered(axis, beside)
        last = min(first + length, len(borders) - 1)
        near = max(1, round(length / 32))
        for edge, other in ((first <= 1, last), (last >= len(borders) - 2, first)):
            ends = borders[max(0, other - 2) : other + 3].max() if edge else 1.0
            if ends < own.no_border and borders[first + near : last - near].max() > own.sure_border:
                return True
    return False
