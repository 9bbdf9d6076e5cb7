"""When a SKU runs out: the dictionary's formula and the interval."""

from __future__ import annotations

import numpy as np
import pytest

from streams.stock.forecast import (
    StockOutInterval,
    beta_cdf,
    beta_quantile,
    index_of_dispersion,
    interval,
    minutes_to_stockout,
)


@pytest.mark.parametrize(
    ("stock", "units", "minutes"),
    [(30, 15, 30.0), (1, 30, 0.5), (0, 30, 0.0), (-4, 0, 0.0), (30, 0, None), (None, 30, None), (None, 0, None)],
)
def test_minutes_to_stockout_by_the_metric_dictionary(stock: int | None, units: int, minutes: float | None) -> None:
    assert minutes_to_stockout(stock, units) == minutes


@pytest.mark.parametrize(
    ("a", "b", "x", "p"), [(1, 1, 0.3, 0.3), (2, 1, 0.5, 0.25), (0.5, 0.5, 0.5, 0.5), (3, 2, 0.4, 0.1792)]
)
def test_beta_cdf_matches_known_values(a: float, b: float, x: float, p: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(p, rel=1e-12)
    assert beta_quantile(p, a, b) == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.5, 200.5), (40.0, 3.5), (2500.0, 900.0), (1e6, 12.5)])
def test_quantiles_match_random_samples(a: float, b: float) -> None:
    drawn = np.random.default_rng(1).beta(a, b, 200_000)
    for q in (0.1, 0.5, 0.9):
        x = beta_quantile(q, a, b)
        assert beta_cdf(x, a, b) == pytest.approx(q, abs=1e-9)
        assert np.mean(drawn <= x) == pytest.approx(q, abs=0.006)


def test_the_interval_contains_the_point_and_narrows_with_more_sales() -> None:
    few, many = interval(40, [1, 0, 1, 0, 2]), interval(4000, [100, 101, 99, 100, 100])
    assert few is not None
    assert many is not None
    assert few.high is not None
    assert many.high is not None
    assert few.low < 40 / 0.8 < few.high
    assert many.low < 40 < many.high
    assert many.high / many.low < few.high / few.low


def test_the_interval_widens_to_the_point_after_a_change_of_rate() -> None:
    for units in ([0] * 45 + [10] * 15, [50] * 45 + [1] * 15):
        found, point = interval(300, units), minutes_to_stockout(300, sum(units[-15:]))
        assert found is not None
        assert point is not None
        assert found.low <= point
        assert found.high is None or point <= found.high


def test_no_interval_without_sales_and_zero_without_stock() -> None:
    assert interval(0, [1, 2]) == interval(-3, []) == StockOutInterval(0.0, 0.0)
    assert interval(5, [0, 0, 0]) is None
    assert interval(5, []) is None


def test_higher_coverage_widens_the_interval() -> None:
    narrow, wide = interval(50, [3] * 15, coverage=0.5), interval(50, [3] * 15, coverage=0.95)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low
    assert narrow.high is not None
    assert wide.high is None or wide.high > narrow.high


def test_orders_of_several_units_widen_the_interval() -> None:
    assert (
        index_of_dispersion([])
        == index_of_dispersion([4])
        == index_of_dispersion([2, 2, 2])
        == index_of_dispersion([0, 0])
        == 1.0
    )
    assert index_of_dispersion([0, 10, 0, 10]) == pytest.approx(100 / 3 / 5)


def test_the_interval_has_its_nominal_coverage_at_a_steady_rate() -> None:
    """Sales do not drift here, so the interval covers somewhat more than its nominal share."""
    rng, held, cases = np.random.default_rng(7), 0, 400
    for _ in range(cases):
        rate, stock = rng.uniform(0.5, 4), int(rng.integers(5, 60))
        sold = rng.poisson(rate, 15).tolist()
        found = interval(stock, sold)
        took = rng.gamma(stock, 1 / rate)
        held += found is not None and found.low <= took and (found.high is None or took <= found.high)
    assert 0.78 <= held / cases <= 0.93
