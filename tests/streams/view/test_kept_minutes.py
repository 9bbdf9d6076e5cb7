"""A year later, queries within a promotion are exact to the minute, and others are rejected."""

from __future__ import annotations

from random import Random

import pytest

from consumers.topics import EVENT_TOPICS, Partition
from streams.clock import now_ms
from streams.model.kpis import STOCK_NAMES
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.compare_rules import ComparisonPeriod
from streams.view.comparer import Comparer
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, Shop, ask, opened
from tests.support.events import click, ms, paid, promotion, shipment, some_events
from tests.support.oracle import DISTINCTS, assert_agree

pytestmark = pytest.mark.anyio

HOUR_S, DAY_S = 3_600, 86_400
YEAR_S = 365 * DAY_S
START, END = 2 * HOUR_S + 600, 8 * HOUR_S + 1_800
SCOPES = (("all", ""), ("channel", "live"), ("category", "c-1"), ("sku", "s-1"), ("promotion", "d11"))


async def sold(shop: Shop, seed: int, start: float) -> None:
    """Random events of ten hours, compacted."""
    for topic in EVENT_TOPICS:
        partition = Partition(topic, 0)
        await shop.feed(partition, some_events(topic, 1_500, seed, start=start, length=10 * HOUR_S))
        await shop.compact(partition)


async def a_year_later(shop: Shop, *, later_s: int = YEAR_S) -> RollingView:
    """The sale d11 within ten hours of events, and later d12, whose baseline it is."""
    await shop.announce(promotion("d11", starts=START, ends=END))
    await sold(shop, 1, 0)
    await shop.drop(ms(10 * HOUR_S))
    await shop.announce(promotion("d12", starts=later_s + START, ends=later_s + END, baseline="d11"))
    await sold(shop, 2, later_s)
    await shop.feed(CLICKS_0, [click(at=later_s + 10 * HOUR_S)])
    await shop.drop(ms(later_s + 10 * HOUR_S))
    return await shop.view()


def but_distincts(numbers: dict) -> dict:
    """Old distinct counts are kept by ten minutes."""
    return {name: number for name, number in numbers.items() if name not in (*DISTINCTS, "conversion_rate")}


