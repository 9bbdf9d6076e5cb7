"""The shipping report by region, carrier and warehouse equals plain Python over the same events."""

from __future__ import annotations

from random import Random

import pytest

from streams.clock import now_ms
from streams.model.windows import Window
from streams.view.shipping_report import shipping_report
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, Shop, opened
from tests.support.events import Event, click, ms, paid, shipment
from tests.support.shipping_oracle import Order, ShippingOracle

pytestmark = pytest.mark.anyio

HOUR = 3600
NOW = 30 * HOUR


async def a_day(shop: Shop) -> ShippingOracle:
    """Orders of 30 hours, each dispatched at a constant hazard of 10 % per hour."""
    chance = Random(4)
    orders: list[Event] = []
    parcels: list[Event] = []
    for number in range(400):
        at, labels = chance.uniform(0, NOW), {"order_id": f"o-{number}", "region": chance.choice(("east", "west"))}
        orders.append(paid(at=at, **labels))
        dispatched = at + chance.expovariate(0.1) * HOUR
        by = {"carrier": chance.choice(("dhl", "ups")), "warehouse": f"w-{number % 3}"}
        parcels.append(shipment(at=dispatched, promised_ts=ms(at + 20 * HOUR), **labels, **by))
        parcels.append(shipment("shipment_delivered", at=dispatched + chance.uniform(1, 20) * HOUR, **labels, **by))
    parcels = [parcel for parcel in parcels if parcel["ts"] < ms(NOW)]
    await shop.feed(ORDERS_0, orders)
    await shop.compact(ORDERS_0)
    await shop.feed(LOGISTICS_0, parcels)
    await shop.feed(CLICKS_0, [click(at=NOW)])
    return ShippingOracle([*orders, *parcels], limit_ms=12 * HOUR * 1000)


def took(orders: list[Order], start: int) -> list[int]:
    """Milliseconds from payment to dispatch, of orders dispatched from a moment on."""
    return sorted(
        order.dispatched["ts"] - order.paid["ts"]  # type: ignore[index]
        for order in orders
        if order.dispatched is not None and order.dispatched["ts"] >= start
    )


async def test_the_report_by_region_carrier_and_warehouse_is_exact(redis_url: str) -> None:
    async with opened(redis_url, overdue_after_h=12) as shop:
        oracle = await a_day(shop)
        view = await shop.view()
        start, orders = ms(6 * HOUR), oracle.orders(ms(NOW))
        for by, field in (("region", "region"), ("carrier", "carrier"), ("warehouse", "warehouse")):
            found = await shipping_report(view, Window.H24, by, 6, now_ms())
            assert found.as_of_ms == ms(NOW)
            assert dict(found.whole.values) == oracle.ask(start, ms(NOW), ms(NOW))
            for held in found.items:
                mine = [
                    order for order in orders if order.dispatched is not None and order.dispatched[field] == held.value
                ]
                times = took(mine, start)
                assert held.ship.count == len(times)
                assert held.ship.mean == pytest.approx(sum(times) / len(times) / 3_600_000)
                for share, quantile in ((0.5, held.ship.p50), (0.9, held.ship.p90)):
                    assert quantile == pytest.approx(times[int(share * (len(times) - 1))] / 3_600_000, rel=0.02)
                assert held.shipped_in_time == sum(time <= 12 * 3_600_000 for time in times)
                if by == "region":
                    assert dict(held.values) == oracle.ask(start, ms(NOW), ms(NOW), "region", held.value)
                else:
                    assert held.values["unshipped_orders"] is None
            overdue = [held.values["overdue_shipments"] or 0 for held in found.items]
            assert overdue == sorted(overdue, reverse=True)


async def test_expected_breaches_match_the_hazard(redis_url: str) -> None:
    async with opened(redis_url, overdue_after_h=12) as shop:
        oracle = await a_day(shop)
        found = await shipping_report(await shop.view(), Window.H24, "region", 12, now_ms())
        waiting = [
            order.paid["ts"] + 12 * 3_600_000
            for order in oracle.orders(ms(NOW))
            if order.paid is not None and order.dispatched is None
        ]
        for ahead in found.forecast:
            assert ahead.falling_due == sum(ahead.start_s <= due // 1000 < ahead.end_s for due in waiting)
            assert 0 <= ahead.low <= ahead.expected <= ahead.high <= ahead.falling_due
        assert len(found.forecast) == 12
        assert found.hazard_per_hour == pytest.approx(0.1, rel=0.35), "orders were dispatched at 10 % an hour"
