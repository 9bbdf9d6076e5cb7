"""Where a partition stands, and seeing to it that reading goes on from there.

The position in Redis is the truth. A batch that does not follow it is not looked at, and reading goes to the position;
so it does where nothing was read for a while and reading stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import structlog

from consumers.reading import Reading
from consumers.topics import Partition
from consumers.transport import RecordBatch
from streams.clock import now_ms
from streams.partition import PartitionWork
from streams.store.writer import PaneWriter
from streams.worker.arrivals import Arrivals
from streams.worker.calls import RedisCalls
from streams.worker.holding import Holding
from streams.worker.identity import Identity

log = structlog.get_logger()

_SEEK_AGAIN_S = 5.0
SILENT_S = 3.0
"""What the broker has said nothing of for so long, nothing is known of."""


class Standing:
    """Compares where partitions stand with what is read. Every method wants the partition's lock to be held."""

    def __init__(
        self,
        reading: Reading,
        calls: RedisCalls,
        holding: Holding,
        writer: PaneWriter,
        identity: Identity,
        *,
        reference_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`reference_ms`: the clock that all processes go by."""
        self._reading = reading
        self._reference_ms = reference_ms
        self._arrivals = Arrivals()
        self._calls = calls
        self._holding = holding
        self._writer = writer
        self._sought: dict[Partition, float] = {}
        self._first: dict[Partition, int] = {}
        self._identity = identity

    def forget(self, work: PartitionWork) -> None:
        """Believe nothing of a partition any more: it is loaded anew, and sought anew."""
        self._sought.pop(work.partition, None)
        self._first.pop(work.partition, None)
        self._arrivals.forget(work.partition)
        work.forget()

    async def follows(self, work: PartitionWork, batch: RecordBatch) -> bool:
        """Whether the batch is the next one; if not, reading goes to where the partition stands."""
        if not await self._is_same_topic(work):
            return False
        expected = await self._position(work)
        if batch.follows == expected:
            self._sought.pop(work.partition, None)
            return True
        self._first.pop(work.partition, None)  # the first records may be gone by now
        await self._seek(work, expected)
        return False

    async def lag(self, work: PartitionWork) -> int:
        """Records of a partition that are not counted yet; seeks where reading stands off the position."""
        if not await self._is_same_topic(work):
            return 1
        position = await self._position(work)
        reading = await self._reading.at(work.partition)
        end = self._reading.end(work.partition)
        # Beyond the end nothing will ever come: the topic was made anew, which not every broker calls an error. Where
        # topics have ids these tell it, and need no end, which a broker may know a little late.
        beyond = end is not None and end < position and not work.topic_ids
        if (beyond or reading != position) and monotonic() - work.touched > _SEEK_AGAIN_S:
            await self._seek(work, position)
        return self.waiting(work.partition, position)

    def waiting(self, partition: Partition, position: int) -> int:
        """Records from a position to the end; at least one where that is not known."""
        end = self._reading.end(partition)
        return 1 if end is None or end < position else end - position

    def arrived_ms(self, partition: Partition, position: int | None) -> int | None:
        """Everything that had arrived in Kafka by then is before a position; None where that is not known.

        A partition that was never counted stands at its first record: while there is none, nothing had arrived.
        """
        if position is None:
            position = self._first.get(partition)
        if position is None:
            return None
        end, heard_ms = self._reading.end(partition), self._reading.heard_ms(partition)
        if end is not None and heard_ms is not None:
            self._arrivals.note(partition, end, self._reference_ms() - max(0, now_ms() - heard_ms))
        return self._arrivals.counted_ms(partition, position)

    def hears_of(self, work: PartitionWork) -> bool:
        """Whether the broker lately answered for a partition: of one that it is silent about we know nothing to say."""
        heard_ms = self._reading.heard_ms(work.partition) or 0
        return monotonic() - work.touched < SILENT_S or abs(now_ms() - heard_ms) < SILENT_S * 1000

    def lost_from_ms(self, work: PartitionWork) -> int:
        """From when on records of a partition may be lost of which no event was ever counted: the last heartbeat
        before this worker, or the as-of where that is earlier. The time to give to `PaneWriter.mark_incomplete`."""
        known = [ms for ms in (work.attended_ms, self._holding.as_of_ms) if ms is not None]
        return min(known, default=self._reference_ms())

    async def _is_same_topic(self, work: PartitionWork) -> bool:
        """Whether the topic is the one that was counted; if not, counting goes on with the first record of this one.

        Offsets alone cannot tell: a new topic may have grown beyond the position. An id that was left behind is told by
        a broker that has not heard yet.
        """
        told, position = await self._identity.of(work.partition), work.position
        if not told or position is None or told in work.topic_ids:
            return True
        if not work.topic_ids:
            if await self._calls(
                "identify", work.partition, lambda: self._writer.identify(work.partition, position, told)
            ):
                work.topic_ids = (told,)
            return True
        first = await self._reading.first(work.partition)
        log.error(
            "the topic was made anew: what it held before and was not counted is lost, history is incomplete",
            partition=str(work.partition),
            position=position,
            earliest=first,
        )
        await self._restart(work, position, first, told)
        return False

    async def _position(self, work: PartitionWork) -> int:
        """Where a partition stands: one that was never counted stands at its first record."""
        if work.position is not None:
            return work.position
        if work.partition not in self._first:
            self._first[work.partition] = await self._reading.first(work.partition)
        return self._first[work.partition]

    async def _seek(self, work: PartitionWork, position: int) -> None:
        """Read on from a position; batches already fetched are passed over, so once is enough."""
        if monotonic() - self._sought.get(work.partition, -_SEEK_AGAIN_S) < _SEEK_AGAIN_S:
            return
        self._identity.doubt(work.partition)
        if not await self._is_same_topic(work):
            return
        await self._reading.seek(work.partition, await self._reachable(work, position))
        self._sought[work.partition] = monotonic()

    async def _reachable(self, work: PartitionWork, position: int) -> int:
        """The position, or the beginning where Kafka no longer holds it."""
        first = await self._reading.first(work.partition)
        end = self._reading.end(work.partition)
        if work.position is None or (first <= position and end is None):  # beyond the end? a fetch will tell
            return position
        last = max(await self._reading.last(work.partition), end or 0)
        if first <= position <= max(last, first):
            return position
        log.error(
            "records were lost before they were counted: history is incomplete",
            partition=str(work.partition),
            position=position,
            earliest=first,
            end=last,
        )
        await self._restart(work, position, first, await self._identity.of(work.partition))
        return first

    async def _restart(self, work: PartitionWork, position: int, first: int, topic_id: str) -> None:
        """Continue with the oldest record that there is, and mark the history as incomplete."""
        if await self._calls("roll", work.partition, lambda: work.roll(self._holding.clocks())):
            unknown_ms = self.lost_from_ms(work)
            await self._calls(
                "restart",
                work.partition,
                lambda: self._writer.restart(work.partition, position, first, unknown_ms, topic_id),
            )
        self.forget(work)
