"""The dispersion of counts around their own trend."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.statistics.arrays import Floats
from alerts.statistics.baseline import MINUTE_S, N_PARTS, Baseline, MinutePart


def learned(counts: Floats, kept: Floats | None = None) -> Baseline:
    """The baseline after these minutes; `kept`: which of them are learned from."""
    baseline, one = Baseline(), np.ones(1, np.bool_)
    baseline.fit(1)
    for minute, count in enumerate(counts):
        parts = np.zeros((1, N_PARTS))
        parts[0, [MinutePart.COUNT, MinutePart.LOSS, MinutePart.INPUT]] = count, count, 1000.0
        parts[0, MinutePart.SECONDS] = MINUTE_S
        baseline.add(parts)
        baseline.end_minute(one if kept is None else one & (kept[minute] > 0), ~one)
    return baseline


def test_counts_in_clusters_have_more_dispersion() -> None:
    rng = np.random.default_rng(1)
    clustered = learned(4.0 * rng.poisson(50, 600)).trend_dispersion()
    assert clustered[0] == pytest.approx([4.0, 4.0], rel=0.25)
    assert learned(rng.poisson(200.0, 600).astype(np.float64)).trend_dispersion()[0, 0] == pytest.approx(1.0, abs=0.2)


def test_a_slow_rise_is_no_dispersion() -> None:
    rng = np.random.default_rng(2)
    rising = rng.poisson(200 * 1.005 ** np.arange(300)).astype(np.float64)
    assert learned(rising).trend_dispersion()[0, 0] < 1.3


def test_minutes_of_an_incident_are_no_dispersion() -> None:
    counts = np.full(120, 200.0)
    counts[60:80] = 0.0
    kept = (counts > 0).astype(np.float64)
    assert learned(counts, kept).trend_dispersion()[0, 0] == 1.0
