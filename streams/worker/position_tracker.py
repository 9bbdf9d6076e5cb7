"""Where a partition stands, and seeing to it that reading goes on from there.

The position in Redis is the truth. A batch that does not follow it is not looked at, and reading goes to the position;
so it does where nothing was read for a while and reading stands elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

import structlog
from aiokafka.errors import KafkaError

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import RecordBatch
from consumers.kafka.topic_ids import TopicMetadata
from consumers.topics import READ_TOPICS, Partition, Topic
from streams.clock import now_ms
from streams.store.writer import PaneWriter
from streams.worker.arrivals import Arrivals
from streams.worker.partition import OwnedPartition
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry

ASK_EVERY_S = 3.0
"""How long a partition that was added, or a topic that was deleted, goes unnoticed."""
_GAP_MS = 2_000
"""Between two answers of the broker for a partition: in less, no topic is thought to be made anew and filled again."""
_PATIENCE_S = 10.0
"""How long an answer is waited for, the one before it included."""


class TopicIdentity:
    """The topics as the broker has them, asked for now and then, and before anything is believed that comes after a
    gap.

    Partitions share one question: behind a broker that takes seconds to answer, a question of each for each batch would
    wait in line behind all that were given up, and none would ever be answered in time.
    """

    def __init__(self, reading: WorkerConsumer) -> None:
        self._reading = reading
        self.known: Mapping[Topic, TopicMetadata] = {}
        """As they were when last asked for; a topic that the broker says nothing of is as it was before."""
        self._asked_s = -ASK_EVERY_S
        self._heard_ms: dict[Partition, int] = {}
        self._unsure_s: dict[Partition, float] = {}
        """# <what was asked before then says nothing of it>"""
        self._asking: asyncio.Task[None] | None = None
        self._began_s = 0.0
        """When the question that is under way was put."""

    def doubt(self, partition: Partition) -> None:
        """Ask before anything else is believed of a partition: its records are not where they were expected."""
        self._unsure_s[partition] = monotonic()

    async def of(self, partition: Partition) -> str:
        """The id of a partition's topic as it is now; empty where the broker gives none.

        Raises TimeoutError or KafkaError when it does not answer.
        """
        last_fetch_ms = self._reading.last_fetch_ms(partition) or 0
        if not 0 <= last_fetch_ms - self._heard_ms.get(partition, 0) <= _GAP_MS:
            self._unsure_s[partition] = _heard_s(last_fetch_ms)
        self._heard_ms[partition] = last_fetch_ms
        unsure_s = self._unsure_s.get(partition, 0)
        if unsure_s > self._asked_s:
            await self._ask(unsure_s)
        await self.refresh()
        known = self.known.get(partition.topic)
        return "" if known is None else known.topic_id

    async def refresh(self) -> None:
        """Ask if the last answer is old. Raises TimeoutError or KafkaError when the broker does not answer."""
        recently_s = monotonic() - ASK_EVERY_S
        if self._asked_s <= recently_s:
            await self._ask(recently_s)

    async def _ask(self, since_s: float) -> None:
        """Have an answer to a question that was put since a moment; one that was put before it is waited for first."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                if self._asking is None or self._asking.done():
                    self._began_s = monotonic()
                    self._asking = asyncio.create_task(self._learn(self._began_s))
                    self._asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
                if self._began_s >= since_s:
                    await asyncio.shield(self._asking)
                    return
                with suppress(KafkaError):
                    await asyncio.shield(self._asking)

    async def _learn(self, asked_s: float) -> None:
        self.known = {**self.known, **await self._reading.fetch_topic_metadata(READ_TOPICS)}
        self._asked_s = asked_s


def _heard_s(last_fetch_ms: int) -> float:
    """When the broker was heard, by `monotonic`; now, where that is not known or was long ago."""
    ago_s = (now_ms() - last_fetch_ms) / 1000
    return monotonic() - (ago_s if 0 <= ago_s <= _PATIENCE_S else 0)


log = structlog.get_logger()

_SEEK_AGAIN_S = 5.0
SILENT_S = 3.0
"""What the broker has said nothing of for so long, nothing is known of."""


class PositionTracker:
    """Compares where partitions stand with what is read. Every method wants the partition's lock to be held."""

    def __init__(
        self,
        reading: WorkerConsumer,
        redis_retry: RedisRetry,
        registry: PartitionRegistry,
        writer: PaneWriter,
        identity: TopicIdentity,
        *,
        reference_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`reference_ms`: the clock that all processes go by."""
        self._reading = reading
        self._reference_ms = reference_ms
        self._arrivals = Arrivals()
        self._redis_retry = redis_retry
        self._registry = registry
        self._writer = writer
        self._sought: dict[Partition, float] = {}
        self._first: dict[Partition, int] = {}
        self._identity = identity

    def forget(self, owned: OwnedPartition) -> None:
        """Believe nothing of a partition any more: it is loaded anew, and sought anew."""
        self._sought.pop(owned.partition, None)
        self._first.pop(owned.partition, None)
        self._arrivals.forget(owned.partition)
        owned.forget()

    async def is_next_batch(self, owned: OwnedPartition, batch: RecordBatch) -> bool:
        """Whether the batch is the next one; if not, reading goes to where the partition stands."""
        if not await self._is_same_topic(owned):
            return False
        expected = await self._position(owned)
        if batch.start_offset == expected:
            self._sought.pop(owned.partition, None)
            return True
        self._first.pop(owned.partition, None)  # the first records may be gone by now
        await self._seek(owned, expected)
        return False

    async def lag(self, owned: OwnedPartition) -> int:
        """Records of a partition that are not counted yet; seeks where reading stands off the position."""
        if not await self._is_same_topic(owned):
            return 1
        position = await self._position(owned)
        reading = await self._reading.position(owned.partition)
        end = self._reading.known_end_offset(owned.partition)
        # Beyond the end nothing will ever come: the topic was made anew, which not every broker calls an error. Where
        # topics have ids these tell it, and need no end, which a broker may know a little late.
        beyond = end is not None and end < position and not owned.topic_ids
        if (beyond or reading != position) and monotonic() - owned.last_batch_s > _SEEK_AGAIN_S:
            await self._seek(owned, position)
        return self.records_after(owned.partition, position)

    def records_after(self, partition: Partition, position: int) -> int:
        """Records from a position to the end; at least one where that is not known."""
        end = self._reading.known_end_offset(partition)
        return 1 if end is None or end < position else end - position

    def counted_through_ms(self, partition: Partition, position: int | None) -> int | None:
        """Everything that had arrived in Kafka by then is before a position; None where that is not known.

        A partition that was never counted stands at its first record: while there is none, nothing had arrived.
        """
        if position is None:
            position = self._first.get(partition)
        if position is None:
            return None
        end, last_fetch_ms = self._reading.known_end_offset(partition), self._reading.last_fetch_ms(partition)
        if end is not None and last_fetch_ms is not None:
            self._arrivals.note(partition, end, self._reference_ms() - max(0, now_ms() - last_fetch_ms))
        return self._arrivals.counted_ms(partition, position)

    def broker_answers_for(self, owned: OwnedPartition) -> bool:
        """Whether the broker lately answered for a partition: of one that it is silent about we know nothing to say."""
        last_fetch_ms = self._reading.last_fetch_ms(owned.partition) or 0
        return monotonic() - owned.last_batch_s < SILENT_S or abs(now_ms() - last_fetch_ms) < SILENT_S * 1000

    def lost_from_ms(self, owned: OwnedPartition) -> int:
        """From when on records of a partition may be lost of which no event was ever counted: the last heartbeat
        before this worker, or the as-of where that is earlier. The time to give to `PaneWriter.mark_incomplete`."""
        known = [ms for ms in (owned.previous_heartbeat_ms, self._registry.as_of_ms) if ms is not None]
        return min(known, default=self._reference_ms())

    async def _is_same_topic(self, owned: OwnedPartition) -> bool:
        """Whether the topic is the one that was counted; if not, counting goes on with the first record of this one.

        Offsets alone cannot tell: a new topic may have grown beyond the position. An id that was left behind is told by
        a broker that has not heard yet.
        """
        topic_id, position = await self._identity.of(owned.partition), owned.position
        if not topic_id or position is None or topic_id in owned.topic_ids:
            return True
        if not owned.topic_ids:
            if await self._redis_retry(
                "identify", owned.partition, lambda: self._writer.note_topic_id(owned.partition, position, topic_id)
            ):
                owned.topic_ids = (topic_id,)
            return True
        first = await self._reading.beginning_offset(owned.partition)
        log.error(
            "the topic was made anew: what it held before and was not counted is lost, history is incomplete",
            partition=str(owned.partition),
            position=position,
            earliest=first,
        )
        await self._restart(owned, position, first, topic_id)
        return False

    async def _position(self, owned: OwnedPartition) -> int:
        """Where a partition stands: one that was never counted stands at its first record."""
        if owned.position is not None:
            return owned.position
        if owned.partition not in self._first:
            self._first[owned.partition] = await self._reading.beginning_offset(owned.partition)
        return self._first[owned.partition]

    async def _seek(self, owned: OwnedPartition, position: int) -> None:
        """Read on from a position; batches already fetched are passed over, so once is enough."""
        if monotonic() - self._sought.get(owned.partition, -_SEEK_AGAIN_S) < _SEEK_AGAIN_S:
            return
        self._identity.doubt(owned.partition)
        if not await self._is_same_topic(owned):
            return
        await self._reading.seek(owned.partition, await self._reachable(owned, position))
        self._sought[owned.partition] = monotonic()

    async def _reachable(self, owned: OwnedPartition, position: int) -> int:
        """The position, or the beginning where Kafka no longer holds it."""
        first = await self._reading.beginning_offset(owned.partition)
        end = self._reading.known_end_offset(owned.partition)
        if owned.position is None or (first <= position and end is None):  # beyond the end? a fetch will tell
            return position
        last = max(await self._reading.end_offset(owned.partition), end or 0)
        if first <= position <= max(last, first):
            return position
        log.error(
            "records were lost before they were counted: history is incomplete",
            partition=str(owned.partition),
            position=position,
            earliest=first,
            end=last,
        )
        await self._restart(owned, position, first, await self._identity.of(owned.partition))
        return first

    async def _restart(self, owned: OwnedPartition, position: int, first: int, topic_id: str) -> None:
        """Continue with the oldest record that there is, and mark the history as incomplete."""
        if await self._redis_retry("roll", owned.partition, lambda: owned.compact(self._registry.event_time_bounds())):
            unknown_ms = self.lost_from_ms(owned)
            await self._redis_retry(
                "restart",
                owned.partition,
                lambda: self._writer.restart(owned.partition, position, first, unknown_ms, topic_id),
            )
        self.forget(owned)