@pytest.mark.parametrize("later_s", [YEAR_S, 2 * YEAR_S + 100 * DAY_S], ids=["a year", "when hours are gone"])
async def test_every_minute_of_an_old_promotion_is_answered(redis_url: str, later_s: int) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle, chance = await a_year_later(shop, later_s=later_s), shop.oracle(), Random(1)
        for at in (START, START + 60, *(60 * chance.randrange(START // 60, END // 60) for _ in range(6)), END):
            for scope, value in SCOPES:
                for window in ("1m", "5m", "15m", "1h", "promotion"):
                    numbers = await ask(view, window, scope, value, at=ms(at), promotion="d11")
                    expected = oracle.ask(window, ms(at), scope, value, promotion="d11")
                    assert_agree(numbers, _of_panes(expected), window, scope, value, at)


def _of_panes(expected: dict) -> dict:
    """Numbers from panes: stock and waiting orders are kept for weeks, and null after that."""
    gone = dict.fromkeys(("unshipped_orders", "overdue_shipments", *STOCK_NAMES))
    return but_distincts({name: number for name, number in expected.items() if name not in gone}) | gone


async def test_old_distinct_counts_are_answered_every_ten_minutes(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle = await a_year_later(shop), shop.oracle()
        for at in range(START + 600, END, 2_400):
            for scope, value in (("all", ""), ("channel", "live"), ("sku", "s-1")):
                numbers = await ask(view, "promotion", scope, value, at=ms(at), promotion="d11")
                expected = oracle.ask("promotion", ms(at), scope, value, promotion="d11")
                assert_agree({name: numbers[name] for name in DISTINCTS}, {name: expected[name] for name in DISTINCTS})
        assert (await ask(view, "promotion", at=ms(START + 660), promotion="d11"))["visitors"] is None


async def test_an_old_promotion_is_answered_as_a_whole_at_any_later_as_of(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle = await a_year_later(shop), shop.oracle()
        expected = but_distincts(oracle.ask("promotion", ms(END), promotion="d11"))
        for at in (None, ms(END + 60), ms(YEAR_S // 2), ms(END + DAY_S)):
            numbers = await ask(view, "promotion", at=at, promotion="d11")
            for name in ("gmv", "orders_paid", "page_views", "refunds", "net_gmv"):
                assert numbers[name] == expected[name]


async def test_windows_that_begin_before_the_kept_minutes_are_exact_or_rejected(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle = await a_year_later(shop), shop.oracle()
        for at in range(START, END + 1, 600):
            for window in ("24h", "day"):
                expected = oracle.ask(window, ms(at))["gmv"]
                try:
                    assert (await ask(view, window, at=ms(at)))["gmv"] == expected
                except NotAnswerableError:
                    assert window == "24h"
                    assert at % HOUR_S, "on the hour the hours before will do"
        for at in (60, START - 2 * HOUR_S, END + 1_260, 20 * DAY_S):
            with pytest.raises(NotAnswerableError):
                await ask(view, "1m", at=ms(at))


async def test_a_series_of_an_old_promotion_equals_queries_at_each_minute(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle = await a_year_later(shop), shop.oracle()
        for window, scope, value in (
            ("promotion", "all", ""),
            ("5m", "channel", "live"),
            ("promotion", "promotion", "d11"),
        ):
            query = KpiQuery(Window(window), Scope(scope), None, "d11")
            moments = range(ms(START), ms(END) + 1, 60_000)
            points = await view.series(query, value, "net_gmv", moments, now_ms())
            assert [at for at, _ in points] == list(moments)
            for at, number in points[::37]:
                assert number == oracle.ask(window, at, scope, value, promotion="d11")["net_gmv"]
        with pytest.raises(NotAnswerableError):
            await view.series(KpiQuery(Window.H24), "", "gmv", [ms(START + 60)], now_ms())


@pytest.mark.parametrize("window", ["5m", "promotion"])
async def test_comparison_with_the_last_sale_works_a_year_later(redis_url: str, window: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view, oracle = await a_year_later(shop), shop.oracle()
        comparer = Comparer(view, now_ms(), "UTC")
        for elapsed in (0, 61, 599, 3_600, 5 * HOUR_S + 77):
            asked = ms(YEAR_S + START + elapsed)
            found = await comparer.one(KpiQuery(Window(window), as_of_ms=asked), "", ComparisonPeriod.BASELINE)
            (item,) = found.items
            assert (found.now.as_of_ms, found.at.as_of_ms) == (
                asked - asked % 60_000,
                ms(START) + (elapsed - elapsed % 60) * 1000,
            )
            now, then = oracle.ask(window, found.now.as_of_ms), oracle.ask(window, found.at.as_of_ms, promotion="d11")
            assert_agree(
                item.now.values, but_distincts({name: n for name, n in now.items() if name not in STOCK_NAMES})
            )
            assert_agree(item.then.values, _of_panes(then))


async def test_shipping_of_old_promotions_is_kept_by_the_minute(redis_url: str) -> None:
    """Compared with a store that keeps everything."""
    chance, rates = Random(7), ("ship_within_48h_rate", "on_time_delivery_rate", "ship_hours", "delivery_hours")
    orders, shipments = [], []
    for number in range(300):
        at, labels = (
            chance.uniform(0, 9 * HOUR_S),
            {"order_id": f"o-{number}", "region": chance.choice(("east", "west"))},
        )
        orders.append(paid(at=at, promotion_id="d11", **labels))
        dispatched = at + chance.uniform(0, 2 * HOUR_S)
        shipments.append(shipment(at=dispatched, promised_ts=ms(dispatched + 1_800), **labels))
        shipments.append(shipment("shipment_delivered", at=dispatched + chance.uniform(0, HOUR_S), **labels))
    async with (
        opened(redis_url, retain="", overdue_after_h=1) as shop,
        opened(redis_url, redis_prefix="all", overdue_after_h=1) as everything,
    ):
        for store in (shop, everything):
            await store.announce(promotion("d11", starts=START, ends=END))
            for partition, events in ((ORDERS_0, orders), (LOGISTICS_0, shipments)):
                await store.feed(partition, events)
                await store.compact(partition)
        await shop.drop(ms(10 * HOUR_S))
        for store in (shop, everything):
            await store.feed(CLICKS_0, [click(at=YEAR_S)])
        await shop.drop(ms(YEAR_S))
        view, whole = await shop.view(), await everything.view()
        for scope, value in (("all", ""), ("region", "east"), ("promotion", "d11")):
            for window in ("15m", "1h", "promotion"):
                query = KpiQuery(Window(window), Scope(scope), None, "d11")
                moments = range(ms(START), ms(END) + 1, 1_740_000)
                for name in rates:
                    points = await view.series(query, value, name, moments, now_ms())
                    assert points == await whole.series(query, value, name, moments, now_ms())
                    assert any(number for _, number in points)
                for at in moments:
                    numbers = await ask(view, window, scope, value, at=at, promotion="d11")
                    expected = await ask(whole, window, scope, value, at=at, promotion="d11")
                    assert {name: numbers[name] for name in rates} == {name: expected[name] for name in rates}
                    assert (numbers["unshipped_orders"], expected["unshipped_orders"] is None) == (None, False)


async def test_a_promotion_announced_after_its_minutes_expired_is_rejected(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await sold(shop, 1, 0)
        await shop.feed(CLICKS_0, [click(at=5 * DAY_S)])
        await shop.drop(ms(5 * DAY_S))
        await shop.announce(promotion("d11", starts=START, ends=END))
        await shop.drop(ms(5 * DAY_S))
        view = await shop.view()
        with pytest.raises(NotAnswerableError, match="no longer kept"):
            await ask(view, "promotion", promotion="d11")


async def test_a_promotion_extended_while_it_runs_is_kept_to_its_new_end(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion("d11", starts=START, ends=START + HOUR_S))
        await sold(shop, 1, 0)
        await shop.drop(ms(START + 600))
        await shop.announce(promotion("d11", starts=START, ends=END))
        await shop.drop(ms(START + 1_200))
        await shop.feed(CLICKS_0, [click(at=YEAR_S)])
        await shop.drop(ms(YEAR_S))
        view, oracle = await shop.view(), shop.oracle()
        for at in (START + 1_800, END - 60, END):
            expected = oracle.ask("promotion", ms(at), promotion="d11")["gmv"]
            assert (await ask(view, "promotion", at=ms(at), promotion="d11"))["gmv"] == expected
