"""Intervals by hand and against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from emurl.training.intervals import Estimate, mean_of, median_of, share_of, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (40, 50, 0.6696, 0.8876), (0, 10, 0.0, 0.2775), (50, 50, 0.9287, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilson_by_hand(hits: int, count: int, low: float, high: float) -> None:
    """8 of 10: middle (0.8 + 1.9208/10) / (1 + 3.8415/10) = 0.7168, half-width 1.96·√(0.016 + 0.0096) / 1.38415 = 0.2266."""
    found = wilson(hits, count)
    assert (found.value, found.low, found.high) == pytest.approx((hits / count, low, high), abs=2e-4)


def test_as_people_read_them() -> None:
    assert wilson(40, 50).percent == "80% (67–89)"
    assert str(Estimate(3.25, 3.0, 3.5)) == "3.25 (3–3.5)" and str(Estimate(1234.0, 980.5, 1300.0)) == "1234 (980–1300)"


def test_a_mean_and_its_interval() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 100)
    found = mean_of(values)
    assert found is not None and found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 10
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1)
    assert mean_of(values) == found, "seeded"
    assert mean_of([2.0, 2.0]) == Estimate(2.0, 2.0, 2.0) and mean_of([]) is None


def test_medians_and_shares() -> None:
    assert median_of([1.0, 2.0, 9.0]) == Estimate(2.0, 1.0, 9.0)
    found = share_of([1, 9], [10, 90])
    assert found is not None and found.value == found.low == found.high == 0.1
    uneven = share_of([0, 90], [10, 90])
    assert uneven is not None and uneven.value == 0.9
