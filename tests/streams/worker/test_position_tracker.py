"""Positions after records were deleted or the topic was recreated: the loss is always reported."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.worker.position_tracker import Arrivals
from tests.streams.shop import CLICKS_0, ORDERS_0
from tests.streams.worker.conftest import Clock, Office, opened
from tests.support.events import click, ms, paid

pytestmark = pytest.mark.anyio


async def counted(office: Office, n: int) -> None:
    """A partition with n counted clicks, and its topic id stored."""
    office.topics.ids = {Topic.CLICKS: "a", Topic.ORDERS: "o"}
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(n)))
    await office.count(office.topics.fetch(CLICKS_0))
    await office.worker.tick()


async def test_stores_the_topic_id_with_the_position(office: Office) -> None:
    await counted(office, 3)
    assert await office.field("topic:clicks/0") == "a"


async def test_reads_a_recreated_topic_that_grew_beyond_the_position_from_its_beginning(
    clock: Clock, office: Office
) -> None:
    await counted(office, 3)
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    clock.advance(6)
    await office.worker.tick()
    assert (await office.position(CLICKS_0), await office.field("incomplete:clicks/0")) == (0, str(ms(2)))
    assert await office.field("topic:clicks/0") == "a+ a"
    await office.worker.tick()
    assert office.topics.sought == [(CLICKS_0, 0)]
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.totals() == {"events,clicks,page_view": 13}


async def test_a_new_owner_detects_a_recreated_topic(office: Office, redis_url: str) -> None:
    await counted(office, 3)
    async with opened(redis_url) as other:
        other.topics.ids = {Topic.CLICKS: "b"}
        other.topics.write(CLICKS_0, *(click(at=100 + at) for at in range(10)))
        other.topics.reads[CLICKS_0] = 3
        await other.worker.tick()
        assert await other.position(CLICKS_0) == 0
        assert await other.field("incomplete:clicks/0") is not None


async def test_records_of_a_recreated_topic_counted_before_its_detection_count_once(
    clock: Clock, office: Office
) -> None:
    await counted(office, 3)
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    await office.count(office.topics.fetch(CLICKS_0, most=4))  # offsets 3 to 6
    clock.advance(6)
    for _ in range(2):
        await office.worker.tick()
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.totals() == {"events,clicks,page_view": 13, "duplicates,clicks": 4}


async def test_does_not_seek_to_an_old_position_in_a_recreated_topic(office: Office) -> None:
    """A consumer that was reset to the first record of a new topic must not return to the old position."""
    await counted(office, 3)
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    office.topics.reads[CLICKS_0] = 0
    await office.count(office.topics.fetch(CLICKS_0, most=2))
    assert (await office.position(CLICKS_0), office.topics.sought) == (0, [])
    assert await office.field("incomplete:clicks/0") == str(ms(2))


async def test_counts_nothing_after_a_gap_until_the_topic_id_is_known(office: Office) -> None:
    await counted(office, 3)
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    office.topics.heard[CLICKS_0] = now_ms() + 2_500
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.totals() == {"events,clicks,page_view": 3}
    assert await office.position(CLICKS_0) == 0


async def test_ignores_a_broker_with_old_metadata(clock: Clock, office: Office) -> None:
    await counted(office, 3)
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    for topic_id in ("a+", "a", "a+"):
        office.topics.ids[Topic.CLICKS] = topic_id
        clock.advance(6)
        await office.worker.tick()
        await office.worker.tick()
        await office.count(office.topics.fetch(CLICKS_0, most=2))
    assert await office.position(CLICKS_0) == 6


async def test_resets_only_the_recreated_topic(clock: Clock, office: Office) -> None:
    await counted(office, 3)
    office.topics.write(ORDERS_0, paid(at=1))
    await office.count(office.topics.fetch(ORDERS_0))
    await office.worker.tick()
    office.topics.recreate(CLICKS_0, *(click(at=100 + at) for at in range(10)))
    clock.advance(6)
    await office.worker.tick()
    assert (await office.position(CLICKS_0), await office.position(ORDERS_0)) == (0, 1)
    assert await office.field("incomplete:orders/0") is None


async def test_without_topic_ids_only_offsets_decide(clock: Clock, office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(3)))
    await office.count(office.topics.fetch(CLICKS_0))
    await office.worker.tick()
    assert await office.field("topic:clicks/0") is None
    office.topics.values[CLICKS_0] = []
    office.topics.write(CLICKS_0, click(at=100))
    clock.advance(6)
    await office.worker.tick()
    assert await office.position(CLICKS_0) == 0  # the end is before the position


async def test_records_deleted_before_counting_make_the_history_incomplete(clock: Clock, office: Office) -> None:
    await counted(office, 3)
    office.topics.write(CLICKS_0, *(click(at=50 + at) for at in range(10)))
    office.topics.begins[CLICKS_0] = office.topics.reads[CLICKS_0] = 8
    clock.advance(6)
    await office.worker.tick()
    assert (await office.position(CLICKS_0), await office.field("incomplete:clicks/0")) == (8, str(ms(2)))
    assert await office.field("topic:clicks/0") == "a "
    await office.worker.tick()
    assert await office.position(CLICKS_0) == 8


async def test_a_worker_that_starts_after_retention_marks_the_start_of_the_loss(
    clock: Clock, office: Office, redis_url: str
) -> None:
    """It finds the loss before it has an as-of."""
    await counted(office, 3)
    async with opened(redis_url) as other:
        other.topics.ids = office.topics.ids
        other.topics.write(CLICKS_0, *(click(at=at) for at in range(20)))
        other.topics.begins[CLICKS_0] = other.topics.reads[CLICKS_0] = 8
        await other.count(other.topics.fetch(CLICKS_0))
        assert (await other.position(CLICKS_0), await other.field("incomplete:clicks/0")) == (8, str(ms(2)))


async def test_a_partition_without_events_is_incomplete_since_its_last_heartbeat(office: Office) -> None:
    """All of its records were rejected, so that no event time is known."""
    state = office.keys.state(office.keys.shard(CLICKS_0))
    await office.redis.hset(state, mapping={"pos:clicks/0": 2, "rolled:clicks/0": 2, "seen:clicks/0": ms(1)})
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(20)))
    office.topics.begins[CLICKS_0] = office.topics.reads[CLICKS_0] = 8
    await office.count(office.topics.fetch(CLICKS_0))
    assert (await office.position(CLICKS_0), await office.field("incomplete:clicks/0")) == (8, str(ms(1)))


ORDERS, CLICKS = Partition(Topic.ORDERS, 0), Partition(Topic.CLICKS, 0)


def test_finds_the_newest_end_offset_that_was_counted() -> None:
    held = Arrivals()
    assert held.counted_ms(ORDERS, 0) is None
    for end, at_ms in ((10, 1_000), (20, 2_000), (30, 3_000)):
        held.note(ORDERS, end, at_ms)
    assert held.counted_ms(ORDERS, 9) is None
    assert held.counted_ms(ORDERS, 10) == 1_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(CLICKS, 29) is None


def test_reports_a_partition_with_a_constant_small_lag_as_current() -> None:
    held = Arrivals()
    for second in range(1, 600):
        held.note(ORDERS, 100 * second, 1_000 * second)
        counted_ms = held.counted_ms(ORDERS, 100 * second - 5)
    assert counted_ms == 598_000


def test_a_long_backlog_keeps_few_samples_and_is_never_underestimated() -> None:
    held = Arrivals()
    for second in range(1, 10_000):
        held.note(ORDERS, 100 * second, 1_000 * second)
        assert held.counted_ms(ORDERS, 50) is None
    assert held.counted_ms(ORDERS, 100 * 9_999) == 60_000, "later ends were not stored"
    held.note(ORDERS, 1_000_000, 10_000_000)
    assert held.counted_ms(ORDERS, 1_000_000) == 10_000_000


def test_a_recreated_topic_or_a_clock_jump_drops_all_samples() -> None:
    held = Arrivals()
    held.note(ORDERS, 1_000, 1_000)
    held.note(ORDERS, 5, 2_000)
    assert held.counted_ms(ORDERS, 5) == 2_000
    held.note(ORDERS, 9, 1_500)
    assert held.counted_ms(ORDERS, 9) == 1_500
