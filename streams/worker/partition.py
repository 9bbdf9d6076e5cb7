"""One partition, from records to panes: decode, reject, deduplicate, fold, apply, and periodically compact.

Stopping at any point loses and doubles nothing: until Redis applies a batch, only its dead letters are written, and
these carry their origin, so that repeats are recognised. This object caches Redis's state; on an offset mismatch it is
reloaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np

from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.dedup import SeenIds
from consumers.kafka.faust_transport import RecordBatch
from consumers.sources.source import CompiledSource
from consumers.topics import InputTopic, Partition, Topic
from consumers.unpacking.record import SkippedRecords
from streams.clock import MACHINE, MachineClock
from streams.fold.codec import decode, encode
from streams.fold.columns import Columns, join_columns, read_columns
from streams.fold.delta import PaneDelta, merge
from streams.fold.fold import fold
from streams.fold.plan import TYPE_NAMES
from streams.fold.source_columns import read_source_columns
from streams.model.negative_amounts import negative_amounts_total
from streams.panes.cells import merge_cells
from streams.panes.rows import RowIndex
from streams.settings import Settings, shipping_limits
from streams.shipping.facts import Creation
from streams.shipping.join import join
from streams.shipping.order_facts import FactsByOrder, concatenate_facts
from streams.store.compactor import Compaction, Compactor, PlannedCompaction
from streams.store.id_log import IdLog
from streams.store.merging import OpenBlocks
from streams.store.writer import BatchUpdate, IdEntry, OffsetMismatch, PaneWriter, RecordConflict
from streams.worker.fast_clocks import ClockSource, find_fast_clocks
from streams.worker.lateness import CLOCK_REASONS, EventTimeBounds, lateness_verdict, newest_not_ahead

COMPACT_EVERY_S = 30
COMPACT_CELLS = 500_000
"""Deltas are compacted when their log holds this many numbers, or after `COMPACT_EVERY_S`."""
_READS_ALL = 100
"""Number of batches for which records of created orders are read, too, after a record conflict."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A decoded and folded batch that is not applied yet."""

    update: BatchUpdate
    rejected: list[RejectedMessage]
    order_facts: FactsByOrder = field(default_factory=FactsByOrder)
    """Facts of the batch's events about orders, not yet joined with the orders' records."""
    fast_clocks: Mapping[ClockSource, int] = field(default_factory=dict)
    """# <source with events ahead of the clock: ms by which the furthest is ahead>"""

    @property
    def depends_on_clock(self) -> bool:
        """Whether another reading of the clock could change the result."""
        return bool(self.fast_clocks) or any(message.reason in CLOCK_REASONS for message in self.rejected)


