"""A store in memory that counts messages as workers do, for the view of a rehearsal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumers.contract.events import Promotion
from consumers.dedup import SeenIds
from consumers.errors import SalepulseError
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.dictionary.types import Model
from streams.fold.columns import Columns, read_columns
from streams.fold.delta import PaneDelta, merge
from streams.fold.fold import fold
from streams.panes.cells import merge_cells
from streams.panes.rows import RowIndex
from streams.settings import Settings, shipping_limits
from streams.shipping.join import OrderChanges, join
from streams.shipping.record import RecordKey
from streams.store.as_of import PartitionState
from streams.store.levels import levels
from streams.store.merging import BlockId
from streams.store.reader import LogEntry, StoredBlock
from streams.store.retained_spans import NO_RETAINED_SPANS, RetainedSpans
from streams.store.state import StoreState
from streams.view.numbers import SECONDS
from streams.worker.lateness import LATEST_MS, EventTimeBounds, newest_not_ahead

_SECONDS_KEPT_S = 2 * 3600
"""Panes before the last read."""
_TOGETHER = 16


@dataclass(slots=True)
class _Topic:
    """Counts of one topic with one partition."""

    seen: SeenIds
    position: int = 0
    newest_ms: int | None = None
    last_counted_ms: int | None = None


class MemoryStore:
    """A `PaneSource` in memory; the same process counts and reads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._levels = levels(settings)
        self._limits = shipping_limits(settings)
        self._numbers = RowIndex()
        self._topics = {topic: _Topic(SeenIds(settings.dedup_horizon_ms(topic))) for topic in EVENT_TOPICS}
        self._log: dict[Partition, LogEntry] = {}
        """The last delta."""
        self._parts: dict[BlockId, list[tuple[Partition, PaneDelta]]] = defaultdict(list)
        self._records: dict[RecordKey, bytes] = {}
        self._promotions: dict[str, Promotion] = {}
        self._version = 0
        self._totals: Counter[str] = Counter()
        self._now_ms = 0

    # Counting --------------------------------------------------------------------------------------------------------

    def announce(self, value: bytes) -> None:
        """Add a promotion."""
        promotion = Promotion.model_validate_json(value)
        self._promotions[promotion.promotion_id] = promotion
        self._version += 1

    def count(self, topic: Topic, values: Sequence[bytes], last_ms: int) -> None:
        """Count messages of a topic up to a moment; the view must have polled since the last call."""
        state, partition = self._topics[topic], Partition(topic, 0)
        events, rejected = read_columns(topic, list(values), self._numbers, self._settings.currency)
        in_time = events.ts <= LATEST_MS
        if not in_time.all():
            self._totals[f"rejected,{topic},"] += int((~in_time).sum())
            events = events.take(np.flatnonzero(in_time))
        is_new = state.seen.first_seen(events.ids)
        self._totals[f"duplicates,{topic},"] += len(events) - int(is_new.sum())
        self._totals[f"rejected,{topic},"] += len(rejected)
        self._totals[f"events,{topic},"] += int(is_new.sum())
        if not is_new.all():
            events = events.take(np.flatnonzero(is_new))
        folded, joined = fold(events, self._numbers), self._joined(events)
        delta = replace(folded, cells=merge_cells([folded.cells, joined.repeats]), shipping=joined.delta)
        if len(events):
            oldest_ms, newest_ms = int(events.ts.min()), int(events.ts.max())
            state.seen.add(events.ids, oldest_ms, newest_ms)
            state.seen.forget_before(newest_ms)
            moves_ms = newest_not_ahead(events.ts, EventTimeBounds(None, None, None, now_ms=last_ms))
            if moves_ms is not None:
                state.newest_ms = max(state.newest_ms or 0, moves_ms)
                state.last_counted_ms = last_ms
        self._log[partition] = LogEntry(state.position, state.position + len(values), delta)
        state.position += len(values)
        for level in self._levels:
            for start, part in level.blocks(delta):
                self._put((level.name, start), partition, part)

    def passed(self, now_ms: int, looked_s: int) -> None:
        """Advance the clock; all messages until now are counted. `looked_s`: end of the seconds already read."""
        self._now_ms = now_ms
        oldest_s = looked_s - _SECONDS_KEPT_S
        for block in [block for block in self._parts if block[0] == SECONDS and block[1] < oldest_s]:
            del self._parts[block]

    def _joined(self, events: Columns) -> OrderChanges:
        order_facts = events.order_facts.by_order()
        changes = join(
            order_facts, {key: self._records.get(key) for key in order_facts.facts}, self._limits, self._numbers
        )
        self._records.update({change.key: change.after for change in changes.changes})
        return changes

    def _put(self, block: BlockId, partition: Partition, part: PaneDelta) -> None:
        parts = self._parts[block]
        parts.append((partition, part))
        if len(parts) > _TOGETHER:
            self._parts[block] = [(partition, merge([delta for _, delta in parts]))]

    # Reading ---------------------------------------------------------------------------------------------------------

    def with_rows(self, rows: RowIndex) -> MemoryStore:
        """Number rows with this index from now on. Raises SalepulseError once messages were counted."""
        if len(self._numbers):
            raise SalepulseError("this recording has more values of all scopes than a rehearsal can hold: take a part")
        self._numbers = rows
        return self

    async def state(self) -> StoreState:
        """Positions of the topics."""
        return StoreState(
            ("memory",),
            {
                Partition(topic, 0): PartitionState(
                    counted.position, counted.position, counted.newest_ms, counted.last_counted_ms, self._now_ms, 0
                )
                for topic, counted in self._topics.items()
            },
            self._version,
        )

    async def model(self) -> Model | None:
        """The model that messages are counted by."""
        return self._numbers.model

    async def promotions(self) -> dict[str, Promotion]:
        """Promotions by id."""
        return dict(self._promotions)

    async def retained_spans(self) -> RetainedSpans:
        """All spans: only seconds that the view has already read are deleted."""
        return NO_RETAINED_SPANS

    async def log(self, after: Mapping[Partition, int]) -> dict[Partition, list[LogEntry]]:
        """The last delta of each partition."""
        return {partition: [self._log[partition]] for partition in after}

    async def blocks(self, wanted: Sequence[BlockId], partitions: Iterable[Partition]) -> dict[BlockId, StoredBlock]:
        """The parts of blocks."""
        rolled = {partition: self._topics[Topic(partition.topic)].position for partition in partitions}
        return {block: StoredBlock(list(self._parts.get(block, ())), rolled) for block in wanted}

    async def starts(self, level: str) -> set[int]:
        """Starts of the blocks of a level."""
        return {start for name, start in self._parts if name == level}

    async def totals(self) -> dict[str, int]:
        """Counts of events, duplicates and rejections."""
        return dict(self._totals)
