"""10,000 series every 10 s: within one core and 200 MB."""

from __future__ import annotations

import tracemalloc

import numpy as np

from tests.bench.rules import INTERVAL_S, evaluations


def test_ten_thousand_series_are_cheap_and_none_of_them_is_wrong() -> None:
    tracemalloc.start()
    cost = evaluations(90 * INTERVAL_S)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cost.series == 10_000
    assert np.median(cost.cpu_s) < 1.0, "of the 10 s that there are"
    assert most < 150e6
    assert cost.stored_mb < 43
    assert cost.breached == 0
