"""The grays of one coloring of the game, and which of the console's four shades each of them stands for.

Gray consoles and their captures show four grays. A Game Boy Color gives the background one palette and the sprites two more,
and a Super Game Boy its towns different ones, so a picture may hold eight levels of brightness. What is decidable from
brightness: the histogram's peaks are the levels; the four heaviest are the background's, for it fills the screen, and they
are ordered as the console orders its shades; every other level is taken for the shade it lies nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings, PaletteSettings

SPACING = np.array([0x00, 0x55, 0x99, 0xFF]) / 255.0  # the emulator's grays on a scale of 0…1


@dataclass(frozen=True)
class Palette:
    """`levels`: grays, ascending; `ranks`: brightness rank 0…3 of each; `shades`: the gray that stands for each rank.

    `doubt` is the share of the pixels whose level lies about as near to one shade as to another.
    """

    levels: tuple[float, ...]
    ranks: tuple[int, ...]
    shades: tuple[float, float, float, float]
    doubt: float

    def table(self) -> np.ndarray:
        """Rank of every gray, uint8 (256,)."""
        levels = np.array(self.levels)
        nearest = np.abs(np.arange(256)[:, None] - levels).argmin(axis=1)
        return np.array(self.ranks, np.uint8)[nearest]

    def distance(self) -> np.ndarray:
        """How far every gray lies from its level, in units in which a picture of evenly spread grays has 0.5: float (256,)."""
        levels = np.array(self.levels)
        distance = np.abs(np.arange(256)[:, None] - levels).min(axis=1)
        inside = (np.arange(256) >= levels[0]) & (np.arange(256) <= levels[-1])
        return distance * (0.5 / max(float(distance[inside].mean()), 0.5))


def fit_palette(histogram: np.ndarray, settings: FinderSettings = DEFAULTS) -> Palette:
    """The palette of a gray histogram (256,) of the game alone."""
    histogram = histogram / max(histogram.sum(), 1e-9)
    peaks = _peaks(histogram, settings.palette)
    if len(peaks) <= 4:
        levels = _four(histogram, peaks, settings.palette)
        four = tuple(round(float(v), 2) for v in levels)
        return Palette(four, (0, 1, 2, 3), four, 0.0)  # type: ignore[arg-type]
    levels, mass = _settle(histogram, peaks.astype(float), settings.palette)
    main = np.sort(np.argsort(-mass, kind="stable")[:4])
    # White paper and black ink are at the ends of every palette.
    main[0], main[-1] = (0, main[-1]) if mass[0] > settings.palette.min_share else main[[0, -1]]
    shades = levels[main]
    distance = np.abs(levels[:, None] - shades)
    ranks = distance.argmin(axis=1)
    near, next_near = np.sort(distance, axis=1)[:, :2].T
    doubt = float(mass[near > settings.palette.doubt_ratio * next_near].sum() / mass.sum())
    told = (tuple(round(float(v), 2) for v in part) for part in (levels, shades))
    return Palette(next(told), tuple(int(r) for r in ranks), next(told), round(doubt, 4))  # type: ignore[arg-type]


def _peaks(histogram: np.ndarray, own: PaletteSettings) -> np.ndarray:
    """Grays at the tops of the histogram, ascending; at most `max_levels`, each with a valley to its neighbors."""
    reach = round(3 * own.smoothing)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / own.smoothing) ** 2)
    smooth = np.convolve(histogram, kernel / kernel.sum(), mode="same")
    wide = np.convolve(histogram, np.ones(2 * own.peak_reach + 1), mode="same")
    found: list[int] = []
    for level in np.argsort(-smooth, kind="stable"):
        if len(found) == own.max_levels or smooth[level] < own.min_peak:
            break
        if wide[level] < own.min_share or any(abs(level - other) < own.min_apart for other in found):
            continue
        lower = max((o for o in found if o < level), default=None)
        upper = min((o for o in found if o > level), default=None)
        valleys = [smooth[min(level, o) : max(level, o) + 1].min() for o in (lower, upper) if o is not None]
        if all(valley < own.valley * smooth[level] for valley in valleys):
            found.append(int(level))
    return np.sort(np.array(found, int))


def _settle(histogram: np.ndarray, levels: np.ndarray, own: PaletteSettings) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm on a histogram: levels and the share of the pixels of each."""
    gray = np.arange(256.0)
    for _ in range(own.settle_rounds):
        owner = np.abs(gray[:, None] - levels).argmin(axis=1)
        mass = np.bincount(owner, histogram, len(levels))
        # Only what lies close counts: mixtures of two levels lie everywhere between them.
        close = np.abs(gray - levels[owner]) <= own.close_levels
        weight = np.bincount(owner, histogram * close, len(levels))
        levels = np.where(
            weight > 0, np.bincount(owner, histogram * close * gray, len(levels)) / np.maximum(weight, 1e-12), levels
        )
    return levels, mass


def _four(histogram: np.ndarray, peaks: np.ndarray, own: PaletteSettings) -> np.ndarray:
    """Four ascending grays where at most four peaks stand out; a shade that does not show is put by the console's spacing."""
    share = np.cumsum(histogram)
    low, high = float(np.searchsorted(share, own.lowest_share)), float(np.searchsorted(share, own.highest_share))
    starts = [low + (high - low) * SPACING, np.linspace(low, high, 4)]
    if len(peaks) == 4:
        starts.append(peaks.astype(float))
    rooted = np.sqrt(histogram)  # a white screen should not outvote all the rest
    best, best_cost = starts[0], np.inf
    for start in starts:
        levels, cost = _cluster(rooted, start, high - low, own)
        if len(peaks) == 4 and start is starts[-1]:
            cost = min(cost, 0.0)  # four peaks are the four shades, however close two of them are
        if cost < best_cost:
            best, best_cost = levels, cost
    return best


def _cluster(histogram: np.ndarray, levels: np.ndarray, span: float, own: PaletteSettings) -> tuple[np.ndarray, float]:
    """Lloyd's algorithm with four levels; returns them and the mean distance, with a price for levels too close together."""
    gray = np.arange(256.0)
    levels = levels.astype(float).copy()
    for _ in range(own.four_rounds):
        owner = np.abs(gray[:, None] - levels).argmin(axis=1)
        mass = np.bincount(owner, histogram, 4)
        moved = np.bincount(owner, histogram * gray, 4) / np.maximum(mass, 1e-9)
        seen = mass > histogram.sum() * own.min_shade
        if seen.sum() >= 2 and not seen.all():
            slope, offset = np.polyfit(SPACING[seen], moved[seen], 1)
            moved = np.where(seen, moved, slope * SPACING + offset)
        elif not seen.all():
            moved = np.where(seen, moved, levels)
        moved = np.sort(moved)
        if np.allclose(moved, levels, atol=own.four_settled):
            break
        levels = moved
    cost = float((histogram * np.abs(gray[:, None] - levels).min(axis=1)).sum() / max(histogram.sum(), 1e-9))
    return levels, cost + max(0.0, span * own.least_spacing - float(np.diff(levels).min()))
