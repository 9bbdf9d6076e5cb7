"""Lanes: the batches of a partition are counted one after the other, those of different partitions side by side.

While one waits for Redis, others are decoded and folded. How many may wait is not decided here: see `consumers.room`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Container

from consumers.topics import Partition
from consumers.transport import RecordBatch

Handle = Callable[[RecordBatch], Awaitable[None]]


class Lanes:
    """A lane a partition. What a lane handles must not raise."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._waiting: dict[Partition, deque[RecordBatch]] = {}
        """Batches not begun, of partitions of which one is being handled."""
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, batch: RecordBatch) -> None:
        """Have a batch handled after those of its partition that were put before it."""
        partition = Partition(batch.topic, batch.partition)
        if partition in self._waiting:
            self._waiting[partition].append(batch)
            return
        self._waiting[partition] = deque([batch])
        task = asyncio.create_task(self._go(partition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def busy(self, partition: Partition) -> bool:
        """Whether a batch of a partition is being handled."""
        return partition in self._waiting

    def drop(self, partitions: Container[Partition]) -> None:
        """Forget what waits of some partitions, which are not ours any more. What was begun goes on to its end."""
        for partition, waiting in self._waiting.items():
            if partition in partitions:
                waiting.clear()

    async def stop(self) -> None:
        """Break off everything: what is not counted by now is read again by the next owner."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go(self, partition: Partition) -> None:
        waiting = self._waiting[partition]
        try:
            while waiting:
                await self._handle(waiting.popleft())
        finally:
            del self._waiting[partition]
