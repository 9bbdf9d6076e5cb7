"""Decisions from stock and sales: orders, overstock, GMV at risk, ABC classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.stock.inventory import AbcClass, StockPolicy, abc_class, gmv_at_risk_per_hour, overstock, replenishment
from streams.stock.stock_levels import out_since_ms

POLICY = StockPolicy(lead_time_h=10, horizon_h=30, overstock_d=5)


@pytest.mark.parametrize(
    ("stock", "an_hour", "units"), [(0, 2.0, 80), (-5, 2.0, 85), (79, 2.0, 1), (80, 2.0, 0), (0, 0.01, 1), (3, 0, 0)]
)
def test_replenishment_lasts_through_lead_time_and_horizon(stock: int, an_hour: float, units: int) -> None:
    assert replenishment(stock, an_hour, POLICY) == units


@pytest.mark.parametrize(("stock", "an_hour", "units"), [(300, 2.0, 60), (240, 2.0, 0), (7, 0, 7), (-2, 0, 0)])
def test_overstock_is_stock_beyond_the_limit(stock: int, an_hour: float, units: int) -> None:
    assert overstock(stock, an_hour, POLICY) == units


def test_gmv_at_risk_is_rounded_half_up() -> None:
    assert gmv_at_risk_per_hour(101, 2) == 51
    assert gmv_at_risk_per_hour(0, 1) == 0
    assert gmv_at_risk_per_hour(5, 0) == 0


def test_abc_classes_follow_cumulative_gmv() -> None:
    for gmv, kinds in (([5, 800, 150, 0, 45], "CABCC"), ([10, 10, 10, 0], "AAAC"), ([0, 0], "CC")):
        assert "".join(abc_class(mine, np.array(gmv)) for mine in gmv) == kinds


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30).filter(any))
def test_the_best_seller_is_always_in_class_a(gmv: list[int]) -> None:
    assert abc_class(max(gmv), np.array(gmv)) is AbcClass.A


moves = st.lists(st.tuples(st.integers(11, 20), st.integers(-5, 5)), max_size=8)


@given(st.integers(-3, 6), moves)
def test_out_of_stock_since_the_last_fall_to_zero(counted: int, happened: list[tuple[int, int]]) -> None:
    """Counted at 10; the expected stock is tracked event by event."""
    since = 10 if counted <= 0 else None
    stock = counted
    for at in range(11, 21):
        stock += sum(amount for ts, amount in happened if ts == at)
        since = None if stock > 0 else at if since is None else since
    times, amounts = np.array(happened, np.int64).reshape(-1, 2).T
    assert out_since_ms(stock, 10, times, amounts) == since
