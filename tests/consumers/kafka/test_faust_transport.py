"""Batches through Faust: one message per partition with the right offsets, also across a seek."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from faust.types import TP

from consumers.contract.rejection import RejectionReason
from consumers.kafka.bulk_fetch import MAX_REFETCHES, CorruptBatchRetries, RawMemoryRecords, patch_memory_records
from consumers.kafka.faust_transport import (
    BatchApp,
    BatchConsumerThread,
    BatchSchema,
    FetchBudget,
    FetchSettings,
    RecordBatch,
)
from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import LOGICAL_NAMES, Topic
from tests.support.servers import Server

CLICKS = [TP("clicks", 0), TP("clicks", 1)]
FETCHING = FetchSettings(wait_ms=20, bytes=2**20, records=10_000, linger_ms=50)


# Fetching -------------------------------------------------------------------------------------------------------------


async def produce(broker: Server, values: dict[int, list[bytes]]) -> None:
    """Write values to the two partitions of `clicks`."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for partition, listed in values.items():
            for value in listed:
                await producer.send_and_wait("clicks", value, partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def fetching(broker: Server, how: FetchSettings = FETCHING) -> AsyncIterator[SimpleNamespace]:
    """The consumer thread's fetch on a plain consumer: `.fetch()`, `.consumer`."""
    patch_memory_records()
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(CLICKS)
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.consumer = SimpleNamespace(flow_active=True)
    thread.corrupt_batch_retries, thread.large_record_reads = CorruptBatchRetries(), Counter()
    thread.app = SimpleNamespace(fetch_settings=how, topic_names=LOGICAL_NAMES)

    async def fetch(timeout: float = 5) -> dict[TP, RecordBatch]:
        return await thread._fetch_records(consumer, set(CLICKS), timeout=timeout, max_records=None)

    try:
        yield SimpleNamespace(fetch=fetch, consumer=consumer, thread=thread)
    finally:
        await consumer.stop()


@pytest.fixture
async def clicks(embedded_broker: Server) -> Server:
    """A broker whose topic `clicks` has two partitions."""
    await create_topics(embedded_broker.bootstrap, default_plans(2))
    return embedded_broker


def batch_contents(batch: RecordBatch) -> tuple[int, int, list[bytes | None]]:
    return batch.start_offset, batch.end_offset, [record.value for record in batch.records]


@pytest.mark.anyio
async def test_all_available_records_of_a_partition_are_one_batch(clicks: Server) -> None:
    values = {0: [b"a", b"b", b"c"], 1: [b"x"]}
    await produce(clicks, values)
    async with fetching(clicks, FetchSettings(20, 2**20, 10_000, linger_ms=1_000)) as reading:
        batches = await reading.fetch()
        assert {tp.partition: batch_contents(batch) for tp, batch in batches.items()} == {
            0: (0, 3, values[0]),
            1: (0, 1, [b"x"]),
        }
        await produce(clicks, {0: [b"d"]})
        batches = await reading.fetch()
        assert {tp.partition: batch_contents(batch) for tp, batch in batches.items()} == {0: (3, 4, [b"d"])}


@pytest.mark.anyio
async def test_records_have_their_offsets_and_timestamps(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b"]})
    async with fetching(clicks) as reading:
        batch = (await reading.fetch())[CLICKS[0]]
    assert (batch.topic, batch.partition) == ("clicks", 0)
    assert [record.offset for record in batch.records] == [0, 1]
    assert all(record.timestamp for record in batch.records)
    assert [record.key for record in batch.records] == [None, None]


@pytest.mark.anyio
async def test_small_batches_are_contiguous(clicks: Server) -> None:
    values = [b"%d" % i for i in range(500)]
    await send_all(clicks.bootstrap, [OutgoingMessage(Topic.CLICKS, b"one key", value) for value in values])
    found: list[bytes | None] = []
    async with fetching(clicks, FetchSettings(20, 2**20, records=37, linger_ms=0)) as reading:
        at: dict[TP, int] = {}
        while len(found) < len(values):
            for tp, batch in (await reading.fetch()).items():
                assert batch.start_offset == at.get(tp, 0)
                assert [record.offset for record in batch.records] == list(range(batch.start_offset, batch.end_offset))
                assert len(batch.records) <= 37
                at[tp] = batch.end_offset
                found += [record.value for record in batch.records]
    assert found == values


@pytest.mark.anyio
@pytest.mark.parametrize("to", [0, 4, 9, 10])
async def test_a_batch_after_a_seek_starts_at_the_new_position(clicks: Server, to: int) -> None:
    await produce(clicks, {0: [b"%d" % i for i in range(10)]})
    async with fetching(clicks, FetchSettings(20, 2**20, records=3, linger_ms=0)) as reading:
        assert batch_contents((await reading.fetch())[CLICKS[0]]) == (0, 3, [b"0", b"1", b"2"])
        reading.consumer.seek(CLICKS[0], to)
        if to == 10:
            await produce(clicks, {0: [b"10"]})
        batch = (await reading.fetch())[CLICKS[0]]
        assert batch.start_offset == to
        assert [record.offset for record in batch.records] == list(range(to, batch.end_offset))


@pytest.mark.anyio
async def test_a_seek_during_a_fetch_drops_the_records_collected_before(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b", b"c"]})
    async with fetching(clicks, FetchSettings(20, 2**20, 10_000, linger_ms=1_000)) as reading:
        task = asyncio.ensure_future(reading.fetch())
        await asyncio.sleep(0.5)
        reading.consumer.seek(CLICKS[0], 1)
        batch = (await task)[CLICKS[0]]
    assert batch_contents(batch) == (1, 3, [b"b", b"c"])


@pytest.mark.anyio
async def test_a_poll_batch_ends_after_its_byte_limit(clicks: Server) -> None:
    values = [b"%03d" % i * 100 for i in range(40)]
    async with fetching(clicks, FetchSettings(20, 2**20, 10_000, linger_ms=20_000, size=3_000)) as reading:
        await produce(clicks, {0: values})
        found = []
        while len(found) < len(values):
            batch = (await asyncio.wait_for(reading.fetch(), 10))[CLICKS[0]]
            assert 3_000 <= batch.size < 3_000 + 2 * 300 or len(found) + len(batch) == len(values)
            found += [record.value for record in batch.records]
        assert found == values


@pytest.mark.anyio
async def test_a_fetch_without_records_returns_nothing_in_time(clicks: Server) -> None:
    async with fetching(clicks) as reading:
        assert await asyncio.wait_for(reading.fetch(timeout=0.3), 3) == {}
        reading.thread.consumer.flow_active = False
        await produce(clicks, {0: [b"a"]})
        assert await reading.fetch(timeout=0.3) == {}


@pytest.mark.anyio
async def test_collected_records_are_returned_before_a_corrupt_batch_is_refetched_and_skipped(
    clicks: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.kafka.bulk_fetch.REFETCH_PAUSE_S", 0.05)
    await produce(clicks, {0: [b"a", b"b"], 1: [b"x"]})
    async with fetching(clicks, FetchSettings(20, 2**20, 10_000, linger_ms=200)) as reading:
        assert batch_contents((await reading.fetch())[CLICKS[0]]) == (0, 2, [b"a", b"b"])
        with corrupting(monkeypatch) as corrupted:
            await produce(clicks, {0: [b"c"]})
            batch = (await reading.fetch())[CLICKS[0]]
            assert corrupted == [b"c"] * (MAX_REFETCHES + 1)
        assert batch_contents(batch)[:2] == (2, 3)
        assert [(one.first_offset, one.last_offset, one.reason) for one in batch.skipped] == [
            (2, 2, RejectionReason.UNREADABLE_BATCH)
        ]
        await produce(clicks, {0: [b"d"]})
        assert batch_contents((await reading.fetch())[CLICKS[0]]) == (3, 4, [b"d"])


@contextmanager
def corrupting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Every fetch corrupts its last byte. Yields the affected values, once per fetch."""
    corrupted: list[bytes] = []

    def harmed(data: bytes) -> RawMemoryRecords:
        if not data:
            return RawMemoryRecords(data)
        corrupted.append(data[-2:-1])
        return RawMemoryRecords(data[:-1] + bytes([data[-1] ^ 1]))

    with monkeypatch.context() as patched:
        patched.setattr("aiokafka.consumer.fetcher.MemoryRecords", harmed)
        yield corrupted


@pytest.mark.anyio
async def test_a_large_record_is_skipped_in_steps_without_blocking_other_partitions(
    clicks: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.unpacking.batch.MAX_RECORD_BYTES", 2**16)
    monkeypatch.setattr("consumers.unpacking.batch.PIECE_BYTES", 2**14)
    monkeypatch.setattr("consumers.unpacking.batch.STEP_BYTES", 2**14)
    await produce(clicks, {0: [b"a", b"x" * 2**18, b"b"]})
    seen: list[bytes | None] = []
    async with fetching(clicks, FetchSettings(20, 2**20, 10_000, linger_ms=0)) as reading:
        async with asyncio.timeout(10):
            while b"b" not in seen:
                for batch in (await reading.fetch()).values():
                    seen += [record.value for record in batch.records]
                    seen += [one.value for one in batch.skipped]
        assert sorted(seen, key=len) == [b"a", b"b", b"x" * 2**16]  # type: ignore[arg-type]
        assert reading.thread.large_record_reads[CLICKS[0]] >= 10


# Through Faust --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def app_reading(
    broker: Server, take: Callable[[RecordBatch], None], fetch_budget: FetchBudget | None = None
) -> AsyncIterator[BatchApp]:
    """A Faust app whose agent takes batches."""
    app = BatchApp(
        "reading",
        broker=f"kafka://{broker.bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=1_000,
        stream_wait_empty=False,
        broker_session_timeout=2,  # the embedded broker allows groups half of it
        broker_heartbeat_interval=0.4,
        loop=asyncio.get_running_loop(),
    )
    app.fetch_settings = FetchSettings(20, 2**20, 10_000, linger_ms=300)
    app.fetch_budget = fetch_budget or FetchBudget(10_000, 2**25)

    @app.agent(app.topic("clicks", schema=BatchSchema(), acks=False), name="taking")
    async def taking(stream: Any) -> None:
        async for batch in stream:
            take(batch)

    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_one_faust_message_has_all_records_of_a_partition_also_after_a_seek(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b", b"c"], 1: [b"x", b"y"]})
    taken: list[RecordBatch] = []
    async with app_reading(clicks, taken.append) as app:
        await until(lambda: len(taken) >= 2)
        first = sorted((batch.partition, *batch_contents(batch)) for batch in taken)
        assert first == [(0, 0, 3, [b"a", b"b", b"c"]), (1, 0, 2, [b"x", b"y"])]
        await app.consumer.seek_wait({CLICKS[0]: 1})  # backwards, which Faust by itself takes for already read
        await until(lambda: len(taken) >= 3)
        assert batch_contents(taken[2]) == (1, 3, [b"b", b"c"])
        await produce(clicks, {1: [b"z"]})
        await until(lambda: len(taken) >= 4)
        assert batch_contents(taken[3]) == (2, 3, [b"z"])
    assert len(taken) == 4


@pytest.mark.anyio
async def test_one_poll_batch_is_fetched_ahead_and_no_more(clicks: Server) -> None:
    await produce(clicks, {0: [b"%d" % i for i in range(100)]})
    taken: list[RecordBatch] = []
    async with app_reading(clicks, taken.append, FetchBudget(records=10, size=2**25)) as app:
        app.fetch_settings = FetchSettings(20, 2**20, records=10, linger_ms=0)
        await until(lambda: len(taken) == 2)
        await asyncio.sleep(1)
        assert [batch_contents(batch)[:2] for batch in taken] == [(0, 10), (10, 20)]
        app.fetch_budget.release(taken[0])
        await until(lambda: len(taken) == 3)
        for batch in taken:
            app.fetch_budget.release(batch)
        await until(lambda: len(taken) > 3)
