"""One worker process's work, apart from Faust itself: its parts, put together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Container
from functools import partial

from consumers.kafka.consumer import Reading, can_be_read
from consumers.kafka.faust_transport import RecordBatch, Room
from consumers.topics import Partition
from streams.ahead import AheadSources
from streams.process.ending import Ending
from streams.settings import Settings
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.reference_clock import ReferenceClock
from streams.store.roller import Roller
from streams.store.write_probe import WriteProbe
from streams.store.writer import PaneWriter
from streams.worker.acceptance import Acceptance
from streams.worker.calls import RedisCalls
from streams.worker.counting import Counting
from streams.worker.forgetting import Forgetting
from streams.worker.holding import Holding, WorkerClock
from streams.worker.housekeeping import Housekeeping, Publishing
from streams.worker.metrics import WorkerMetrics
from streams.worker.rolls import Rolls
from streams.worker.standing import Identity, Standing
from streams.worker.watching import Watching

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


class Worker:
    """Takes batches, and a turn of housekeeping every second."""

    def __init__(self, settings: Settings, reading: Reading, room: Room, ending: Ending) -> None:
        self.metrics = WorkerMetrics()
        self._room = room
        self._redis = connect(settings)
        keys = Keys(settings.redis_prefix, settings.shards)
        reference = ReferenceClock(self._redis, keys)
        writer = PaneWriter(self._redis, keys, levels(settings), clock=reference.now_ms)
        roller = Roller(self._redis, keys, levels(settings), settings.clock)
        calls = RedisCalls(reading, self.metrics)
        holding = Holding(settings, calls, writer, roller, now_ms=reference.now_ms)
        identity = Identity(reading)
        standing = Standing(reading, calls, holding, writer, identity, reference_ms=reference.now_ms)
        clock = WorkerClock(settings, self._redis, keys, holding, reference)
        acceptance = Acceptance(
            settings, self._redis, keys, calls=calls, writer=writer, reading=reading, holding=holding
        )
        self._rolls = Rolls(calls, holding, standing, self.metrics)
        ahead = AheadSources()
        self._counting = Counting(
            calls=calls,
            holding=holding,
            clock=clock,
            standing=standing,
            rolls=self._rolls,
            writer=writer,
            acceptance=acceptance,
            kafka=settings.kafka,
            ahead=ahead,
            now_ms=reference.now_ms,
            metrics=self.metrics,
        )
        self._lanes = Lanes(self._carry)
        worker_id = f"{socket.gethostname()}-{os.getpid()}"
        publishing = Publishing(
            self._redis,
            keys,
            worker_id,
            holding=holding,
            ahead=ahead,
            clock=reference,
            refusals=lambda: {*calls.refused.values(), *self._watching.refusals},
            metrics=self.metrics,
        )
        self._housekeeping = Housekeeping(
            writer=writer,
            reading=reading,
            holding=holding,
            standing=standing,
            identity=identity,
            acceptance=acceptance,
            rolls=self._rolls,
            busy=self._lanes.busy,
            clock=clock,
            forgetting=Forgetting(settings, self._redis, keys, writer, holding, reference.now_ms),
            publishing=publishing,
            metrics=self.metrics,
        )
        self._watching = Watching(
            settings.stuck_after_s,
            probe=WriteProbe(self._redis, keys, only_reads=False),
            calls=calls,
            report=publishing.publish,
            reading=reading,
            holding=holding,
            room=room,
            stopped=acceptance.stopped,
            can_be_read=partial(can_be_read, settings.kafka),
            ending=ending,
            stop=partial(os.kill, os.getpid(), signal.SIGTERM),
        )

    def take(self, batch: RecordBatch) -> None:
        """Have a batch counted after those of its partition that came before it."""
        self._lanes.put(batch)

    def revoked(self, partitions: Container[Partition]) -> None:
        """Partitions are taken away: what waits of them is not ours to count any more."""
        self._lanes.drop(partitions)

    async def tick(self) -> None:
        """Every second."""
        await self._housekeeping.tick()

    async def watch(self) -> None:
        """See to it that the worker gets on, for as long as it runs."""
        await self._watching.run()

    async def stop(self) -> None:
        """Break off and close connections. What was not applied is read again by the next owner."""
        await self._lanes.stop()
        await self._rolls.stop()
        await self._counting.stop()
        await self._redis.aclose()

    async def _carry(self, batch: RecordBatch) -> None:
        try:
            await self._counting.handle(batch)
        finally:
            self._room.give(batch)
