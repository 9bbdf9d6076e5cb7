"""Stored positions of partitions, and seeking to them.

The position in Redis is authoritative. A batch that does not start there is skipped and the consumer seeks to the
position, as it does when an idle partition's read position differs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass

import structlog
from aiokafka.errors import KafkaError

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import RecordBatch
from consumers.kafka.metadata import TopicMetadata
from consumers.topics import READ_TOPICS, InputTopic, Partition
from streams.clock import MachineClock
from streams.store.writer import PaneWriter
from streams.worker.partition import OwnedPartition
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry

log = structlog.get_logger()

ASK_EVERY_S = 3.0
"""Refresh interval of topic metadata: how long an added partition or a deleted topic goes unnoticed."""
_GAP_MS = 2_000
"""Largest gap between two fetch responses in which a topic cannot have been recreated and filled unnoticed."""
_PATIENCE_S = 10.0
"""Timeout of a metadata request, including one that is already in flight."""
_SEEK_AGAIN_S = 5.0
"""Minimum interval between seeks of a partition, also after its last batch if it is idle."""
SILENT_S = 3.0
"""A partition without a fetch response for this time has an unknown lag."""
_MOST_MARKS = 60
"""Maximum number of end-offset samples per partition."""


class Arrivals:
    """Samples the end offset of each partition over time, and finds the newest sample whose records are counted."""

    def __init__(self) -> None:
        self._marks: dict[Partition, deque[tuple[int, int]]] = defaultdict(deque)
        """# <(end offset, time of the sample)>, both ascending"""
        self._passed_ms: dict[Partition, int] = {}

    def note(self, partition: Partition, end: int, at_ms: int) -> None:
        """Record the end offset of a partition at a time. Long backlogs keep only the oldest samples."""
        marks = self._marks[partition]
        if marks and (end < marks[-1][0] or at_ms < marks[-1][1]):  # the topic was recreated or the clock changed
            self.forget(partition)
            marks = self._marks[partition]
        if len(marks) < _MOST_MARKS:
            marks.append((end, at_ms))

    def counted_ms(self, partition: Partition, position: int) -> int | None:
        """The newest sample time whose records are all before `position`; None if unknown."""
        marks = self._marks[partition]
        while marks and marks[0][0] <= position:
            self._passed_ms[partition] = marks.popleft()[1]
        return self._passed_ms.get(partition)

    def forget(self, partition: Partition) -> None:
        """Drop the samples of a partition that was reset or revoked."""
        self._marks.pop(partition, None)
        self._passed_ms.pop(partition, None)


