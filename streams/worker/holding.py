"""The partitions that a worker holds: its copy of what Redis has of each, and who may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from time import monotonic

from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS, Partition
from streams.clock import now_ms
from streams.panes.rows import Rows
from streams.settings import Settings
from streams.store.kept import NOTHING_KEPT
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from streams.store.roller import Roller
from streams.store.state import read_state
from streams.store.writer import PaneWriter
from streams.view.reached import newest
from streams.worker.calls import RedisCalls
from streams.worker.lateness import Clocks, clocks
from streams.worker.partition import PartitionWork

_MAX_NAMES = 1_000_000


class Holding:
    """Copies of partitions, one lock each: only its holder may count, seek or write."""

    def __init__(
        self,
        settings: Settings,
        calls: RedisCalls,
        writer: PaneWriter,
        roller: Roller,
        *,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`now_ms`: the clock that all processes go by."""
        self.works: dict[Partition, PartitionWork] = {}
        self.as_of_ms: int | None = None
        """Event time up to which all workers have counted, as far as is known."""
        self.kept = NOTHING_KEPT
        """What is kept beyond its time, as it was last said."""
        self._settings = settings
        self._now_ms = now_ms
        self._calls = calls
        self._writer = writer
        self._roller = roller
        self._rows = Rows()
        self._locks: dict[Partition, asyncio.Lock] = {}

    def clocks(self) -> Clocks:
        """What is too late, too early or may be forgotten at this moment."""
        return clocks(self._settings, self.as_of_ms, self._now_ms()).keeping(self.kept)

    def lock(self, partition: Partition) -> asyncio.Lock:
        return self._locks.setdefault(partition, asyncio.Lock())

    async def loaded(self, partition: Partition) -> PartitionWork:
        """The copy of a partition, loaded where it is not believed. Raises RevokedError."""
        work = self.works.get(partition)
        if work is None:
            work = self.works[partition] = PartitionWork(
                partition, self._settings, self._writer, self._roller, self._rows
            )
        if not work.loaded:
            await self._calls("load", partition, work.load)
        return work

    def let_go(self, partition: Partition) -> None:
        """The partition is another worker's."""
        self.works.pop(partition, None)

    def keep(self, assigned: Container[Partition]) -> None:
        """Let go of all but the partitions that are ours."""
        for partition in [held for held in self.works if held not in assigned]:
            self.let_go(partition)

    def make_room(self, work: PartitionWork) -> None:
        """Keep row numbers and event ids within memory, before a batch of this partition is counted."""
        if self._rows.names > _MAX_NAMES:
            self._rows = Rows()  # each partition goes over to it with its own next batch
        limit = self._settings.dedup_memory_mb << 20
        while sum(held.seen.nbytes for held in self.works.values()) > limit:
            fullest = max(self.works.values(), key=lambda held: held.seen.nbytes)
            fullest.seen.forget_oldest()
        work.renumber(self._rows)


JUMP_MS = 500
"""A clock that differs by more than this from what was thought has jumped."""


class WorkerClock:
    """Keeps the clock and the as-of current in what a worker holds."""

    def __init__(
        self, settings: Settings, redis: Redis, keys: Keys, holding: Holding, reference: ReferenceClock
    ) -> None:
        self._settings = settings
        self._reference = reference
        self._redis = redis
        self._keys = keys
        self._holding = holding
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
        now = newest(state, self._reference.now_ms(), self._settings, waiting_for=EVENT_TOPICS)
        self._holding.as_of_ms = now.ms
        self.followed = True
