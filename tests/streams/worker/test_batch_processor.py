"""A batch counts if it starts at the stored position, and only then appears in the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar

import pytest

from consumers.contract.rejection import RejectionReason
from consumers.dead_letters.letters import DeadLetter
from consumers.errors import SalepulseError
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from consumers.unpacking.record import SkippedRecords, Truncation
from streams.clock import now_ms
from streams.worker.partition import OwnedPartition
from tests.streams.shop import CLICKS_0, ORDERS_0, PROMOTIONS_0
from tests.streams.worker.conftest import Office, opened
from tests.support.events import T0, click, ms, paid, promotion, records, wire
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

DAY_S = 86_400


async def test_counts_batches_of_a_partition_in_order(office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(10)))
    for _ in range(4):
        office.worker.take(office.topics.fetch(CLICKS_0, most=3))
    async with asyncio.timeout(5):
        while await office.position(CLICKS_0) != 10:
            await asyncio.sleep(0.01)
    assert await office.totals() == {"events,clicks,page_view": 10}
    assert office.metric("batch_records_count", topic="clicks") == 4
    assert office.metric("batch_records_sum", topic="clicks") == 10


async def test_counts_partitions_concurrently(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two partitions, one waits for Redis while the other is prepared."""
    begun: list[str] = []
    apply, going = OwnedPartition.apply, asyncio.Event()

    async def slow(self: OwnedPartition, prepared: object) -> object:
        begun.append(str(self.partition))
        await going.wait()
        return await apply(self, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(OwnedPartition, "apply", slow)
    office.topics.write(CLICKS_0, click(at=1))
    office.topics.write(ORDERS_0, paid(at=1))
    for partition in (CLICKS_0, ORDERS_0):
        office.worker.take(office.topics.fetch(partition))
    async with asyncio.timeout(5):
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        going.set()
        while await office.position(ORDERS_0) is None or await office.position(CLICKS_0) is None:
            await asyncio.sleep(0.01)


async def test_skips_a_batch_with_another_start_offset_and_seeks_to_the_position(office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(4)))
    await office.count(office.topics.fetch(CLICKS_0, most=1))
    office.topics.fetch(CLICKS_0, most=1)  # lost in transit
    await office.count(office.topics.fetch(CLICKS_0))
    assert (await office.position(CLICKS_0), office.topics.sought) == (1, [(CLICKS_0, 1)])
    assert office.metric("batch_records_sum", topic="clicks") == 1
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.position(CLICKS_0) == 4
    assert office.metric("batch_seconds_count", topic="clicks") == 2


async def test_an_empty_batch_changes_nothing_and_is_not_retried(office: Office) -> None:
    """Before the first record, where its entry's id would be 0-0, and at the position of the last entry."""
    async with asyncio.timeout(5):
        await office.count(records(CLICKS_0.topic, 0, 0, []))
        assert await office.position(CLICKS_0) is None
        office.topics.write(CLICKS_0, click(at=1), click(at=2))
        await office.count(office.topics.fetch(CLICKS_0))
        await office.count(records(CLICKS_0.topic, 0, 2, []))
        assert (await office.position(CLICKS_0), office.topics.sought) == (2, [])
        assert office.metric("redis_errors_total") == office.metric("batch_failures_total") == 0
        office.topics.write(CLICKS_0, click(at=3))
        await office.count(office.topics.fetch(CLICKS_0))
        assert await office.position(CLICKS_0) == 3


async def test_a_failed_batch_counts_as_a_failure_and_is_read_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.topics.write(CLICKS_0, click(at=1))
    monkeypatch.setattr("streams.worker.batch_processor._PAUSE_S", 0)
    with monkeypatch.context() as broken:
        broken.setattr(OwnedPartition, "prepare", lambda *_: 1 / 0)
        await office.count(office.topics.fetch(CLICKS_0))
    assert office.metric("batch_failures_total") == 1
    assert office.metric("batch_records_count", topic="clicks") == 0
    assert await office.position(CLICKS_0) is None
    office.topics.reads[CLICKS_0] = 0
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.position(CLICKS_0) == 1


async def test_a_batch_that_another_owner_counted_is_fenced_and_not_reported(office: Office, redis_url: str) -> None:
    events = [click(at=at) for at in range(3)]
    office.topics.write(CLICKS_0, *events)
    await office.count(office.topics.fetch(CLICKS_0, most=1))
    async with opened(redis_url) as other:
        other.topics.write(CLICKS_0, *events)
        other.topics.reads[CLICKS_0] = 1
        await other.count(other.topics.fetch(CLICKS_0, most=1))
    await office.count(office.topics.fetch(CLICKS_0))
    assert office.metric("batches_fenced_total") == 1
    assert office.metric("batch_records_sum", topic="clicks") == 1
    assert await office.totals() == {"events,clicks,page_view": 2}


async def test_stops_counting_a_revoked_partition(office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(4)))
    first, second = office.topics.fetch(CLICKS_0, most=2), office.topics.fetch(CLICKS_0)
    office.worker.take(first)
    office.worker.take(second)
    office.worker.revoked({CLICKS_0})
    await asyncio.sleep(0.1)
    assert await office.totals() == {}


