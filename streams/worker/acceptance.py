"""Not reading on where a topic turns out to hold another team's messages, until somebody accepts it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import structlog
from redis.asyncio import Redis

from consumers.contract.rejection import Rejected
from consumers.kafka.consumer import Reading
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Partition, Topic
from streams.acceptance import Tally, Verdict, cure, judge, tally
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.writer import Moved, PaneWriter
from streams.worker.calls import RedisCalls
from streams.worker.holding import Holding
from streams.worker.partition import PartitionWork

log = structlog.get_logger()

_RETRY_EVERY_S = 60.0
"""A stopped partition is read again so often: another worker may have accepted its topic."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The batch was left uncounted, and its partition is not read on."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """That a partition is not read."""

    position: int | None
    """Where it stood."""
    since_s: float


class Acceptance:
    """Judges topics by the first messages that were counted of them, and pauses the partitions of those that fail."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        keys: Keys,
        *,
        calls: RedisCalls,
        writer: PaneWriter,
        reading: Reading,
        holding: Holding,
    ) -> None:
        self._names = settings.topic_names
        self._redis = redis
        self._keys = keys
        self._calls = calls
        self._writer = writer
        self._reading = reading
        self._holding = holding
        self._accepted: set[Topic] = set(settings.accepted_topics)
        """Topics that no batch is judged of any more."""
        self._turns: dict[Topic, asyncio.Lock] = {}
        self._stopped: dict[Partition, _Pause] = {}

    def stopped(self, partition: Partition) -> bool:
        """Whether a partition is not read on."""
        return partition in self._stopped

    @asynccontextmanager
    async def turn(self, topic: Topic) -> AsyncIterator[None]:
        """One batch of a topic at a time while it is judged, so that each is judged by all that was counted before."""
        if topic in self._accepted:
            yield
            return
        async with self._turns.setdefault(topic, asyncio.Lock()):
            yield

    async def judge(
        self, work: PartitionWork, batch: RecordBatch, rejected: Sequence[Rejected]
    ) -> Stopped | Moved | None:
        """None where the batch is to be counted. Raises RevokedError."""
        partition = work.partition
        if partition.topic in self._accepted:
            self._stopped.pop(partition, None)
            return None
        counted = await self._calls("tally", partition, lambda: self._tally(work))
        found = judge(counted, len(batch), rejected)
        if found.verdict is not Verdict.STOPPED:
            if found.verdict is Verdict.ACCEPTED:
                self._accepted.add(partition.topic)
            self._stopped.pop(partition, None)
            return None
        return await self._stop(work, batch, found.why)

    async def retry(self) -> None:
        """Have partitions read again that were paused some time ago, or whose topic is another by now.

        Those that are not ours any more are forgotten.
        """
        assigned = self._reading.assigned()
        for partition, pause in list(self._stopped.items()):
            work = self._holding.works.get(partition)
            moved = work is not None and work.loaded and work.position != pause.position
            if partition not in assigned:
                del self._stopped[partition]
            elif moved or monotonic() - pause.since_s > _RETRY_EVERY_S:
                self._stopped[partition] = _Pause(work.position if work else pause.position, monotonic())
                self._reading.resume(partition)

    async def _stop(self, work: PartitionWork, batch: RecordBatch, why: str) -> Stopped | Moved:
        partition, topic = work.partition, work.partition.topic
        text = f"topic {self._names.shown(topic)} is not read: {why}"
        moved = await self._calls("stop", partition, lambda: self._writer.stop(partition, work.position, text))
        if moved is not None:
            return moved
        if not self.stopped(partition):
            log.error(
                "reading of a topic stopped: its messages break the contract; nothing of it is lost",
                topic=self._names.shown(topic),
                partition=str(partition),
                why=why,
                cure=cure(topic),
            )
        self._stopped[partition] = _Pause(work.position, monotonic())
        self._reading.pause(partition)
        await self._reading.seek(partition, batch.follows)
        return Stopped()

    async def _tally(self, work: PartitionWork) -> Tally:
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in range(self._keys.shards):
                pipe.hgetall(self._keys.totals(shard))
            pipe.hget(self._keys.state(self._keys.shard(work.partition)), f"applied:{work.partition}")
            *shards, applied = await pipe.execute()
        totals: Counter[str] = Counter()
        for held in shards:
            totals.update({name.decode(): int(count) for name, count in held.items()})
        return tally(work.partition.topic, totals, None if applied is None else int(applied))
