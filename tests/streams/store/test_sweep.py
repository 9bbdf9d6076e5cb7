"""Orders without events for longer than the horizon are deleted, and only those."""

from __future__ import annotations

import pytest

from streams.shipping.record import BUCKETS, key_of
from streams.worker.expiry import RecordSweep
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, Shop, ask
from tests.support.events import click, ms, order, paid, shipment

pytestmark = pytest.mark.anyio

DAY = 86_400


async def remembered(shop: Shop, *orders: str) -> list[str]:
    records = await shop.writer.records(ORDERS_0, [key_of(order) for order in orders])
    return [order for order in orders if records[key_of(order)] is not None]


async def test_deletes_an_order_after_its_last_event(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.expiry.BUCKETS", 64)
    monkeypatch.setattr("streams.shipping.record.BUCKETS", 64)
    await shop.feed(ORDERS_0, [paid(at=0, order_id="old"), paid(at=0, order_id="alive"), paid(at=DAY, order_id="new")])
    await shop.feed(LOGISTICS_0, [shipment(at=2 * DAY, order_id="alive")])
    sweep = RecordSweep(shop.redis, shop.keys, 1000 * DAY, 500 * DAY)
    assert await sweep.run_once(ms(DAY), buckets=64) == 0
    assert await sweep.run_once(ms(DAY + 1), buckets=64) == 1
    assert await remembered(shop, "old", "alive", "new") == ["alive", "new"]
    await shop.feed(CLICKS_0, [click(at=2 * DAY)])
    await shop.feed(ORDERS_0, [paid(at=2 * DAY)])
    assert (await ask(await shop.view(), "1m"))["unshipped_orders"] == 3, "its sums stay"
    assert BUCKETS == 1 << 17


async def test_deletes_a_delivered_order_sooner(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.expiry.BUCKETS", 64)
    monkeypatch.setattr("streams.shipping.record.BUCKETS", 64)
    await shop.feed(ORDERS_0, [paid(at=0, order_id="there"), paid(at=0, order_id="on its way")])
    await shop.feed(LOGISTICS_0, [shipment("shipment_delivered", at=10, order_id="there")])
    sweep = RecordSweep(shop.redis, shop.keys, 1000 * DAY, 500 * DAY)
    assert await sweep.run_once(ms(10 + DAY / 2 + 1), buckets=64) == 1
    assert await remembered(shop, "there", "on its way") == ["on its way"]


async def test_deletes_an_unpaid_order_sooner(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.expiry.BUCKETS", 64)
    monkeypatch.setattr("streams.shipping.record.BUCKETS", 64)
    await shop.feed(ORDERS_0, [order("order_created", at=0, order_id=name) for name in ("given up", "paid", "sent")])
    await shop.feed(ORDERS_0, [paid(at=0, order_id="paid")])
    await shop.feed(LOGISTICS_0, [shipment(at=0, order_id="sent")])
    sweep = RecordSweep(shop.redis, shop.keys, 1000 * DAY, 500 * DAY)
    assert await sweep.run_once(ms(DAY / 2 + 1), buckets=64) == 1
    assert await remembered(shop, "given up", "paid", "sent") == ["paid", "sent"]
