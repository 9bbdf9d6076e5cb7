"""The partitions that a worker holds: its copy of what Redis has of each, and who may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

from consumers.topics import Partition
from streams.clock import now_ms
from streams.lateness import Clocks, clocks
from streams.panes.rows import Rows
from streams.partition import PartitionWork
from streams.settings import Settings
from streams.store.kept import NOTHING_KEPT
from streams.store.roller import Roller
from streams.store.writer import PaneWriter
from streams.worker.calls import RedisCalls

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
