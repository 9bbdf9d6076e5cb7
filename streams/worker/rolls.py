"""Rolling beside counting: a roll takes seconds, and batches go on being counted meanwhile."""

from __future__ import annotations

import asyncio

import structlog

from consumers.topics import Partition
from streams.worker.calls import RedisCalls, RevokedError
from streams.worker.holding import Holding
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import PartitionWork
from streams.worker.standing import Standing

log = structlog.get_logger()


class Rolls:
    """Rolls partitions one after the other, whoever is first: two at once would only take longer, and more memory."""

    def __init__(self, calls: RedisCalls, holding: Holding, standing: Standing, metrics: WorkerMetrics) -> None:
        self._calls = calls
        self._holding = holding
        self._standing = standing
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._tasks: dict[Partition, asyncio.Task[None]] = {}

    def look(self, work: PartitionWork) -> None:
        """Begin a roll if one is due and none is under way."""
        if work.loaded and work.roll_due and work.partition not in self._tasks:
            task = asyncio.create_task(self._roll(work))
            self._tasks[work.partition] = task
            task.add_done_callback(lambda _: self._tasks.pop(work.partition, None))

    async def catch_up(self, work: PartitionWork) -> None:
        """Wait for the roll of a partition of which far too much waits. Its lock must not be held."""
        if work.roll_overdue and (task := self._tasks.get(work.partition)):
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Break off: what was not rolled is still in the log."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _roll(self, work: PartitionWork) -> None:
        partition = work.partition
        try:
            async with self._turn:
                planned = await self._calls("plan", partition, lambda: work.begin_roll(self._holding.clocks()))
                async with self._holding.lock(partition):
                    if not await self._calls("roll", partition, lambda: work.end_roll(planned)):
                        self._metrics.moved.inc()
                        self._standing.forget(work)
        except RevokedError:
            self._holding.let_go(partition)
        except Exception:  # a fault of ours: nothing is lost, what was not rolled is still in the log
            self._metrics.failures.inc()
            log.exception("a roll failed", partition=str(partition))
            self._standing.forget(work)
