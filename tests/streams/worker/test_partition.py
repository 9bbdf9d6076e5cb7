"""One partition: rejections, duplicates, and what a new owner loads, on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumers.contract.rejection import PricingLabels, RejectionReason
from streams.clock import now_ms
from streams.model.negative_amounts import MAX_CHANNEL_COUPON_PAIRS, NEGATIVE_AMOUNTS
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.store.progress import read_totals
from streams.store.writer import OffsetMismatch
from streams.worker.lateness import EventTimeBounds
from tests.streams.plain import plain
from tests.streams.shop import CLICKS_0, ORDERS_0, Shop, ask, listed, opened
from tests.support.events import click, ms, paid, records, wire

pytestmark = pytest.mark.anyio

ANY_TIME = EventTimeBounds(None, None, None)


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Shop]:
    async with opened(redis_url) as shop:
        yield shop


async def page_views(shop: Shop) -> object:
    """Of all counted events; an event at the end moves the as-of past the others."""
    await shop.feed(CLICKS_0, [click("search", at=80_000)])
    return (await ask(await shop.view(), "24h"))["page_views"]


async def test_duplicates_count_once_within_and_across_batches_and_restarts(shop: Shop) -> None:
    first, second = click(at=1), click(at=2)
    await shop.feed(CLICKS_0, [first, first, second])
    await shop.feed(CLICKS_0, [second, first])
    shop.restart()
    await shop.feed(CLICKS_0, [first, click(at=3)])
    await shop.compact(CLICKS_0, ms(3))
    shop.restart()
    await shop.feed(CLICKS_0, [second])
    assert await page_views(shop) == 3
    assert await shop.redis.hget(shop.keys.totals(0), "duplicates,clicks") == b"5"


async def test_of_two_events_with_the_same_id_the_first_counts(shop: Shop) -> None:
    event = click("page_view", at=1)
    await shop.feed(CLICKS_0, [event, {**event, "type": "search"}])
    assert await page_views(shop) == 1


async def test_ids_are_distinct_per_topic(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [{**click(at=1), "event_id": "same"}])
    await shop.feed(ORDERS_0, [{**paid(at=1), "event_id": "same"}])
    await shop.feed(ORDERS_0, [paid(at=3)])
    answer = await ask(await shop.view(), "1m")
    assert (answer["page_views"], answer["orders_paid"]) == (1, 1)


async def test_rejects_invalid_records_by_index_and_counts_the_rest(shop: Shop) -> None:
    work = await shop.work(CLICKS_0)
    values = [b"{", wire(click(at=1)), None, wire(click(at=2)), wire(paid(at=3))]
    prepared = work.prepare(records(CLICKS_0.topic, 0, 0, values), ANY_TIME)
    refused = [(rejected.index, rejected.reason) for rejected in prepared.rejected]
    assert refused == [(0, RejectionReason.BAD_JSON), (2, RejectionReason.EMPTY), (4, RejectionReason.WRONG_TOPIC)]
    assert prepared.update.totals == {
        "events,clicks,page_view": 2,
        "rejected,clicks,bad_json": 1,
        "rejected,clicks,empty": 1,
        "rejected,clicks,wrong_topic": 1,
    }
    assert (prepared.update.start_offset, prepared.update.end_offset, prepared.update.newest_ms) == (0, 5, ms(2))


async def test_counts_dropped_labels_once_per_counted_event(shop: Shop) -> None:
    event = click(at=1, campaign="x" * 129, keyword="y" * 500, channel="")
    await shop.feed(CLICKS_0, [event, event, click(at=2, campaign="z" * 129)])
    await shop.feed(CLICKS_0, [event])
    assert await page_views(shop) == 2
    totals = await read_totals(shop.redis, shop.keys)
    assert totals.labels_dropped == {("clicks", "campaign"): 2, ("clicks", "keyword"): 1}
    assert totals.duplicates == 2
    assert now_ms() - 60_000 < totals.last_ms["labels_dropped"] <= now_ms()
    assert "rejected" not in totals.last_ms
    view = await shop.view()
    assert await listed(view, "24h", "campaign") == {}


async def test_counts_negative_amounts_by_a_bounded_number_of_channel_and_coupon_pairs(shop: Shop) -> None:
    def negative(i: int, **fields: object) -> dict[str, object]:
        return {**paid(at=i), "discount": 1_001, **fields}

    awkward = {"channel": 'a,b"\\\n', "coupon": "ü, 50 % / \x00"}
    await shop.feed(ORDERS_0, [negative(0, **awkward), negative(1, **awkward), negative(2), paid(at=3)])
    await shop.feed(ORDERS_0, [negative(i, coupon=f"c-{i}") for i in range(150)])
    await shop.feed(ORDERS_0, [negative(1, **awkward), negative(2), negative(3, coupon="c-149")])
    totals = await read_totals(shop.redis, shop.keys)
    assert totals.reasons == {("orders", "negative_amount"): 156}
    held = totals.negative_amounts
    assert list(held.by.items())[:2] == [(PricingLabels(**awkward), 3), (PricingLabels("", ""), 2)]
    assert len(held.by) == MAX_CHANNEL_COUPON_PAIRS
    assert held.rest == 156 - 5 - (MAX_CHANNEL_COUPON_PAIRS - 2)
    assert now_ms() - 60_000 < totals.last_ms[NEGATIVE_AMOUNTS] <= now_ms()
    assert len(await shop.redis.hgetall(shop.keys.totals(0))) < MAX_CHANNEL_COUPON_PAIRS + 10
    await shop.work(ORDERS_0)
    state = await shop.reader(RowIndex()).state()
    assert state.partitions.keys() == {ORDERS_0}, "the state reads as before"


async def test_rejects_events_beyond_the_late_and_future_limits(shop: Shop) -> None:
    work = await shop.work(CLICKS_0)
    values = [wire(click(at=at)) for at in (99.999, 100, 200, 200.001)]
    prepared = work.prepare(records(CLICKS_0.topic, 0, 0, values), EventTimeBounds(None, ms(100), ms(200)))
    refused = [(rejected.index, rejected.reason) for rejected in prepared.rejected]
    assert refused == [(0, RejectionReason.TOO_LATE), (3, RejectionReason.FROM_THE_FUTURE)]
    assert prepared.update.totals["events,clicks,page_view"] == 2
    assert prepared.update.newest_ms == ms(200)


async def test_events_ahead_of_the_clock_count_without_advancing_the_as_of(shop: Shop) -> None:
    work = await shop.work(CLICKS_0)
    clock = EventTimeBounds(None, ms(-100), ms(400), now_ms=ms(100))
    values = [wire(click(at=at, source="till-7")) for at in (99, 101, 102.001, 340)]
    prepared = work.prepare(records(CLICKS_0.topic, 0, 0, values), clock)
    assert not prepared.rejected
    assert prepared.update.newest_ms == ms(101)
    assert prepared.update.totals["events,clicks,page_view"] == 4
    assert prepared.fast_clocks == {("clicks", "till-7"): 240_000}
    assert prepared.depends_on_clock
    none_in_time = work.prepare(records(CLICKS_0.topic, 0, 0, values[2:]), clock)
    assert (none_in_time.update.newest_ms, none_in_time.update.totals) == (None, {"events,clicks,page_view": 2})
    in_time = work.prepare(records(CLICKS_0.topic, 0, 0, values[:2]), clock)
    assert (in_time.fast_clocks, in_time.depends_on_clock) == ({}, False)
    refused = work.prepare(records(CLICKS_0.topic, 0, 0, [wire(click(at=401, source="till-8"))]), clock)
    assert (len(refused.rejected), refused.fast_clocks) == (1, {("clicks", "till-8"): 301_000}), (
        "it is reported as well"
    )


async def test_preparing_changes_nothing(shop: Shop) -> None:
    work = await shop.work(CLICKS_0)
    batch = records(CLICKS_0.topic, 0, 0, [wire(click(at=1)), wire(click(at=2))])
    once, again = (work.prepare(batch, ANY_TIME).update for _ in range(2))
    assert plain(once.delta, shop.rows) == plain(again.delta, shop.rows)
    assert once.totals == again.totals
    assert await shop.everything() == {}


async def test_a_fenced_batch_leaves_the_copy_unchanged(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=1)])
    values = [wire(click(at=2)), wire(click(at=2))]
    stale = (await shop.work(CLICKS_0)).prepare(records(CLICKS_0.topic, 0, 1, values), ANY_TIME)
    await shop.feed(CLICKS_0, [click(at=3)])
    work = await shop.work(CLICKS_0)
    seen = len(work.seen)
    assert await work.apply(stale) == OffsetMismatch(2)
    assert (work.position, len(work.seen)) == (2, seen)


async def test_renumbering_rows_changes_no_result(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=1, channel="app"), click(at=2, region="east")])
    work = await shop.work(CLICKS_0)
    shop.rows = RowIndex()
    shop.rows.row(Scope.SKU, "something else")
    work.renumber(shop.rows)
    await shop.feed(CLICKS_0, [click(at=3, region="east")])
    await shop.compact(CLICKS_0)
    assert await page_views(shop) == 3
    view = await shop.view()
    assert (await ask(view, "24h", "region", "east"))["page_views"] == 2


async def test_counts_each_rejection_and_duplicate_once(shop: Shop) -> None:
    early, counted = click(at=300), click(at=150)
    again = {**counted, "event_id": early["event_id"]}
    values = [wire(event) for event in (early, early, again, again, counted, {**counted, "ts": ms(300)})]
    work = await shop.work(CLICKS_0)
    prepared = work.prepare(records(CLICKS_0.topic, 0, 0, values), EventTimeBounds(None, ms(100), ms(200)))
    assert [(rejected.index, rejected.reason) for rejected in prepared.rejected] == [
        (0, RejectionReason.FROM_THE_FUTURE),
        (1, RejectionReason.FROM_THE_FUTURE),
    ]
    assert prepared.update.totals == {
        "events,clicks,page_view": 2,
        "rejected,clicks,from_the_future": 2,
        "duplicates,clicks": 2,
    }
