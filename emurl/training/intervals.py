"""How sure a number is that was measured on a few episodes: 95 % intervals of shares and of means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

Z = 1.959964  # of the normal distribution, 95 % lie within
LEVELS = (2.5, 97.5)  # percentiles
DRAWS = 2000  # samples of the bootstrap


@dataclass(frozen=True)
class Estimate:
    """A number, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{end:.0f}" if abs(end) >= 100 else f"{end:.3g}" for end in (self.value, self.low, self.high))
        return f"{value} ({low}–{high})"

    @property
    def percent(self) -> str:
        """A share as people read it: 80% (67–89)."""
        return f"{self.value:.0%} ({100 * self.low:.0f}–{100 * self.high:.0f})"


def wilson(hits: int, count: int) -> Estimate:
    """The share of `hits` among `count`, with the score interval (Wilson 1927), which holds for shares near 0 and 1, too."""
    share, slack = hits / count, Z * Z / count
    middle = (share + slack / 2) / (1 + slack)
    half = Z * sqrt(share * (1 - share) / count + slack / count / 4) / (1 + slack)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap(count: int, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate | None:
    """A statistic of `count` episodes with its percentile interval over samples of them; None without any.

    Args:
        statistic: of episodes by their places, int64 (D, count): the D values.
    """
    if not count:
        return None
    drawn = statistic(np.random.default_rng(0).integers(0, count, (DRAWS, count)))
    low, high = np.percentile(drawn, LEVELS)
    return Estimate(float(statistic(np.arange(count)[None])[0]), float(low), float(high))


def mean_of(values: Sequence[float] | np.ndarray) -> Estimate | None:
    """The mean of a number an episode."""
    array = np.asarray(values, np.float64)
    return bootstrap(len(array), lambda at: array[at].mean(axis=1))


def median_of(values: Sequence[float] | np.ndarray) -> Estimate | None:
    """The median of a number an episode."""
    array = np.asarray(values, np.float64)
    return bootstrap(len(array), lambda at: np.median(array[at], axis=1))


def share_of(parts: Sequence[int], wholes: Sequence[int]) -> Estimate | None:
    """The share of `parts` in `wholes`, both a number an episode; longer episodes count more."""
    part, whole = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    return bootstrap(len(part), lambda at: part[at].sum(axis=1) / whole[at].sum(axis=1))
