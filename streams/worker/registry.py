"""The partitions assigned to a worker, each with a lock, and the clock that they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from dataclasses import KW_ONLY, dataclass

from redis.asyncio import Redis

from consumers.sources.inputs import InputTopics
from consumers.topics import EVENT_TOPICS, Partition
from streams.clock import MachineClock
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import Model
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from streams.store.retained_spans import NO_RETAINED_SPANS
from streams.store.state import newest_as_of, read_state
from streams.store.writer import PaneWriter
from streams.worker.lateness import EventTimeBounds, event_time_bounds
from streams.worker.partition import OwnedPartition
from streams.worker.redis_retry import RedisRetry

JUMP_MS = 500
"""A clock that differs from the expected time by more than this has jumped."""
_MAX_NAMES = 1_000_000
"""Size of a row index above which a new one is started."""


@dataclass(eq=False)
class PartitionRegistry:
    """The assigned partitions, one lock each: only its holder may count, seek or write."""

    settings: Settings
    redis_retry: RedisRetry
    writer: PaneWriter
    compactor: Compactor
    _: KW_ONLY
    now_ms: Callable[[], int]
    """The reference clock that all processes share."""
    machine: MachineClock
    inputs: InputTopics | None = None
    """The topics that workers read; None: those of the contract."""
    model: Model = BUILT_IN
    """What is counted."""

    def __post_init__(self) -> None:
        self.owned_partitions: dict[Partition, OwnedPartition] = {}
        self.as_of_ms: int | None = None
        """Event time up to which all workers have counted, if known."""
        self.retained_spans = NO_RETAINED_SPANS
        """Retained spans as last published."""
        self._rows = RowIndex(self.model, self.settings.timezone)
        self._locks: dict[Partition, asyncio.Lock] = {}

    def event_time_bounds(self) -> EventTimeBounds:
        """The current limits that decide which events are too late or too early, and which panes have expired."""
        return event_time_bounds(self.settings, self.as_of_ms, self.now_ms()).with_retained(self.retained_spans)

    def lock(self, partition: Partition) -> asyncio.Lock:
        """The lock of a partition."""
        return self._locks.setdefault(partition, asyncio.Lock())

    async def get_loaded(self, partition: Partition) -> OwnedPartition:
        """The partition, reloaded from Redis if invalidated. Raises RevokedError."""
        owned = self.owned_partitions.get(partition)
        if owned is None:
            source = None if self.inputs is None else self.inputs.sources.get(partition.topic)
            owned = self.owned_partitions[partition] = OwnedPartition(
                partition, self.settings, self.writer, self.compactor, self._rows, self.machine, source
            )
        if not owned.loaded:
            await self.redis_retry("load", partition, owned.load)
        return owned

    def release(self, partition: Partition) -> None:
        """Drop a partition that was revoked."""
        self.owned_partitions.pop(partition, None)

    def release_unassigned(self, assigned: Container[Partition]) -> None:
        """Drop all partitions that are not assigned."""
        for partition in [revoked for revoked in self.owned_partitions if revoked not in assigned]:
            self.release(partition)

    def limit_memory(self, owned: OwnedPartition) -> None:
        """Limit the memory for row numbers and event ids, before counting a batch of this partition."""
        if self._rows.names > _MAX_NAMES:
            # Each partition switches to it with its next batch.
            self._rows = RowIndex(self.model, self.settings.timezone)
        limit = self.settings.dedup_memory_mb << 20
        while sum(other.seen.nbytes for other in self.owned_partitions.values()) > limit:
            fullest = max(self.owned_partitions.values(), key=lambda other: other.seen.nbytes)
            fullest.seen.evict_oldest()
        owned.renumber(self._rows)


@dataclass(eq=False)
class WorkerClock:
    """Keeps the reference clock and the as-of current."""

    settings: Settings
    redis: Redis
    keys: Keys
    registry: PartitionRegistry
    reference: ReferenceClock
    machine: MachineClock

    def __post_init__(self) -> None:
        self.followed = False
        """Whether the as-of was read from Redis; until then no event may be judged."""

    async def measure(self) -> None:
        """Measure Redis's clock."""
        await self.reference.measure()

    async def jumped(self, since_s: float) -> bool:
        """Measure the clock unless it was measured after `since_s` (monotonic), and report whether it jumped.

        While a machine is suspended its monotonic clock stops, and events would be judged by an old time.
        """
        if self.reference.measured_s is not None and self.reference.measured_s >= since_s:
            return False
        before_ms, before_s = self.reference.now_ms(), self.machine.monotonic()
        await self.measure()
        passed_ms = (self.machine.monotonic() - before_s) * 1000
        return abs(self.reference.now_ms() - before_ms - passed_ms) > JUMP_MS

    async def follow(self) -> None:
        """Read the as-of from Redis; measure the clock first if it never was."""
        if self.reference.measured_s is None:
            await self.measure()
        state = await read_state(self.redis, self.keys)
        # Over all topics, even those that answers do not wait for: their late events need the same retention.
        newest = newest_as_of(state, self.reference.now_ms(), self.settings, waiting_for=EVENT_TOPICS)
        self.registry.as_of_ms = newest.ms
        self.followed = True
