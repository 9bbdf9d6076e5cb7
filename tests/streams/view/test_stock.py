"""Stock in a view: late counts, an as-of that goes back, past moments, and retention."""

from __future__ import annotations

from random import Random

import pytest

from consumers.topics import Topic
from streams.clock import now_ms
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.query import KpiQuery
from streams.view.rolling import RollingView
from streams.worker.lateness import event_time_bounds
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, ORDERS_1, Shop, ask, opened
from tests.support.events import Event, click, line, ms, order, paid, promotion, some_events, stock_level, stock_move
from tests.support.oracle import assert_agree
from tests.support.stock_oracle import SHOP_NAMES, SKU_NAMES

pytestmark = pytest.mark.anyio

HOUR_S, DAY_S = 3600, 86_400


def bought(sku: str, at: float, qty: int = 1) -> Event:
    return order("order_created", at=at, items=[line(sku, qty=qty)])


async def is_right(shop: Shop, view: RollingView, *, at: int | None = None) -> None:
    """The stock of every SKU, the shop and each promotion equals the oracle."""
    as_of = view.as_of(now_ms()).ms if at is None else at
    assert as_of is not None
    oracle = shop.oracle()
    for sku in (f"s-{i}" for i in range(4)):
        right = oracle.ask("5m", as_of, "sku", sku)
        answer = await ask(view, "5m", "sku", sku, at=at)
        assert_agree(answer, {name: right[name] for name in SKU_NAMES}, sku, as_of)
    for scope, value in (("all", ""), *(("promotion", name) for name in shop.promotions)):
        right = oracle.ask("5m", as_of, scope, value)
        answer = await ask(view, "5m", scope, value, at=at)
        assert_agree(answer, {name: right[name] for name in SHOP_NAMES}, scope, value, as_of)


async def test_a_stock_count_hours_late_is_applied(shop: Shop) -> None:
    await shop.feed(LOGISTICS_0, [stock_level(50, at=0, sku="s-1"), stock_level(9, at=1, sku="s-1", warehouse="w-2")])
    await shop.feed(ORDERS_0, [bought("s-1", at=600 * i) for i in range(30)])
    view = await shop.view()
    await is_right(shop, view)
    await shop.compact(ORDERS_0)
    for late in (stock_level(20, at=3000, sku="s-1"), stock_level(3, at=7000, sku="s-1", warehouse="w-2")):
        await shop.feed(LOGISTICS_0, [late, stock_move("stock_received", at=4000, sku="s-1", qty=7)])
        await view.poll(now_ms())
        await is_right(shop, view)
        await is_right(shop, view, at=ms(5000))


async def test_stock_is_exact_after_the_as_of_went_back_hours(shop: Shop) -> None:
    await shop.feed(LOGISTICS_0, [stock_level(50, at=0, sku="s-1"), stock_level(10, at=9000, sku="s-1")])
    await shop.feed(ORDERS_0, [bought("s-1", at=1000 * i) for i in range(20)])
    view = await shop.view()
    await is_right(shop, view)
    # Another partition is behind, so the as-of waits for it.
    await shop.feed(ORDERS_1, [bought("s-1", at=4000, qty=5)], lag=10)
    await view.poll(now_ms())
    assert view.as_of(now_ms()).ms == ms(4000)
    await is_right(shop, view)
    await shop.feed(ORDERS_1, [bought("s-1", at=4001, qty=5)])
    await view.poll(now_ms())
    await is_right(shop, view)


@pytest.mark.parametrize("seed", range(3))
async def test_stock_is_exact_at_moments_in_any_order(shop: Shop, seed: int) -> None:
    chance = Random(seed)
    await shop.announce(
        promotion("d11", starts=0, ends=9 * HOUR_S, skus=["s-1", "s-3", "s-never"]), promotion("d12", starts=99)
    )
    view, asked = await shop.view(), []
    for turn in range(12):
        partition = chance.choice((ORDERS_0, ORDERS_1, LOGISTICS_0, LOGISTICS_0))
        events = some_events(partition.topic, 30, 100 * seed + turn, start=chance.choice((0, 1000 * turn)), length=9000)
        await shop.feed(partition, events)
        if chance.random() < 0.3:
            await shop.compact(partition)
        await view.poll(now_ms())
        await is_right(shop, view)
        newest = view.as_of(now_ms()).ms
        assert newest is not None
        asked = [at for at in (*asked, newest) if at <= newest]
        await is_right(shop, view, at=chance.choice(asked))
    await is_right(shop, await shop.view())


