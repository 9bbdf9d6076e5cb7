"""Quantiles of shipment intervals are within 2 % of the exact ones, and histograms are additive."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.shipping.counters import (
    BUCKETS,
    COUNTERS_PER_ROW,
    ROWS_PER_HISTOGRAM,
    SHIP,
    histogram_counter,
    quantile_ms,
    share_of,
)

HOUR_MS = 3_600_000
DAYS_90_MS = 90 * 24 * HOUR_MS


def counted(times_ms: list[int]) -> list[int]:
    counts = [0] * BUCKETS
    for took_ms in times_ms:
        kind, share, counter = share_of(histogram_counter(SHIP, took_ms))
        assert (kind, share < ROWS_PER_HISTOGRAM, counter < COUNTERS_PER_ROW) == (SHIP, True, True)
        counts[share * COUNTERS_PER_ROW + counter] += 1
    return counts


@given(st.lists(st.integers(400_000, DAYS_90_MS), min_size=1, max_size=200), st.sampled_from((0.0, 0.5, 0.9, 1.0)))
def test_a_quantile_is_within_two_percent(times_ms: list[int], share: float) -> None:
    exact = sorted(times_ms)[int(share * (len(times_ms) - 1))]
    assert quantile_ms(counted(times_ms), share) == pytest.approx(exact, rel=0.02)


def test_medians_of_a_thousand_shipments_are_within_two_percent() -> None:
    chance = Random(3)
    times_ms = [round(chance.lognormvariate(2.6, 0.6) * HOUR_MS) for _ in range(1000)]
    for share in (0.5, 0.9):
        exact = sorted(times_ms)[int(share * 999)]
        assert quantile_ms(counted(times_ms), share) == pytest.approx(exact, rel=0.02)


def test_the_first_and_last_buckets_are_unbounded() -> None:
    assert quantile_ms([0] * BUCKETS, 0.5) is None
    assert quantile_ms(counted([1000, 360_000, 400_000]), 0.5) is None, "6 minutes or less, the exact time is unknown"
    assert histogram_counter(SHIP, 0) == histogram_counter(SHIP, 360_000) == SHIP * BUCKETS
    assert histogram_counter(SHIP, 10**15) == (SHIP + 1) * BUCKETS - 1
