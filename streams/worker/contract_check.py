"""Pauses the partitions of a topic whose messages break the contract, until an operator accepts the topic, and those of
a source while the schemas of its messages cannot be loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, replace

import structlog
from redis.asyncio import Redis

from consumers.contract.rejection import RejectedMessage
from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import InputTopic, Partition
from streams.clock import MachineClock
from streams.settings import Settings
from streams.store.contract_check import (
    TopicTally,
    TopicVerdict,
    check_contract,
    contract_fix,
    pause_fix,
    registry_problem,
    topic_tally,
)
from streams.store.keys import Keys
from streams.store.reader import read_counts
from streams.store.writer import OffsetMismatch, PaneWriter
from streams.worker.partition import OwnedPartition
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry

log = structlog.get_logger()

_RETRY_EVERY_S = 60.0
"""How often a paused partition is read again: another worker may have accepted its topic."""
_RETRY_SCHEMAS_EVERY_S = 5.0
"""How often schemas that could not be loaded are asked for again."""


@dataclass(frozen=True, slots=True)
class TopicPaused:
    """The batch was not counted, and its partition is paused."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """A paused partition."""

    position: int | None
    since_s: float
    without_schemas: bool
    """Because schemas of its messages cannot be loaded."""


@dataclass(eq=False)
class ContractCheck:
    """Checks each topic by the first messages counted from it, and pauses the partitions of topics that fail."""

    settings: Settings
    redis: Redis
    keys: Keys
    _: KW_ONLY
    redis_retry: RedisRetry
    writer: PaneWriter
    reading: WorkerConsumer
    registry: PartitionRegistry
    machine: MachineClock

    def __post_init__(self) -> None:
        self._accepted: set[InputTopic] = set(self.settings.accepted_topics)
        """Topics that need no further check."""
        self._turns: dict[InputTopic, asyncio.Lock] = {}
        self._paused: dict[Partition, _Pause] = {}

    def is_paused(self, partition: Partition) -> bool:
        """Whether a partition is paused."""
        return partition in self._paused

    @asynccontextmanager
    async def serialized(self, topic: InputTopic) -> AsyncIterator[None]:
        """Process one batch of an unaccepted topic at a time, so that each check sees all earlier counts."""
        if topic in self._accepted:
            yield
            return
        async with self._turns.setdefault(topic, asyncio.Lock()):
            yield

    async def check_contract(
        self, owned: OwnedPartition, batch: RecordBatch, rejected: Sequence[RejectedMessage]
    ) -> TopicPaused | OffsetMismatch | None:
        """None if the batch may be counted. Raises RevokedError."""
        partition = owned.partition
        if partition.topic in self._accepted:
            self._paused.pop(partition, None)
            return None
        counted = await self.redis_retry("tally", partition, lambda: self._tally(owned))
        result = check_contract(counted, len(batch), rejected)
        if result.verdict is not TopicVerdict.PAUSED:
            if result.verdict is TopicVerdict.ACCEPTED:
                self._accepted.add(partition.topic)
            self._paused.pop(partition, None)
            return None
        fix = contract_fix(partition.topic)
        event = "topic paused: its messages break the contract; no record is lost"
        return await self._stop(owned, batch, result.why, event, fix)

    async def pause_without_schemas(
        self, owned: OwnedPartition, batch: RecordBatch, problem: str
    ) -> TopicPaused | OffsetMismatch:
        """Pause a partition until the schemas of its messages can be loaded. Raises RevokedError."""
        why = registry_problem(problem)
        event = "topic paused: the schema registry does not answer; no record is lost"
        return await self._stop(owned, batch, why, event, pause_fix(owned.partition.topic, why), without_schemas=True)

    async def resume_due(self) -> None:
        """Resume partitions whose pause is over or whose position changed, and drop those that were revoked."""
        assigned = self.reading.assigned()
        for partition, pause in list(self._paused.items()):
            owned = self.registry.owned_partitions.get(partition)
            position_changed = owned is not None and owned.loaded and owned.position != pause.position
            if partition not in assigned:
                del self._paused[partition]
            elif position_changed or self.machine.monotonic() - pause.since_s > _retry_every_s(pause):
                position = owned.position if owned else pause.position
                self._paused[partition] = replace(pause, position=position, since_s=self.machine.monotonic())
                self.reading.resume(partition)

    async def _stop(
        self,
        owned: OwnedPartition,
        batch: RecordBatch,
        why: str,
        event: str,
        fix: str,
        *,
        without_schemas: bool = False,
    ) -> TopicPaused | OffsetMismatch:
        partition, topic = owned.partition, owned.partition.topic
        text = f"topic {self.settings.topic_names.shown(topic)} is not read: {why}"
        mismatch = await self.redis_retry(
            "note_paused", partition, lambda: self.writer.note_paused(partition, owned.position, text)
        )
        if mismatch is not None:
            return mismatch
        if not self.is_paused(partition):
            log.error(
                event,
                topic=self.settings.topic_names.shown(topic),
                partition=str(partition),
                why=why,
                fix=fix,
            )
        self._paused[partition] = _Pause(owned.position, self.machine.monotonic(), without_schemas)
        self.reading.pause(partition)
        await self.reading.seek(partition, batch.start_offset)
        return TopicPaused()

    async def _tally(self, owned: OwnedPartition) -> TopicTally:
        partition, keys = owned.partition, self.keys
        applied = await self.redis.hget(keys.state(keys.shard(partition)), f"applied:{partition}")
        totals = await read_counts(self.redis, keys)
        return topic_tally(
            partition.topic,
            totals,
            None if applied is None else int(applied),
            has_source=owned.source is not None,
        )


def _retry_every_s(pause: _Pause) -> float:
    return _RETRY_SCHEMAS_EVERY_S if pause.without_schemas else _RETRY_EVERY_S
