"""Schedules compactions, which take seconds, concurrently with counting."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from consumers.topics import Partition
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import OwnedPartition
from streams.worker.position_tracker import PositionTracker
from streams.worker.redis_retry import RedisRetry, RevokedError
from streams.worker.registry import PartitionRegistry

log = structlog.get_logger()


@dataclass(eq=False)
class CompactionScheduler:
    """Compacts one partition at a time: concurrent compactions would need more memory and take no less time."""

    redis_retry: RedisRetry
    registry: PartitionRegistry
    position_tracker: PositionTracker
    metrics: WorkerMetrics

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self._tasks: dict[Partition, asyncio.Task[None]] = {}

    def start_if_due(self, owned: OwnedPartition) -> None:
        """Start a compaction if one is due and none is running."""
        if owned.loaded and owned.compaction_due and owned.partition not in self._tasks:
            task = asyncio.create_task(self._compact(owned))
            self._tasks[owned.partition] = task
            task.add_done_callback(lambda _: self._tasks.pop(owned.partition, None))

    async def wait_if_overdue(self, owned: OwnedPartition) -> None:
        """Wait for the compaction of a partition with far too long a log. Do not hold its lock."""
        if owned.compaction_overdue and (task := self._tasks.get(owned.partition)):
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Cancel all compactions: their deltas remain in the log."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _compact(self, owned: OwnedPartition) -> None:
        partition = owned.partition
        try:
            async with self._turn:
                planned = await self.redis_retry(
                    "plan", partition, lambda: owned.plan_compaction(self.registry.event_time_bounds())
                )
                async with self.registry.lock(partition):
                    if not await self.redis_retry("compact", partition, lambda: owned.write_compaction(planned)):
                        self.metrics.batches_fenced.inc()
                        self.position_tracker.forget(owned)
        except RevokedError:
            self.registry.release(partition)
        except Exception:  # a bug; deltas that were not compacted remain in the log
            self.metrics.failures.inc()
            log.exception("compaction failed", partition=str(partition))
            self.position_tracker.forget(owned)