class OwnedPartition:
    """A partition that is assigned to this worker."""

    def __init__(
        self,
        partition: Partition,
        settings: Settings,
        writer: PaneWriter,
        compactor: Compactor,
        rows: RowIndex,
        machine: MachineClock = MACHINE,
        source: CompiledSource | None = None,
    ) -> None:
        """`source`: of a topic in the shop's own format."""
        self._machine = machine
        self.partition = partition
        self.source = source
        self.position: int | None = None
        self.last_batch_s = self._machine.monotonic()
        self.seen = SeenIds(settings.dedup_horizon_ms(*_feeds(partition.topic, source)))
        self.topic_ids: tuple[str, ...] = ()
        """Ids of the counted topic and of its predecessor; empty if unknown."""
        self.previous_heartbeat_ms: int | None = None
        """Last heartbeat of the previous owner, epoch ms."""
        self._settings = settings
        self._writer = writer
        self._compactor = compactor
        self._blocks = OpenBlocks()
        self._rows = rows
        self._limits = shipping_limits(settings)
        self._joined: tuple[PreparedBatch, BatchUpdate] | None = None
        """The batch that is being applied, as it was sent."""
        self._reads_all = 0
        """Number of the next batches for which records of created orders are read, too."""
        self.loaded = False
        """Whether this copy matches Redis as far as is known."""
        self._compacted_to: int | None = None
        """Position up to which deltas are in blocks."""
        self._batch_id = ""
        """Id of the batch that set the position."""
        self._pending: list[PaneDelta] = []
        """Deltas of the log that are not compacted, oldest first."""
        self._pending_size = 0
        """Sum of `_size` over the pending deltas."""
        self._compacted_s = self._machine.monotonic() - COMPACT_EVERY_S * _phase(partition)
        self._planned: PlannedCompaction | None = None
        """The planned compaction, while it may still be written."""
        self._ids = IdLog(self.seen.horizon_ms)

    async def load(self) -> None:
        """Load the position, uncompacted deltas and event ids from Redis."""
        stored = await self._writer.load(self.partition, self._rows)
        self.position, self._compacted_to, self.topic_ids = stored.position, stored.compacted_to, stored.topic_ids
        self._batch_id = stored.batch_id
        if self.previous_heartbeat_ms is None:
            self.previous_heartbeat_ms = stored.heartbeat_ms
        self._pending = [delta for _, delta in stored.log]
        self._pending_size = sum(map(_size, self._pending))
        self.seen = SeenIds(self.seen.horizon_ms)
        self._blocks = OpenBlocks()
        self._planned = None
        for entry in (*stored.compacted_ids, *stored.ids):
            self.seen.add(entry.hashes, entry.oldest_ms, entry.newest_ms)
        self._ids = IdLog(
            self.seen.horizon_ms, [entry.span for entry in stored.compacted_ids], [entry.span for entry in stored.ids]
        )
        self.loaded = True

    def forget(self) -> None:
        """Invalidate this copy until the next `load`."""
        self.loaded = False

    def renumber(self, rows: RowIndex) -> None:
        """Switch to another row index. The caller must hold the partition's lock."""
        if rows is self._rows:
            return
        self._pending = [decode(encode(delta, self._rows, compress=False), rows) for delta in self._pending]
        self._rows = rows

    def prepare(self, batch: RecordBatch, event_time_bounds: EventTimeBounds) -> PreparedBatch:
        """Decode, reject, deduplicate and fold a batch; changes only the row index."""
        columns, rejected, totals = self._read(batch)
        fast_clocks: dict[ClockSource, int] = {}
        counted: list[Columns] = []
        for events in columns:
            for clock, ahead_ms in find_fast_clocks(events, self.partition, event_time_bounds, self._rows).items():
                fast_clocks[clock] = max(ahead_ms, fast_clocks.get(clock, 0))
            verdict = lateness_verdict(events.ids, events.ts, self.seen, event_time_bounds)
            for index, reason, detail in verdict.refused:
                rejected.append(RejectedMessage(int(events.indexes[index]), reason, detail))
            kept = events if verdict.counts.all() else events.take(np.flatnonzero(verdict.counts))
            counted.append(kept)
            totals |= _totals(kept, verdict.repeats)
        if self.source is not None:
            rejected = _one_per_message(rejected)
        ts, ids = counted[0].ts, counted[0].ids
        order_facts = counted[0].order_facts
        if len(counted) > 1:
            ts, ids = (np.concatenate([getattr(part, name) for part in counted]) for name in ("ts", "ids"))
            order_facts = concatenate_facts([part.order_facts for part in counted], [0] * len(counted))
        return PreparedBatch(
            BatchUpdate(
                partition=self.partition,
                start_offset=batch.start_offset,
                end_offset=batch.end_offset,
                first=self.position is None,
                newest_ms=newest_not_ahead(ts, event_time_bounds),
                clock_ms=event_time_bounds.ahead_ms,
                delta=fold(counted[0], self._rows)
                if len(counted) == 1
                else merge([fold(part, self._rows) for part in counted]),
                ids=IdEntry(batch.end_offset, ids, int(ts.min()), int(ts.max())) if len(ts) else None,
                totals=totals | refused_totals(self.partition.topic, rejected, batch.skipped),
            ),
            rejected,
            order_facts.by_order(),
            fast_clocks,
        )

    def _read(self, batch: RecordBatch) -> tuple[list[Columns], list[RejectedMessage], dict[str, int]]:
        """The events of a batch, one `Columns` or more, its rejected messages, and totals of its messages."""
        topic, currency = self.partition.topic, self._settings.currency
        if self.source is None:
            assert isinstance(topic, Topic)
            values = [record.value for record in batch.records]
            events, rejected = read_columns(topic, values, self._rows, currency)
            return [events], rejected, {}
        mapped = read_source_columns(self.source, self.partition.number, batch.records, self._rows, currency)
        passed_over = mapped.passed_over.total()
        totals = {f"passed_over,{topic},{why}": count for why, count in mapped.passed_over.items()}
        if made := len(batch.records) - len(mapped.rejected) - passed_over:
            totals[f"mapped,{topic}"] = made
        return mapped.columns or [join_columns(self.source.feeds[0], ())], mapped.rejected, totals

    async def apply(self, prepared: PreparedBatch) -> OffsetMismatch | None:
        """Apply a batch; None if it is applied, `OffsetMismatch` if it does not start at the stored position.

        Call it again with the same batch if Redis does not answer: it resends the same content, so that Redis
        recognises a batch that it applied already.
        """
        while True:
            if self._joined is None or self._joined[0] is not prepared:
                self._joined = prepared, await self._join(prepared)
            batch = self._joined[1]
            conflict = await self._writer.apply(batch, self._rows)
            if not isinstance(conflict, RecordConflict):
                break
            self._joined, self._reads_all = None, _READS_ALL
        self._joined = None
        if conflict is not None:
            return conflict
        if self.position is None:
            self._compacted_to = batch.start_offset
        self.position, self._batch_id = batch.end_offset, batch.batch_id
        if batch.delta:
            self._pending.append(batch.delta)
            self._pending_size += _size(batch.delta)
        if batch.ids is not None:
            self.seen.add(batch.ids.hashes, batch.ids.oldest_ms, batch.ids.newest_ms)
            self._ids.add(batch.ids.span)
        return None

    async def _join(self, prepared: PreparedBatch) -> BatchUpdate:
        """Join the batch with its orders' records."""
        if not prepared.order_facts.facts:
            return prepared.update
        order_facts = prepared.order_facts.facts
        # Orders created in this batch rarely have a record. Where one does, Redis refuses the batch as a conflict.
        keys_to_read = (
            order_facts
            if self._reads_all
            else [key for key, fact in order_facts.items() if not isinstance(fact, Creation)]
        )
        self._reads_all = max(0, self._reads_all - 1)
        records = await self._writer.records(self.partition, keys_to_read) if keys_to_read else {}
        joined = join(prepared.order_facts, records, self._limits, self._rows)
        folded = prepared.update.delta
        delta = replace(folded, cells=merge_cells([folded.cells, joined.repeats]), shipping=joined.delta)
        return replace(prepared.update, delta=delta, records=joined.changes)

    @property
    def batch_in_flight(self) -> str:
        """Id of the batch in flight, which may have moved the position already; else empty."""
        return "" if self._joined is None else self._joined[1].batch_id

    @property
    def compaction_due(self) -> bool:
        """Whether the log is long or old enough for a compaction."""
        return self.position != self._compacted_to and (
            self._pending_size >= COMPACT_CELLS or self._machine.monotonic() - self._compacted_s >= COMPACT_EVERY_S
        )

    @property
    def compaction_overdue(self) -> bool:
        """Whether the log is so long that counting must wait for the running compaction."""
        return self._pending_size >= 2 * COMPACT_CELLS

    async def compact(self, event_time_bounds: EventTimeBounds) -> bool:
        """Move the log into blocks; False on an offset mismatch."""
        return await self.write_compaction(await self.plan_compaction(event_time_bounds))

    async def plan_compaction(self, event_time_bounds: EventTimeBounds) -> PlannedCompaction | None:
        """Prepare the compaction of the log up to now, which is slow; batches may be applied meanwhile.

        None if there is nothing to compact. Run one at a time.
        """
        if self.position is None or self._compacted_to is None:
            return None
        if event_time_bounds.as_of_ms is not None:
            self.seen.forget_before(event_time_bounds.as_of_ms)
            self._ids.forget_before(event_time_bounds.as_of_ms - self.seen.horizon_ms)
        if self.seen.evicted_until_ms is not None:  # ids evicted from memory are dropped in Redis, too
            self._ids.forget_before(self.seen.evicted_until_ms + 1)
        self._compacted_s = self._machine.monotonic()
        first_ids = self._ids.first
        compaction = Compaction(
            self.partition,
            self.position,
            self._compacted_to,
            tuple(self._pending),
            self.position if first_ids is None else first_ids,
            self._ids.ends(self.position),
            event_time_bounds.oldest_s,
            event_time_bounds.retained_spans,
        )
        blocks = self._blocks
        planned = await self._compactor.plan(compaction, blocks, self._rows)
        if self._blocks is not blocks:  # reloaded meanwhile
            return None
        self._planned = planned
        return planned

    async def write_compaction(self, planned: PlannedCompaction | None) -> bool:
        """Write a planned compaction; False on an offset mismatch. No batch may be in flight."""
        if planned is None or planned is not self._planned or self.position is None:
            return True  # reloaded meanwhile: the plan is void
        if not await self._compactor.write(planned, self.position, self._batch_id, self._blocks):
            return False
        self._planned = None
        self._compacted_to = planned.compaction.upto
        self._ids.compact(planned.compaction.id_ends)
        del self._pending[: len(planned.compaction.pending)]
        self._pending_size = sum(map(_size, self._pending))
        return True


