"""Days: a seed repeats them, rates are the funnel's, and shapes have their traits and lose no orders by them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.bench.study import shop
from tests.bench.study.journeys import NEVER, StudyDay, day
from tests.bench.study.shapes import SHAPES, shaped

HOURS, RATE = 2.0, 200.0


@cache
def made(shape: str) -> StudyDay:
    return day(shape, RATE, 1, HOURS)


def many(one: StudyDay, times: np.ndarray[tuple[int], np.dtype[np.int32]], from_min: float, to_min: float) -> int:
    """Events between two minutes of the sale."""
    return int(((times >= one.sale_s + 60 * from_min) & (times < one.sale_s + 60 * to_min)).sum())


def views(one: StudyDay, from_min: float, to_min: float) -> float:
    return float(one.journeys.views[one.sale_s + int(60 * from_min) : one.sale_s + int(60 * to_min)].sum())


def test_the_generator_shares_no_code_with_the_simulator() -> None:
    folder = Path(shop.__file__).parent
    modules = [path.read_text() for path in folder.glob("*.py") if not path.name.startswith("test_")]
    assert not [text for text in modules if re.search(r"^\s*(from|import) streams\.simulate", text, re.MULTILINE)]


def test_a_seed_repeats_a_day_and_another_changes_it() -> None:
    first, again, other = made("plain"), day("plain", RATE, 1, HOURS), day("plain", RATE, 2, HOURS)
    assert (first.journeys.order_at == again.journeys.order_at).all()
    assert (first.journeys.views == again.journeys.views).all()
    assert len(first.journeys.order_at) != len(other.journeys.order_at)


def test_a_plain_day_has_the_rates_of_the_funnel() -> None:
    one = made("plain")
    j = one.journeys
    orders, checkouts, carts = (many(one, at, 0, 120) for at in (j.order_at, j.checkout_at, j.cart_at))
    assert orders / 120 == pytest.approx(RATE * 1.15, rel=0.15)
    assert orders / checkouts == pytest.approx(shop.ORDER_A_CHECKOUT, rel=0.03)
    assert checkouts / carts == pytest.approx(shop.CHECKOUT_A_CART, rel=0.05)
    assert carts / views(one, 0, 120) == pytest.approx(shop.CART_A_VIEW, rel=0.05)
    assert (j.paid_at < NEVER).mean() == pytest.approx(0.93, abs=0.02)


def test_an_unpaid_order_is_cancelled_half_an_hour_later() -> None:
    j = made("plain").journeys
    unpaid = j.paid_at == NEVER
    after = (j.cancel_at - j.order_at)[unpaid & (j.order_at < NEVER)]
    assert after.min() >= shop.UNPAID_S
    assert after.max() <= shop.UNPAID_S + 6
    assert (j.refund_at[unpaid] == NEVER).all()


@pytest.mark.parametrize("shape", ["plain", "compressed_opening"])
def test_stock_is_ample(shape: str) -> None:
    one = made(shape)
    j = one.journeys
    sold = np.bincount(j.order_sku[(j.order_at >= shop.PRE_S) & (j.order_at < NEVER)], minlength=max(one.stock) + 1)
    assert all(sold[sku] < units for sku, units in one.stock.items())


def test_overdispersed_traffic_has_a_larger_variance() -> None:
    def index(shape: str) -> float:
        one = made(shape)
        counts = one.journeys.views[one.sale_s :].sum(axis=1).astype(float)
        by_block = counts[: len(counts) // 60 * 60].reshape(-1, 60).sum(axis=1)
        return float(np.var(np.diff(by_block)) / 2 / by_block.mean())

    assert index("overdispersed") > 1.7 * index("plain")


def test_flash_crowds_see_four_times_as_much_and_buy_no_more() -> None:
    one, calm = made("flash_crowds"), made("plain")
    assert views(one, 31, 44) / views(calm, 31, 44) == pytest.approx(4, rel=0.15)
    assert many(one, one.journeys.order_at, 31, 46) == pytest.approx(
        many(calm, calm.journeys.order_at, 31, 46), rel=0.15
    )


def test_a_crawler_adds_views_alone() -> None:
    one, calm = made("crawler"), made("plain")
    assert views(one, 46, 84) / views(calm, 46, 84) == pytest.approx(1.6, rel=0.15)
    assert many(one, one.journeys.cart_at, 46, 84) == pytest.approx(many(calm, calm.journeys.cart_at, 46, 84), rel=0.15)


def test_a_hot_product_is_looked_at_and_sells_as_before() -> None:
    one, calm = made("hot_product"), made("plain")
    assert views(one, 58, 66) / views(calm, 58, 66) == pytest.approx(1.78, rel=0.15)
    assert many(one, one.journeys.order_at, 56, 80) == pytest.approx(
        many(calm, calm.journeys.order_at, 56, 80), rel=0.15
    )


@pytest.mark.parametrize("shape", [*SHAPES])
def test_each_shape_has_a_course(shape: str) -> None:
    course = shaped(shape, HOURS, np.random.default_rng(1))
    assert (course.visits > 0).all()
    assert course.category.sum(axis=1) == pytest.approx(1)


def test_scalpers_add_checkouts_alone() -> None:
    one = made("scalpers")
    j = one.journeys
    before, during = (many(one, j.order_at, *at) / many(one, j.checkout_at, *at) for at in ((5, 34), (37, 64)))
    assert during / before == pytest.approx(1 / 1.5, rel=0.05)


def test_coupons_fill_carts_at_the_full_hour_and_sell_no_more() -> None:
    one = made("coupon_hours")
    j = one.journeys
    usual, coupon = ((many(one, j.cart_at, *at), views(one, *at)) for at in ((40, 59), (60.5, 69.5)))
    assert (coupon[0] / coupon[1]) / (usual[0] / usual[1]) == pytest.approx(1.6, rel=0.08)
    assert many(one, j.order_at, 62, 70) / 8 == pytest.approx(many(one, j.order_at, 40, 59) / 19, rel=0.15)


def test_in_a_lull_carts_wait_for_the_opening() -> None:
    one = made("lull")
    j = one.journeys
    opens = (one.course.opens_s or 0) / 60 - one.sale_s / 60
    lull = many(one, j.checkout_at, opens - 25, opens) / 25
    assert lull < 0.6 * many(one, j.checkout_at, 0, opens - 31) / (opens - 31)
    assert many(one, j.checkout_at, opens, opens + 5) / 5 > 3 * lull


def test_a_compressed_opening_has_many_times_the_orders_within_minutes() -> None:
    one = made("compressed_opening")
    opens = (one.course.opens_s or 0) / 60 - one.sale_s / 60
    orders = one.journeys.order_at
    assert many(one, orders, opens, opens + 5) / 5 > 5 * many(one, orders, 0, 20) / 20


def test_slow_payments_are_all_paid() -> None:
    one, calm = made("slow_payments").journeys, made("plain").journeys
    assert (one.paid_at < NEVER).mean() == pytest.approx((calm.paid_at < NEVER).mean(), abs=0.005)
    paid = one.paid_at < NEVER
    delays = (one.paid_at - one.order_at)[paid & (one.order_at > made("slow_payments").sale_s + 3600)]
    assert np.median(delays) > 180


def test_unpaid_orders_of_an_opening_are_cancelled_together() -> None:
    one = made("unpaid_cancelled")
    at = (one.course.batch_cancel or (0, 0, 0))[2] / 60 - one.sale_s / 60
    cancels = one.journeys.cancel_at
    assert many(one, cancels, at, at + 1) > 10 * many(one, cancels, at - 20, at) / 20


@pytest.mark.parametrize(("shape", "share"), [("drift_10", 0.1), ("drift_20_3h", 0.2)])
def test_conversion_drifts_by_its_share(shape: str, share: float) -> None:
    course = made(shape).course
    factor = course.cart * course.checkout
    assert factor.max() == pytest.approx(1 + share, abs=0.01)
    assert factor.min() == pytest.approx(1 - share, abs=0.01)


def test_tight_stock_refuses_orders_and_oversells_by_little() -> None:
    one = made("tight_stock")
    j = one.journeys
    gone = 0
    for sku, units in one.stock.items():
        mine = (j.order_sku == sku) & (j.order_at >= shop.PRE_S) & (j.order_at < NEVER)
        events = np.concatenate((j.order_at[mine], j.cancel_at[mine & (j.cancel_at < NEVER)]))
        change = np.concatenate((np.full(mine.sum(), -1), np.ones((mine & (j.cancel_at < NEVER)).sum(), np.int64)))
        left = units + change[np.argsort(events, kind="stable")].cumsum()
        assert left.min() > -20
        gone += bool(left.min() <= 0)
    assert 3 < gone < len(one.stock)
