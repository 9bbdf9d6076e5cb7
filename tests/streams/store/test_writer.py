"""The fence: a batch is applied only if it starts at the stored position, results and position together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consumers.dedup import hash_ids
from consumers.topics import Partition
from streams.panes.scopes import Scope
from streams.store.writer import BatchUpdate, IdEntry, OffsetMismatch, PaneWriter
from streams.worker.lateness import EventTimeBounds
from tests.streams.plain import delta_of, plain
from tests.streams.shop import CLICKS_0, ORDERS_0, PROMOTIONS_0, Shop
from tests.streams.store.conftest import ON_BOTH
from tests.support.events import T0, click, ms, paid, promotion

pytestmark = [pytest.mark.anyio, ON_BOTH]


def batch(
    shop: Shop, start_offset: int, end_offset: int, *, first: bool = False, partition: Partition = ORDERS_0
) -> BatchUpdate:
    """A batch with one page view per record."""
    row = shop.rows.row(Scope.ALL, "")
    hashes = hash_ids([f"{partition}-{i}" for i in range(start_offset, end_offset)])
    return BatchUpdate(
        partition,
        start_offset,
        end_offset,
        first,
        ms(end_offset),
        delta_of([(T0 + end_offset, row, 0, end_offset - start_offset)], []),
        IdEntry(end_offset, hashes, ms(start_offset), ms(end_offset)),
        {f"events,{partition.topic},page_view": end_offset - start_offset},
    )


async def apply(shop: Shop, start_offset: int, end_offset: int, *, first: bool = False) -> OffsetMismatch | None:
    return await shop.writer.apply(batch(shop, start_offset, end_offset, first=first), shop.rows)


async def page_views(shop: Shop, partition: Partition = ORDERS_0) -> int:
    return sum(plain((await shop.stored("s"))[partition], shop.rows)[0].values())


async def test_applies_consecutive_batches(shop: Shop) -> None:
    assert await apply(shop, 0, 10, first=True) is None
    assert await apply(shop, 10, 25) is None
    held = await shop.writer.load(ORDERS_0, shop.rows)
    assert (held.position, held.compacted_to, [offset for offset, _ in held.log]) == (25, 0, [10, 25])
    assert await page_views(shop) == 25


@pytest.mark.parametrize("start", [1, 1_000, 2**40])
async def test_a_new_partition_starts_at_any_offset(shop: Shop, start: int) -> None:
    assert await apply(shop, start, start + 10, first=True) is None
    held = await shop.writer.load(ORDERS_0, shop.rows)
    assert (held.position, held.compacted_to) == (start + 10, start)


async def test_an_empty_batch_changes_nothing(shop: Shop) -> None:
    assert await apply(shop, 0, 0, first=True) is None
    assert await shop.everything() == {}
    await apply(shop, 0, 10, first=True)
    before = await shop.everything()
    assert await apply(shop, 10, 10) is None
    assert await shop.everything() == before


@pytest.mark.parametrize(("start_offset", "end_offset"), [(9, 20), (11, 20), (0, 9), (0, 25), (25, 30)])
@pytest.mark.parametrize("first", [False, True])
async def test_fences_a_batch_that_does_not_start_at_the_position(
    shop: Shop, start_offset: int, end_offset: int, first: bool
) -> None:
    await apply(shop, 0, 10, first=True)
    before = await shop.everything()
    assert await apply(shop, start_offset, end_offset, first=first) == OffsetMismatch(10)
    assert await shop.everything() == before


async def test_fences_a_batch_after_redis_was_wiped(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    await shop.redis.flushall()
    assert await apply(shop, 10, 20) == OffsetMismatch(None)
    assert await shop.everything() == {}


async def test_a_call_without_an_answer_may_be_repeated(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    sent = batch(shop, 10, 20)
    assert await shop.writer.apply(sent, shop.rows) is None
    before = await shop.everything()
    assert await shop.writer.apply(sent, shop.rows) is None
    assert await shop.everything() == before
    assert await apply(shop, 20, 30) is None
    assert await page_views(shop) == 30


async def test_the_first_call_may_be_repeated(shop: Shop) -> None:
    sent = batch(shop, 5, 10, first=True)
    for _ in range(3):
        assert await shop.writer.apply(sent, shop.rows) is None
    assert await page_views(shop) == 5


async def test_fences_another_batch_with_the_same_end_offset(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    assert await apply(shop, 0, 10, first=True) == OffsetMismatch(10)
    assert await apply(shop, 10, 20) is None
    before = await shop.everything()
    assert await apply(shop, 10, 20) == OffsetMismatch(20)
    assert await shop.everything() == before


async def test_of_two_first_batches_one_is_fenced(shop: Shop) -> None:
    assert await apply(shop, 0, 10, first=True) is None
    assert await apply(shop, 0, 12, first=True) == OffsetMismatch(10)
    assert await page_views(shop) == 10


async def test_a_batch_without_events_moves_the_position(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    assert await shop.writer.apply(BatchUpdate(ORDERS_0, 10, 20, False, None), shop.rows) is None
    assert await apply(shop, 20, 30) is None
    held = await shop.writer.load(ORDERS_0, shop.rows)
    assert [(offset, bool(delta)) for offset, delta in held.log] == [(10, True), (20, False), (30, True)]
    state = (await shop.reader(shop.rows).state()).partitions[ORDERS_0]
    assert state.newest_ms == ms(30)


async def test_the_newest_event_time_never_decreases(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    late = replace(batch(shop, 10, 20), newest_ms=ms(-500))
    assert await shop.writer.apply(late, shop.rows) is None
    assert (await shop.reader(shop.rows).state()).partitions[ORDERS_0].newest_ms == ms(10)


async def test_repeated_calls_do_not_change_totals(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    sent = batch(shop, 10, 25)
    for _ in range(2):
        await shop.writer.apply(sent, shop.rows)
    await apply(shop, 3, 9)
    await shop.writer.apply(batch(shop, 0, 4, first=True, partition=CLICKS_0), shop.rows)
    totals = await shop.redis.hgetall(shop.keys.totals(0))
    assert totals == {b"events,orders,page_view": b"25", b"events,clicks,page_view": b"4"}


async def test_loads_ids_with_their_batches(shop: Shop) -> None:
    await apply(shop, 0, 3, first=True)
    await apply(shop, 3, 5)
    ids = (await shop.writer.load(ORDERS_0, shop.rows)).ids
    assert [(entry.end_offset, entry.oldest_ms, entry.newest_ms) for entry in ids] == [
        (3, ms(0), ms(3)),
        (5, ms(3), ms(5)),
    ]
    expected = hash_ids([f"{ORDERS_0}-{i}" for i in range(5)])
    assert np.concatenate([entry.hashes for entry in ids]).tolist() == expected.tolist()


async def test_a_reset_marks_the_history_as_incomplete(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    assert not await shop.writer.reset_position(ORDERS_0, 10, 500, ms(10))  # its log is not compacted yet
    await (await shop.work(ORDERS_0)).compact(EventTimeBounds(None, None, None))
    assert await shop.writer.reset_position(ORDERS_0, 10, 500, ms(3))
    assert await shop.redis.hget(shop.keys.state(0), f"incomplete:{ORDERS_0}") == str(ms(10)).encode()
    assert await apply(shop, 500, 510) is None


async def test_marks_lost_records_from_the_newest_event_counted(shop: Shop) -> None:
    async def since() -> bytes | None:
        held: bytes | None = await shop.redis.hget(shop.keys.state(0), f"incomplete:{ORDERS_0}")
        return held

    await apply(shop, 0, 10, first=True)
    assert not await shop.writer.mark_incomplete(ORDERS_0, 3, ms(99)), "another worker has counted meanwhile"
    assert await since() is None
    assert await shop.writer.mark_incomplete(ORDERS_0, 10, ms(99))
    assert await since() == str(ms(10)).encode()
    await apply(shop, 10, 20)
    assert await shop.writer.mark_incomplete(ORDERS_0, 20, ms(99))
    assert await since() == str(ms(10)).encode(), "the earliest mark is kept"


async def test_marks_records_lost_before_any_event_from_the_given_time(shop: Shop) -> None:
    assert await shop.writer.mark_incomplete(ORDERS_0, None, ms(7))
    assert await shop.redis.hget(shop.keys.state(0), f"incomplete:{ORDERS_0}") == str(ms(7)).encode()


async def test_a_recreated_topic_is_counted_from_its_first_record(shop: Shop) -> None:
    await apply(shop, 0, 100, first=True)
    await (await shop.work(ORDERS_0)).compact(EventTimeBounds(None, None, None))
    assert await shop.writer.reset_position(ORDERS_0, 100, 0, ms(100))
    assert await apply(shop, 0, 10) is None
    assert await page_views(shop) == 110


async def test_a_reset_without_a_loss_marks_nothing(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    await (await shop.work(ORDERS_0)).compact(EventTimeBounds(None, None, None))
    assert await shop.writer.reset_position(ORDERS_0, 10, 0, None)
    assert await shop.redis.hget(shop.keys.state(0), f"incomplete:{ORDERS_0}") is None


async def test_a_heartbeat_counts_only_at_the_stored_position(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    assert await shop.writer.heartbeat({ORDERS_0: (10, 7), CLICKS_0: (None, 0)}) == set()
    assert await shop.writer.heartbeat({ORDERS_0: (9, 3), CLICKS_0: (5, 0)}) == {ORDERS_0, CLICKS_0}
    states = (await shop.reader(shop.rows).state()).partitions
    assert (states[ORDERS_0].lag, states[CLICKS_0].lag, states[CLICKS_0].position) == (7, 0, None)


async def test_stores_since_when_a_position_with_a_backlog_has_not_moved(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    at_s = 1_000
    writer = PaneWriter(shop.redis, shop.keys, shop.levels, clock=lambda: at_s * 1000)

    async def waits(lag: int | None, position: int = 10, steps: int = 0) -> tuple[str, float, int | None] | None:
        assert await writer.heartbeat({ORDERS_0: (position, lag)}, steps={ORDERS_0: steps}) == set()
        held = (await shop.reader(shop.rows).state()).unmoved.get(ORDERS_0)
        return held and (held.position, held.unmoved_s, held.lag)

    assert await waits(0) is None
    assert await waits(7) == ("10", 0, 7)
    at_s += 40
    assert await waits(8) == ("10", 40, 8)
    at_s += 40
    assert await waits(None) == ("10", 80, None), "the broker does not answer"
    assert (await shop.reader(shop.rows).state()).partitions[ORDERS_0].heartbeat_ms == 1_040_000, (
        "which is no heartbeat"
    )
    at_s += 1
    assert await waits(8, steps=1) == ("10", 0, 8), "reading a large record is progress"
    await apply(shop, 10, 12)
    at_s += 40
    assert await waits(6, position=12) == ("12", 0, 6)
    at_s += 61
    assert await waits(6, position=12) == ("12", 0, 6), "no worker was running meanwhile"
    at_s += 1
    assert await waits(0, position=12) is None


async def test_replaces_a_newest_event_time_in_the_future(shop: Shop) -> None:
    async def newest_ms() -> int | None:
        return (await shop.reader(shop.rows).state()).partitions[ORDERS_0].newest_ms

    old = replace(batch(shop, 0, 10, first=True), newest_ms=ms(240))  # as earlier versions wrote it
    assert await shop.writer.apply(old, shop.rows) is None
    assert await shop.writer.apply(replace(batch(shop, 10, 20), newest_ms=ms(9)), shop.rows) is None
    assert await newest_ms() == ms(240), "on the event clock any time may be right"
    assert await shop.writer.apply(replace(batch(shop, 20, 30), newest_ms=ms(9), clock_ms=ms(12)), shop.rows) is None
    assert await newest_ms() == ms(9)
    assert await shop.writer.apply(replace(batch(shop, 30, 40), newest_ms=ms(8), clock_ms=ms(12)), shop.rows) is None
    assert await newest_ms() == ms(9)


async def test_a_batch_of_events_ahead_of_the_clock_does_not_make_a_partition_active(shop: Shop) -> None:
    ahead = replace(batch(shop, 0, 10, first=True), newest_ms=None)
    assert await shop.writer.apply(ahead, shop.rows) is None
    held = (await shop.reader(shop.rows).state()).partitions[ORDERS_0]
    assert (held.position, held.newest_ms, held.last_counted_ms) == (10, None, None)
    assert held.last_empty_batch_ms is not None
    assert await apply(shop, 10, 20) is None
    held = (await shop.reader(shop.rows).state()).partitions[ORDERS_0]
    assert held.last_counted_ms is not None
    assert held.last_counted_ms >= (held.last_empty_batch_ms or 0)
    assert await page_views(shop) == 20


async def test_a_heartbeat_without_arrivals_keeps_the_stored_time(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    writer = PaneWriter(shop.redis, shop.keys, shop.levels, clock=lambda: 5_000)
    for arrived, kept in (({}, None), ({ORDERS_0: 4_000}, 4_000), ({}, 4_000)):
        assert await writer.heartbeat({ORDERS_0: (10, 7)}, arrived) == set()
        held = (await shop.reader(shop.rows).state()).partitions[ORDERS_0]
        assert (held.heartbeat_ms, held.counted_through_ms) == (5_000, kept)


async def test_promotions_are_applied_under_the_same_fence(shop: Shop) -> None:
    d11, d12 = (promotion(name).model_dump_json().encode() for name in ("d11", "d12"))

    async def change(
        start_offset: int, end_offset: int, *changes: tuple[str, bytes | None], first: bool = False
    ) -> OffsetMismatch | None:
        return await shop.writer.apply_promotions(PROMOTIONS_0, start_offset, end_offset, first, changes)

    reader = shop.reader(shop.rows)
    assert await change(0, 2, ("d11", d11), ("d12", d12)) == OffsetMismatch(None)
    assert await change(0, 2, ("d11", d11), ("d12", d12), first=True) is None
    assert set(await reader.promotions()) == {"d11", "d12"}
    version = (await reader.state()).promotions_version
    assert await change(0, 1, ("d11", None)) == OffsetMismatch(2)
    assert await change(2, 4, ("d11", None), ("d12", d12)) is None
    assert await change(2, 4, ("d11", None), ("d12", d12)) is None
    assert set(await reader.promotions()) == {"d12"}
    assert (await reader.state()).promotions_version == version + 1
    assert PROMOTIONS_0 not in (await reader.state()).partitions


async def test_the_epoch_changes_only_when_redis_is_wiped(shop: Shop) -> None:
    async def epochs() -> tuple[str, ...]:
        return (await shop.reader(shop.rows).state()).epochs

    await apply(shop, 0, 10, first=True)
    before = await epochs()
    another = PaneWriter(shop.redis, shop.keys, shop.levels)
    await another.apply(batch(shop, 10, 20), shop.rows)
    assert await epochs() == before
    await shop.redis.flushall()
    await another.apply(batch(shop, 0, 10, first=True), shop.rows)
    assert await epochs() != before


async def test_reloads_scripts_that_redis_lost(shop: Shop) -> None:
    await apply(shop, 0, 10, first=True)
    await shop.redis.script_flush()
    assert await apply(shop, 10, 20) is None


async def test_loads_an_empty_partition(shop: Shop) -> None:
    held = await shop.writer.load(ORDERS_0, shop.rows)
    assert (held.position, held.compacted_to, held.log, held.ids, held.compacted_ids) == (None, None, [], [], [])


async def test_partitions_are_independent(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    await shop.feed(CLICKS_0, [click(at=1), click(at=2)])
    states = (await shop.reader(shop.rows).state()).partitions
    assert (states[ORDERS_0].position, states[CLICKS_0].position) == (1, 2)
