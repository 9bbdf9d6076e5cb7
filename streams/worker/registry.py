"""The partitions that a worker holds: its copy of what Redis has of each, and who may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from time import monotonic

from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS, Partition
from streams.clock import now_ms
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from streams.store.retained_spans import NO_RETAINED_SPANS
from streams.store.state import read_state
from streams.store.writer import PaneWriter
from streams.view.newest_as_of import newest_as_of
from streams.worker.lateness import EventTimeBounds, event_time_bounds
from streams.worker.partition import OwnedPartition
from streams.worker.redis_retry import RedisRetry

_MAX_NAMES = 1_000_000


class PartitionRegistry:
    """Copies of partitions, one lock each: only its holder may count, seek or write."""

    def __init__(
        self,
        settings: Settings,
        redis_retry: RedisRetry,
        writer: PaneWriter,
        compactor: Compactor,
        *,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`now_ms`: the clock that all processes go by."""
        self.owned_partitions: dict[Partition, OwnedPartition] = {}
        self.as_of_ms: int | None = None
        """Event time up to which all workers have counted, as far as is known."""
        self.kept = NO_RETAINED_SPANS
        """What is kept beyond its time, as it was last said."""
        self._settings = settings
        self._now_ms = now_ms
        self._redis_retry = redis_retry
        self._writer = writer
        self._compactor = compactor
        self._rows = RowIndex()
        self._locks: dict[Partition, asyncio.Lock] = {}

    def event_time_bounds(self) -> EventTimeBounds:
        """What is too late, too early or may be forgotten at this moment."""
        return event_time_bounds(self._settings, self.as_of_ms, self._now_ms()).with_retained(self.kept)

    def lock(self, partition: Partition) -> asyncio.Lock:
        return self._locks.setdefault(partition, asyncio.Lock())

    async def loaded(self, partition: Partition) -> OwnedPartition:
        """The copy of a partition, loaded where it is not believed. Raises RevokedError."""
        owned = self.owned_partitions.get(partition)
        if owned is None:
            owned = self.owned_partitions[partition] = OwnedPartition(
                partition, self._settings, self._writer, self._compactor, self._rows
            )
        if not owned.loaded:
            await self._redis_retry("load", partition, owned.load)
        return owned

    def release(self, partition: Partition) -> None:
        """The partition is another worker's."""
        self.owned_partitions.pop(partition, None)

    def release_unassigned(self, assigned: Container[Partition]) -> None:
        """Let go of all but the partitions that are ours."""
        for partition in [held for held in self.owned_partitions if held not in assigned]:
            self.release(partition)

    def limit_memory(self, owned: OwnedPartition) -> None:
        """Keep row numbers and event ids within memory, before a batch of this partition is counted."""
        if self._rows.names > _MAX_NAMES:
            self._rows = RowIndex()  # each partition goes over to it with its own next batch
        limit = self._settings.dedup_memory_mb << 20
        while sum(held.seen.nbytes for held in self.owned_partitions.values()) > limit:
            fullest = max(self.owned_partitions.values(), key=lambda held: held.seen.nbytes)
            fullest.seen.evict_oldest()
        owned.renumber(self._rows)


JUMP_MS = 500
"""A clock that differs by more than this from what was thought has jumped."""


class WorkerClock:
    """Keeps the clock and the as-of current in what a worker holds."""

    def __init__(
        self, settings: Settings, redis: Redis, keys: Keys, registry: PartitionRegistry, reference: ReferenceClock
    ) -> None:
        self._settings = settings
        self._reference = reference
        self._redis = redis
        self._keys = keys
        self._registry = registry
        self.followed = False
        """Whether Redis was asked: no event may be judged before, for the as-of of what is counted would be missing."""

    async def measure(self) -> None:
        """Ask Redis for its time."""
        await self._reference.measure()

    async def jumped(self, since_s: float) -> bool:
        """Whether the clock turns out to be another than was thought, where it was not measured since a moment.

        After a pause of the whole machine, what came in since would be judged by a clock that stood still. `since_s`:
        by `time.monotonic`.
        """
        if self._reference.measured_s is not None and self._reference.measured_s >= since_s:
            return False
        before_ms, before_s = self._reference.now_ms(), monotonic()
        await self.measure()
        passed_ms = (monotonic() - before_s) * 1000
        return abs(self._reference.now_ms() - before_ms - passed_ms) > JUMP_MS

    async def follow(self) -> None:
        """Ask where all partitions stand, and before the first time how late it is."""
        if self._reference.measured_s is None:
            await self.measure()
        state = await read_state(self._redis, self._keys)
        # Of all topics, also those that answers do not wait for: what is late there is remembered for its time, too.
        now = newest_as_of(state, self._reference.now_ms(), self._settings, waiting_for=EVENT_TOPICS)
        self._registry.as_of_ms = now.ms
        self.followed = True
