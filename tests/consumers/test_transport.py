"""Batches through Faust: what we override is still there, and offsets are right, also across a seek."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from consumers import transport
from consumers.producing import Outgoing, send_all
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from consumers.transport import BatchApp, BatchConsumerThread, BatchSchema, Fetching, RecordBatch
from tests.support.servers import Server

CLICKS = [TP("clicks", 0), TP("clicks", 1)]
FETCHING = Fetching(wait_ms=20, bytes=2**20, records=10_000, gather_ms=50)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(thing: Any) -> str:
    return inspect.getsource(thing)


# What is overridden ---------------------------------------------------------------------------------------------------


def test_faust_is_the_version_that_this_was_written_against() -> None:
    assert faust.__version__ == "0.15.3"


@pytest.mark.parametrize(
    ("overridden", "expected"),
    [
        (driver.AIOKafkaConsumerThread._create_consumer, ["self", "loop"]),
        (
            driver.AIOKafkaConsumerThread._fetch_records,
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (faust_consumer.Consumer.getmany, ["self", "timeout"]),
        (faust_consumer.Consumer._wait_next_records, ["self", "timeout"]),
        (faust.Schema.loads_key, ["self", "app", "message", "loads"]),
        (faust.Schema.loads_value, ["self", "app", "message", "loads"]),
        (faust.App._new_transport, ["self"]),
        (Fetcher.fetched_records, ["self", "partitions", "timeout", "max_records"]),
        (Fetcher._create_fetch_waiter, ["self"]),
        (Assignment.state_value, ["self", "tp"]),
        (PartitionRecords._consumer_record, ["self", "tp", "record"]),
        (FetchResult.has_more, ["self"]),
    ],
)
def test_what_is_overridden_or_called_is_there_with_its_parameters(
    overridden: Callable[..., Any], expected: list[str]
) -> None:
    assert [name for name in parameters(overridden) if name != "kwargs"][: len(expected)] == expected


def test_each_override_is_of_something_that_faust_has() -> None:
    for ours, theirs in (
        (transport.BatchConsumerThread, driver.AIOKafkaConsumerThread),
        (transport.BatchConsumer, driver.Consumer),
        (transport.BatchTransport, driver.Transport),
        (transport.BatchSchema, faust.Schema),
        (transport.BatchApp, faust.App),
    ):
        own = {name for name in vars(ours) if not name.startswith("__") and name not in ("_message", "_abc_impl")}
        helpers = {"logger", "fetching"}  # set by Faust on every service, and ours
        for name in own - helpers:
            assert hasattr(theirs, name), f"{theirs.__name__}.{name}"
    assert driver.Transport.Consumer is driver.Consumer


def test_the_attributes_that_are_set_before_a_consumer_starts_are_read_when_it_starts() -> None:
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in started
    assert "self._max_partition_fetch_bytes" in started


def test_the_attributes_that_are_read_exist() -> None:
    assert "self._subscriptions = subscriptions" in source(Fetcher.__init__)
    assert "self._records" in source(Fetcher.__init__)
    assert "self._partition_records" in source(FetchResult.__init__)
    assert "self._consumer_record(tp, record)" in source(PartitionRecords)
    assert isinstance(inspect.getattr_static(SubscriptionState, "reassignment_in_progress"), property)
    assert isinstance(inspect.getattr_static(SubscriptionState, "subscription"), property)
    for name in ("has_valid_position", "position"):
        assert isinstance(inspect.getattr_static(TopicPartitionState, name), property)
    for name in ("_read_offset", "_buffered_partitions", "flow_active"):
        assert name in source(faust_consumer.Consumer)


def test_faust_takes_a_message_whose_partition_it_has_not_read() -> None:
    """`getmany` sets the offset read to None, and Faust then drops nothing."""
    assert "if r_offset is None or offset >= r_offset:" in source(faust_consumer.Consumer._drain_messages)


def test_no_await_stands_between_the_positions_and_the_records() -> None:
    """With a timeout of 0 and no rebalance under way, aiokafka hands out what it holds without a suspension."""
    code = source(Fetcher.fetched_records)
    upto = code.index("if drained or not timeout:")
    awaits = [line.strip() for line in code[:upto].splitlines() if "await " in line]
    assert awaits == ["await self._subscriptions.wait_for_assignment()"]


# Fetching -------------------------------------------------------------------------------------------------------------


async def produce(broker: Server, values: dict[int, list[bytes]]) -> None:
    """Values by partition of `clicks`, which has two."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for partition, listed in values.items():
            for value in listed:
                await producer.send_and_wait("clicks", value, partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def fetching(broker: Server, how: Fetching = FETCHING) -> AsyncIterator[SimpleNamespace]:
    """The consumer thread's fetch on a plain consumer: `.fetch()`, `.consumer`."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(CLICKS)
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.consumer = SimpleNamespace(flow_active=True)
    thread.app = SimpleNamespace(fetching=how)

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


def said(batch: RecordBatch) -> tuple[int, int, list[bytes | None]]:
    return batch.follows, batch.next, [record.value for record in batch.records]


@pytest.mark.anyio
async def test_all_that_is_there_comes_as_one_batch_a_partition(clicks: Server) -> None:
    values = {0: [b"a", b"b", b"c"], 1: [b"x"]}
    await produce(clicks, values)
    async with fetching(clicks, Fetching(20, 2**20, 10_000, gather_ms=1_000)) as reading:
        batches = await reading.fetch()
        assert {tp.partition: said(batch) for tp, batch in batches.items()} == {0: (0, 3, values[0]), 1: (0, 1, [b"x"])}
        await produce(clicks, {0: [b"d"]})
        batches = await reading.fetch()
        assert {tp.partition: said(batch) for tp, batch in batches.items()} == {0: (3, 4, [b"d"])}


@pytest.mark.anyio
async def test_records_say_where_they_stand(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b"]})
    async with fetching(clicks) as reading:
        batch = (await reading.fetch())[CLICKS[0]]
    assert (batch.topic, batch.partition) == ("clicks", 0)
    assert [record.offset for record in batch.records] == [0, 1]
    assert all(record.timestamp for record in batch.records)
    assert [record.key for record in batch.records] == [None, None]


@pytest.mark.anyio
async def test_however_few_at_a_time_each_batch_follows_the_one_before(clicks: Server) -> None:
    values = [b"%d" % i for i in range(500)]
    await send_all(clicks.bootstrap, [Outgoing(Topic.CLICKS, b"one key", value) for value in values])
    found: list[bytes | None] = []
    async with fetching(clicks, Fetching(20, 2**20, records=37, gather_ms=0)) as reading:
        at: dict[TP, int] = {}
        while len(found) < len(values):
            for tp, batch in (await reading.fetch()).items():
                assert batch.follows == at.get(tp, 0)
                assert [record.offset for record in batch.records] == list(range(batch.follows, batch.next))
                assert len(batch.records) <= 37
                at[tp] = batch.next
                found += [record.value for record in batch.records]
    assert found == values


@pytest.mark.anyio
@pytest.mark.parametrize("to", [0, 4, 9, 10])
async def test_after_a_seek_a_batch_follows_what_was_sought(clicks: Server, to: int) -> None:
    await produce(clicks, {0: [b"%d" % i for i in range(10)]})
    async with fetching(clicks, Fetching(20, 2**20, records=3, gather_ms=0)) as reading:
        assert said((await reading.fetch())[CLICKS[0]]) == (0, 3, [b"0", b"1", b"2"])
        reading.consumer.seek(CLICKS[0], to)
        if to == 10:
            await produce(clicks, {0: [b"10"]})
        batch = (await reading.fetch())[CLICKS[0]]
        assert batch.follows == to
        assert [record.offset for record in batch.records] == list(range(to, batch.next))


@pytest.mark.anyio
async def test_a_seek_while_records_are_gathered_voids_those_before_it(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b", b"c"]})
    async with fetching(clicks, Fetching(20, 2**20, 10_000, gather_ms=1_000)) as reading:
        task = asyncio.ensure_future(reading.fetch())
        await asyncio.sleep(0.5)
        reading.consumer.seek(CLICKS[0], 1)
        batch = (await task)[CLICKS[0]]
    assert said(batch) == (1, 3, [b"b", b"c"])


@pytest.mark.anyio
async def test_nothing_new_is_no_batch_and_comes_back_in_time(clicks: Server) -> None:
    async with fetching(clicks) as reading:
        assert await asyncio.wait_for(reading.fetch(timeout=0.3), 3) == {}
        reading.thread.consumer.flow_active = False
        await produce(clicks, {0: [b"a"]})
        assert await reading.fetch(timeout=0.3) == {}


# Through Faust --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def app_reading(broker: Server, take: Callable[[RecordBatch], None]) -> AsyncIterator[BatchApp]:
    """A Faust app whose agent takes batches."""
    app = BatchApp(
        "reading",
        broker=f"kafka://{broker.bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        loop=asyncio.get_running_loop(),
    )
    app.fetching = Fetching(20, 2**20, 10_000, gather_ms=300)

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
async def test_one_faust_message_is_all_of_one_partition_and_a_seek_is_followed(clicks: Server) -> None:
    await produce(clicks, {0: [b"a", b"b", b"c"], 1: [b"x", b"y"]})
    taken: list[RecordBatch] = []
    async with app_reading(clicks, taken.append) as app:
        await until(lambda: len(taken) >= 2)
        first = sorted((batch.partition, *said(batch)) for batch in taken)
        assert first == [(0, 0, 3, [b"a", b"b", b"c"]), (1, 0, 2, [b"x", b"y"])]
        await app.consumer.seek_wait({CLICKS[0]: 1})  # back, which Faust would by itself take for read already
        await until(lambda: len(taken) >= 3)
        assert said(taken[2]) == (1, 3, [b"b", b"c"])
        await produce(clicks, {1: [b"z"]})
        await until(lambda: len(taken) >= 4)
        assert said(taken[3]) == (2, 3, [b"z"])
    assert len(taken) == 4