async def test_rejected_promotions_are_dead_letters_in_the_totals(embedded_broker: Server, redis_url: str) -> None:
    await create_topics(embedded_broker.bootstrap, default_plans(1))
    async with opened(redis_url, bootstrap=embedded_broker.bootstrap) as office:
        values = [promotion("d11").model_dump_json(exclude_none=True).encode(), b"{", b"", b"{"]
        await office.count(records(Topic.PROMOTIONS, 0, 0, values))
        assert await office.position(PROMOTIONS_0) == 4
        assert await office.totals() == {"rejected,promotions,bad_json": 2, "rejected,promotions,empty": 1}
        assert await office.field(f"applied:{PROMOTIONS_0}") == "1"
        assert set(await office.redis.hgetall(office.keys.promotions)) == {b"d11"}


class Letters:
    """Dead letters that are not written."""

    written: ClassVar[list[DeadLetter]] = []
    failing: ClassVar[list[Exception]] = []
    """Exceptions of the next calls."""

    def __init__(self, bootstrap: str) -> None:
        self.written.clear()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        if self.failing:
            raise self.failing.pop()
        self.written.extend(letters)


@pytest.mark.parametrize("clock", ["wall", "event"])
async def test_rejects_events_older_than_every_pane_from_the_first_batch_on(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    now_s = now_ms() / 1000 - T0
    async with opened(redis_url, clock=clock, retain="") as before:
        before.topics.write(CLICKS_0, click(at=now_s))
        await before.count(before.topics.fetch(CLICKS_0))
    async with opened(redis_url, clock=clock, retain="") as office:
        office.topics.write(CLICKS_0, click(at=now_s), click(at=now_s - 401 * DAY_S), click(at=now_s - 399 * DAY_S))
        office.topics.reads[CLICKS_0] = 1
        await office.count(office.topics.fetch(CLICKS_0))
        assert await office.totals() == {"events,clicks,page_view": 2, "rejected,clicks,too_late": 1}
        assert [(letter.offset, letter.reason) for letter in Letters.written] == [(1, RejectionReason.TOO_LATE)]


async def test_the_event_clock_starts_with_the_first_events(redis_url: str) -> None:
    async with opened(redis_url, clock="event", retain="") as office:
        office.topics.write(CLICKS_0, click(at=0), click(at=500 * DAY_S))
        await office.count(office.topics.fetch(CLICKS_0))
        assert await office.totals() == {"events,clicks,page_view": 2}


@pytest.mark.parametrize(("retriable", "failures"), [(True, 0), (False, 1)])
async def test_dead_letters_that_the_broker_refuses_do_not_count_as_failures(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, retriable: bool, failures: int
) -> None:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    monkeypatch.setattr("streams.worker.batch_processor._PAUSE_S", 0)
    monkeypatch.setattr(Letters, "failing", [SalepulseError("no Kafka broker answers", retriable=retriable)])
    async with opened(redis_url) as office:
        office.topics.write(CLICKS_0, b"{", click(at=1))
        await office.count(office.topics.fetch(CLICKS_0))
        assert (await office.totals(), Letters.written) == ({}, [])
        assert office.metric("batch_failures_total") == failures
        office.topics.reads[CLICKS_0] = 0
        await office.count(office.topics.fetch(CLICKS_0))
        assert await office.totals() == {"events,clicks,page_view": 1, "rejected,clicks,bad_json": 1}
        assert [letter.offset for letter in Letters.written] == [0]


async def test_an_unreadable_record_batch_is_one_dead_letter_and_marks_records_as_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    async with opened(redis_url) as office:
        office.topics.write(CLICKS_0, click(at=1))
        await office.count(office.topics.fetch(CLICKS_0))
        batch = records(Topic.CLICKS, 0, 1, [wire(click(at=2))])
        batch.end_offset = 9
        batch.skipped.append(
            SkippedRecords(2, 8, RejectionReason.UNREADABLE_BATCH, "its checksum is wrong", value=b"\x00raw")
        )
        await office.count(batch)
        assert await office.position(CLICKS_0) == 9
        assert await office.totals() == {
            "events,clicks,page_view": 2,
            "rejected,clicks,unreadable_batch": 1,
            "records_lost,clicks": 7,
        }
        assert await office.field("incomplete:clicks/0") == str(ms(1)), "the newest event counted before"
        (letter,) = Letters.written
        assert (letter.id, letter.last_offset, letter.value) == ("clicks/0/2", 8, b"\x00raw")


async def test_a_truncated_message_is_rejected_without_loss_of_records(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    async with opened(redis_url) as office:
        truncation, headers = Truncation(2**30, "ab" * 32), [("trace", b"7")]
        for topic, partition in ((Topic.ORDERS, ORDERS_0), (Topic.PROMOTIONS, PROMOTIONS_0)):
            batch = records(topic, 0, 0, [])
            batch.end_offset = 1
            batch.skipped.append(
                SkippedRecords(0, 0, RejectionReason.TOO_LARGE, "it is large", b"k", b"begin", truncation, headers, 99)
            )
            await office.count(batch)
            assert await office.position(partition) == 1
            assert await office.field(f"incomplete:{partition}") is None
        assert await office.totals() == {"rejected,orders,too_large": 1, "rejected,promotions,too_large": 1}
        letter = Letters.written[0]
        assert (letter.key, letter.value, letter.truncation, letter.headers) == (b"k", b"begin", truncation, headers)
        assert (letter.timestamp_ms, letter.last_offset) == (99, None)
