"""Two measures that look at ranks alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def rank_correlation(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing their ranks; 0 where one of the two does not vary."""
    ranks = pd.DataFrame({"first": np.asarray(first, float), "second": np.asarray(second, float)}).rank()
    if ranks.nunique().min() < 2:
        return 0.0
    return float(ranks["first"].corr(ranks["second"]))


def separation(low: np.ndarray, high: np.ndarray) -> float:
    """How often a value of `high` is above one of `low`, ties counting half: the area under the ROC curve (Mann & Whitney 1947)."""
    ranks = pd.Series(np.concatenate([low, high])).rank().to_numpy()
    n, m = len(low), len(high)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))