@pytest.mark.parametrize("keep_stock_d", [None, 4])
async def test_stock_is_exact_at_moments_days_apart_with_late_events(redis_url: str, keep_stock_d: int | None) -> None:
    """The state of a later moment continues from a copy of an earlier one, which stays valid."""
    chance, days = Random(7), 12
    kept = {} if keep_stock_d is None else {"retain": "", "keep_stock_d": keep_stock_d, "keep_minutes_d": days}
    async with opened(redis_url, **kept) as shop:
        await shop.announce(promotion("d11", starts=0, ends=9 * DAY_S, skus=["s-1", "s-3", "s-never"]))
        for partition in (LOGISTICS_0, ORDERS_0):
            events = some_events(partition.topic, 150, 3, length=days * DAY_S)
            await shop.feed(partition, events)
            await shop.compact(partition)
        view = await shop.view()
        for turn in range(4):
            for day in sorted(chance.sample(range(1, days), 3), reverse=turn % 3 == 0):
                await is_right(shop, view, at=ms(day * DAY_S + 60 * turn))
            late = some_events(Topic.LOGISTICS, 8, 50 + turn, start=chance.randrange(days - 1) * DAY_S, length=DAY_S)
            await shop.feed(LOGISTICS_0, late)
            await view.poll(now_ms())


async def test_a_series_of_stock_equals_queries_at_each_moment(shop: Shop) -> None:
    for partition in (LOGISTICS_0, ORDERS_0):
        await shop.feed(partition, some_events(partition.topic, 200, 5, length=7000))
    view, moments = await shop.view(), [ms(500 * i) for i in range(1, 13)]
    for scope, value, names in (("sku", "s-1", SKU_NAMES), ("all", "", SHOP_NAMES)):
        for name in names:
            query = KpiQuery(Window.M5, Scope(scope))
            points = await view.series(query, value, name, moments, now_ms())
            expected = [shop.oracle().ask("5m", at, scope, value)[name] for at in moments]
            assert points == [(at, pytest.approx(number)) for at, number in zip(moments, expected, strict=True)]


async def test_stock_counts_expire_and_sales_do_not(redis_url: str) -> None:
    async with opened(redis_url, retain="", keep_stock_d=2) as shop:
        await shop.announce(promotion("d11", starts=0, ends=20 * DAY_S, skus=["s-1", "s-2"]))
        sold = paid(at=10, items=[line("s-1", qty=4)], promotion_id="d11")
        await shop.feed(ORDERS_0, [sold, bought("s-1", at=20)])
        await shop.feed(LOGISTICS_0, [stock_level(5, at=5, sku="s-1"), stock_level(6, at=DAY_S, sku="s-2")])
        late = [
            (2 * DAY_S, stock_move("stock_adjusted", at=2 * DAY_S, sku="s-1", delta=1)),
            (2.5 * DAY_S, stock_level(7, at=2.5 * DAY_S, sku="s-2", warehouse="w-2")),
            (8 * DAY_S, stock_level(8, at=8 * DAY_S, sku="s-1")),
            (9 * DAY_S, stock_level(9, at=9 * DAY_S, sku="s-2")),
        ]
        following = await shop.view()
        for at, event in late:
            await shop.feed(LOGISTICS_0, [event])
            await shop.feed(CLICKS_0, [click(at=at + 60)])
            await shop.feed(ORDERS_0, [bought("s-2", at=at + 60)])
            now = event_time_bounds(shop.settings, ms(at), now_ms())
            for partition in (LOGISTICS_0, ORDERS_0, CLICKS_0):
                work = await shop.work(partition)
                assert await work.compact(now)
            await shop.writer.expire(now.oldest_s)
            await following.poll(now_ms())
            for view in (following, await shop.view()):
                await is_right(shop, view)
                await is_right(shop, view, at=ms(at - 60))
        assert shop.oracle().ask("5m", ms(9 * DAY_S), "sku", "s-1")["sell_through"] == 4 / 12
