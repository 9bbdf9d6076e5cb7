"""Schedules compactions, which take seconds, concurrently with counting."""

from __future__ import annotations

import asyncio

import structlog

from consumers.topics import Partition
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import OwnedPartition
from streams.worker.position_tracker import PositionTracker
from streams.worker.redis_retry import RedisRetry, RevokedError
from streams.worker.registry import PartitionRegistry

log = structlog.get_logger()


class CompactionScheduler:
    """Compacts one partition at a time: concurrent compactions would need more memory and take no less time."""

    def __init__(
        self,
        redis_retry: RedisRetry,
        registry: PartitionRegistry,
        position_tracker: PositionTracker,
        metrics: WorkerMetrics,
    ) -> None:
        self._redis_retry = redis_retry
        self._registry = registry
        self._position_tracker = position_tracker
        self._metrics = metrics
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
                planned = await self._redis_retry(
                    "plan", partition, lambda: owned.plan_compaction(self._registry.event_time_bounds())
                )
                async with self._registry.lock(partition):
                    if not await self._redis_retry("compact", partition, lambda: owned.write_compaction(planned)):
                        self._metrics.batches_fenced.inc()
                        self._position_tracker.forget(owned)
        except RevokedError:
            self._registry.release(partition)
        except Exception:  # a bug; deltas that were not compacted remain in the log
            self._metrics.failures.inc()
            log.exception("compaction failed", partition=str(partition))
            self._position_tracker.forget(owned)
