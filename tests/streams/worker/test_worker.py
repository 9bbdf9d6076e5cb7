"""Batches of one partition are handled in order, those of different partitions concurrently."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Partition, Topic
from streams.worker.worker import PartitionQueues

pytestmark = pytest.mark.anyio

CLICKS_0 = Partition(Topic.CLICKS, 0)


def batch(partition: int, start_offset: int) -> RecordBatch:
    return RecordBatch(Topic.CLICKS, partition, start_offset, start_offset + 1, [])


class Counter:
    """Records its batches, and finishes each when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self._done: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))

    async def handle(self, batch: RecordBatch) -> None:
        self.begun.append((batch.partition, batch.start_offset))
        await self._done[batch.partition].acquire()
        self.ended.append((batch.partition, batch.start_offset))

    async def done(self, partition: int) -> None:
        self._done[partition].release()
        await pause()


async def pause() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_handles_batches_of_a_partition_one_at_a_time() -> None:
    counter = Counter()
    queues = PartitionQueues(counter.handle)
    for start_offset in range(3):
        queues.put(batch(0, start_offset))
    await pause()
    assert counter.begun == [(0, 0)]
    assert queues.busy(CLICKS_0)
    await counter.done(0)
    assert (counter.begun, counter.ended) == ([(0, 0), (0, 1)], [(0, 0)])
    queues.put(batch(0, 3))
    for _ in range(3):
        await counter.done(0)
    assert counter.ended == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert not queues.busy(CLICKS_0)


async def test_a_blocked_partition_does_not_delay_others() -> None:
    counter = Counter()
    queues = PartitionQueues(counter.handle)
    queues.put(batch(0, 0))
    queues.put(batch(1, 0))
    await pause()
    assert counter.begun == [(0, 0), (1, 0)]
    await counter.done(1)
    queues.put(batch(1, 1))
    await counter.done(1)
    assert counter.ended == [(1, 0), (1, 1)]


async def test_an_empty_queue_starts_again() -> None:
    counter = Counter()
    queues = PartitionQueues(counter.handle)
    for start_offset in range(2):
        queues.put(batch(0, start_offset))
        await pause()
        await counter.done(0)
    assert counter.ended == [(0, 0), (0, 1)]


async def test_dropping_a_revoked_partition_keeps_only_the_batch_in_progress() -> None:
    counter = Counter()
    queues = PartitionQueues(counter.handle)
    for partition in (0, 1):
        for start_offset in range(2):
            queues.put(batch(partition, start_offset))
    await pause()
    queues.drop({CLICKS_0})
    for partition in (0, 0, 1, 1):
        await counter.done(partition)
    assert counter.ended == [(0, 0), (1, 0), (1, 1)]


async def test_stop_cancels_the_batch_in_progress_and_starts_no_other() -> None:
    counter = Counter()
    queues = PartitionQueues(counter.handle)
    queues.put(batch(0, 0))
    queues.put(batch(0, 1))
    await pause()
    await queues.stop()
    await counter.done(0)
    assert (counter.begun, counter.ended) == ([(0, 0)], [])