def refused_totals(
    topic: InputTopic, rejected: Sequence[RejectedMessage], skipped: Sequence[SkippedRecords]
) -> dict[str, int]:
    """# <total: increment> by the rejected messages and skipped records of a batch."""
    reasons = Counter([*(message.reason for message in rejected), *(records.reason for records in skipped)])
    totals = {f"rejected,{topic},{reason}": count for reason, count in reasons.items()}
    totals |= Counter(
        negative_amounts_total(message.pricing_labels) for message in rejected if message.pricing_labels is not None
    )
    lost = sum(
        records.last_offset - records.first_offset + 1
        for records in skipped
        if records.reason is RejectionReason.UNREADABLE_BATCH
    )
    return totals | ({f"records_lost,{topic}": lost} if lost else {})


def _totals(events: Columns, duplicates: int) -> dict[str, int]:
    """# <total: increment> by the counted events and the duplicates of a batch."""
    topic = events.topic
    counts = np.bincount(events.types, minlength=len(TYPE_NAMES[topic])).tolist()
    totals = {f"events,{topic},{name}": n for name, n in zip(TYPE_NAMES[topic], counts, strict=True) if n}
    totals |= {
        f"labels_dropped,{topic},{name}": count for name, count in Counter(n for _, n in events.dropped_labels).items()
    }
    return totals | ({f"duplicates,{topic}": duplicates} if duplicates else {})


def _feeds(topic: InputTopic, source: CompiledSource | None) -> tuple[Topic, ...]:
    """The topics of the contract that a topic holds events of."""
    if source is not None:
        return source.feeds
    assert isinstance(topic, Topic)
    return (topic,)


def _one_per_message(rejected: Sequence[RejectedMessage]) -> list[RejectedMessage]:
    """The first rejection of each message: several of its events may be too late."""
    first: dict[int, RejectedMessage] = {}
    for message in rejected:
        first.setdefault(message.index, message)
    return list(first.values())


def _phase(partition: Partition) -> float:
    """Phase in [0, 1) that spreads the compactions of partitions evenly: multiples of the golden ratio."""
    topic = partition.topic
    place = list(Topic).index(topic) if isinstance(topic, Topic) else crc32(topic.encode()) % len(Topic)
    return (partition.number * len(Topic) + place) * 0.6180339887 % 1


def _size(delta: PaneDelta) -> int:
    """Number of cells, register entries and the like in a delta: estimates the cost of compacting it."""
    cells, others = len(delta.cells.keys) + len(delta.sketches.register_entries), delta.shipping.size + delta.stock.size
    return cells + others + len(delta.extremes.keys) + len(delta.quantiles.counts)