@dataclass(eq=False)
class TopicIdentity:
    """Topic metadata of the broker, refreshed periodically and after each gap in a partition's fetch responses.

    Partitions share one request: requests per partition and batch would queue up behind a slow broker and time out.
    """

    reading: WorkerConsumer
    machine: MachineClock
    topics: Collection[InputTopic] = READ_TOPICS

    def __post_init__(self) -> None:
        self.known: Mapping[InputTopic, TopicMetadata] = {}
        """Last known metadata; a topic missing from the response keeps its previous entry."""
        self._asked_s = -ASK_EVERY_S
        self._heard_ms: dict[Partition, int] = {}
        self._unsure_s: dict[Partition, float] = {}
        """# <partition: monotonic time before which responses are not trusted>"""
        self._asking: asyncio.Task[None] | None = None
        self._began_s = 0.0
        """When the request in flight was sent."""

    def doubt(self, partition: Partition) -> None:
        """Distrust earlier responses about a partition, since its records were not where they were expected."""
        self._unsure_s[partition] = self.machine.monotonic()

    async def of(self, partition: Partition) -> str:
        """Current id of a partition's topic; empty if the broker has no topic ids.

        Raises TimeoutError or KafkaError if the broker does not answer.
        """
        last_fetch_ms = self.reading.last_fetch_ms(partition) or 0
        if not 0 <= last_fetch_ms - self._heard_ms.get(partition, 0) <= _GAP_MS:
            self._unsure_s[partition] = self._heard_s(last_fetch_ms)
        self._heard_ms[partition] = last_fetch_ms
        unsure_s = self._unsure_s.get(partition, 0)
        if unsure_s > self._asked_s:
            await self._ask(unsure_s)
        await self.refresh()
        metadata = self.known.get(partition.topic)
        return "" if metadata is None else metadata.topic_id

    async def refresh(self) -> None:
        """Refresh if the last response is old. Raises TimeoutError or KafkaError if the broker does not answer."""
        recently_s = self.machine.monotonic() - ASK_EVERY_S
        if self._asked_s <= recently_s:
            await self._ask(recently_s)

    async def _ask(self, since_s: float) -> None:
        """Wait for the response to a request sent after `since_s`; an earlier one in flight completes first."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                if self._asking is None or self._asking.done():
                    self._began_s = self.machine.monotonic()
                    self._asking = asyncio.create_task(self._learn(self._began_s))
                    self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
                if self._began_s >= since_s:
                    await asyncio.shield(self._asking)
                    return
                with suppress(KafkaError):
                    await asyncio.shield(self._asking)

    async def _learn(self, asked_s: float) -> None:
        self.known = {**self.known, **await self.reading.fetch_topic_metadata(self.topics)}
        self._asked_s = asked_s

    def _heard_s(self, last_fetch_ms: int) -> float:
        """Time of the last fetch response by the monotonic clock; now, if unknown or long ago."""
        ago_s = (self.machine.now_ms() - last_fetch_ms) / 1000
        return self.machine.monotonic() - (ago_s if 0 <= ago_s <= _PATIENCE_S else 0)


@dataclass(eq=False)
class PositionTracker:
    """Compares stored positions with read positions. Callers must hold the partition's lock."""

    reading: WorkerConsumer
    redis_retry: RedisRetry
    registry: PartitionRegistry
    writer: PaneWriter
    identity: TopicIdentity
    _: KW_ONLY
    reference_ms: Callable[[], int]
    """The reference clock that all processes share."""
    machine: MachineClock

    def __post_init__(self) -> None:
        self._arrivals = Arrivals()
        self._sought: dict[Partition, float] = {}
        self._first: dict[Partition, int] = {}

    def forget(self, owned: OwnedPartition) -> None:
        """Invalidate a partition: its next use reloads it, and may seek again at once."""
        self._sought.pop(owned.partition, None)
        self._first.pop(owned.partition, None)
        self._arrivals.forget(owned.partition)
        owned.forget()

    async def is_next_batch(self, owned: OwnedPartition, batch: RecordBatch) -> bool:
        """Whether the batch starts at the stored position; if not, seek there."""
        if not await self._is_same_topic(owned):
            return False
        expected = await self._position(owned)
        if batch.start_offset == expected:
            self._sought.pop(owned.partition, None)
            return True
        self._first.pop(owned.partition, None)  # the first records may have been deleted
        await self._seek(owned, expected)
        return False

    async def lag(self, owned: OwnedPartition) -> int:
        """Number of uncounted records, at least one if unknown; seeks if the read and stored positions differ."""
        if not await self._is_same_topic(owned):
            return 1
        position = await self._position(owned)
        read_position = await self.reading.position(owned.partition)
        end = self.reading.known_end_offset(owned.partition)
        # A position beyond the end means that the topic was recreated, which not every broker reports as an error.
        # With topic ids this check is not needed, and the known end offset may lag.
        beyond = end is not None and end < position and not owned.topic_ids
        if (beyond or read_position != position) and self.machine.monotonic() - owned.last_batch_s > _SEEK_AGAIN_S:
            await self._seek(owned, position)
        return self.records_after(owned.partition, position)

    def records_after(self, partition: Partition, position: int) -> int:
        """Records from a position to the end; at least one if the end is unknown."""
        end = self.reading.known_end_offset(partition)
        return 1 if end is None or end < position else end - position

    def counted_through_ms(self, partition: Partition, position: int | None) -> int | None:
        """A time by which all records that had arrived in Kafka are before a position; None if unknown.

        The position of a partition that was never counted is its first offset: while it is empty, nothing had arrived.
        """
        if position is None:
            position = self._first.get(partition)
        if position is None:
            return None
        end, last_fetch_ms = self.reading.known_end_offset(partition), self.reading.last_fetch_ms(partition)
        if end is not None and last_fetch_ms is not None:
            self._arrivals.note(partition, end, self.reference_ms() - max(0, self.machine.now_ms() - last_fetch_ms))
        return self._arrivals.counted_ms(partition, position)

    def broker_answers_for(self, owned: OwnedPartition) -> bool:
        """Whether the broker answered for a partition recently; if not, its lag is unknown."""
        fetched_ago_ms = self.machine.now_ms() - (self.reading.last_fetch_ms(owned.partition) or 0)
        return self.machine.monotonic() - owned.last_batch_s < SILENT_S or abs(fetched_ago_ms) < SILENT_S * 1000

    def lost_from_ms(self, owned: OwnedPartition) -> int:
        """The earliest time from which uncounted records of a partition may be lost, for
        `PaneWriter.mark_incomplete`: the previous owner's last heartbeat, or the as-of if earlier."""
        times_ms = [ms for ms in (owned.previous_heartbeat_ms, self.registry.as_of_ms) if ms is not None]
        return min(times_ms, default=self.reference_ms())

    async def _is_same_topic(self, owned: OwnedPartition) -> bool:
        """Whether the topic is the counted one; if not, restart at the first record of the new one.

        Offsets alone cannot decide: a new topic may have grown beyond the position. The predecessor's id comes from a
        broker with old metadata.
        """
        topic_id, position = await self.identity.of(owned.partition), owned.position
        if not topic_id or position is None or topic_id in owned.topic_ids:
            return True
        if not owned.topic_ids:
            if await self.redis_retry(
                "note_topic_id", owned.partition, lambda: self.writer.note_topic_id(owned.partition, position, topic_id)
            ):
                owned.topic_ids = (topic_id,)
            return True
        first = await self.reading.beginning_offset(owned.partition)
        log.error(
            "topic was recreated; its uncounted records are lost and the history is incomplete",
            partition=str(owned.partition),
            position=position,
            earliest=first,
        )
        await self._reset_position(owned, position, first, topic_id)
        return False

    async def _position(self, owned: OwnedPartition) -> int:
        """The stored position, or the first offset of a partition that was never counted."""
        if owned.position is not None:
            return owned.position
        if owned.partition not in self._first:
            self._first[owned.partition] = await self.reading.beginning_offset(owned.partition)
        return self._first[owned.partition]

    async def _seek(self, owned: OwnedPartition, position: int) -> None:
        """Seek to a position, at most once per `_SEEK_AGAIN_S`: batches that were already fetched are skipped."""
        if self.machine.monotonic() - self._sought.get(owned.partition, -_SEEK_AGAIN_S) < _SEEK_AGAIN_S:
            return
        self.identity.doubt(owned.partition)
        if not await self._is_same_topic(owned):
            return
        await self.reading.seek(owned.partition, await self._reachable(owned, position))
        self._sought[owned.partition] = self.machine.monotonic()

    async def _reachable(self, owned: OwnedPartition, position: int) -> int:
        """The position, or the beginning if Kafka no longer holds it."""
        first = await self.reading.beginning_offset(owned.partition)
        end = self.reading.known_end_offset(owned.partition)
        if owned.position is None or (first <= position and end is None):
            return position  # if it is beyond the end, the next fetch shows that
        end_offset = max(await self.reading.end_offset(owned.partition), end or 0)
        if first <= position <= max(end_offset, first):
            return position
        log.error(
            "records were deleted before they were counted; the history is incomplete",
            partition=str(owned.partition),
            position=position,
            earliest=first,
            end=end_offset,
        )
        await self._reset_position(owned, position, first, await self.identity.of(owned.partition))
        return first

    async def _reset_position(self, owned: OwnedPartition, position: int, first: int, topic_id: str) -> None:
        """Continue with the first available record, and mark the history as incomplete."""
        if await self.redis_retry("compact", owned.partition, lambda: owned.compact(self.registry.event_time_bounds())):
            unknown_ms = self.lost_from_ms(owned)
            await self.redis_retry(
                "reset_position",
                owned.partition,
                lambda: self.writer.reset_position(owned.partition, position, first, unknown_ms, topic_id),
            )
        self.forget(owned)
