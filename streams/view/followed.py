"""The state of a view since it last started from scratch: blocks, log positions, and sums kept current."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from streams.fold.delta import PaneDelta
from streams.model.kpis import numbers_of
from streams.model.windows import Span, Window
from streams.panes.rows import RowIndex
from streams.shipping.expansion import ShippingLimits
from streams.store.levels import STOCK, STOCK_SALES, PaneLevel
from streams.store.reader import PaneSource
from streams.store.retained_spans import NO_RETAINED_SPANS
from streams.store.state import StoreState
from streams.view.blocks import Blocks
from streams.view.live_distincts import LiveDistincts
from streams.view.retention import Retention
from streams.view.shipping import ShippingView
from streams.view.stock import StockView
from streams.view.stock_event_log import StockEventLog
from streams.view.sums import WindowSum, new_window_sum

_MAX_SUMS = 64
"""Maximum number of running sums of windows."""
_MAX_SUMS_BYTES = 300_000_000

SumKey = tuple[Window, str | None]
"""A window, and the promotion that it covers."""


class FollowedState:
    """State built by following the logs without a gap; replaced when Redis is, or when a log was trimmed too far."""

    def __init__(
        self,
        reader: PaneSource,
        levels: Sequence[PaneLevel],
        rows: RowIndex,
        state: StoreState,
        stock_keep_ms: int | None,
        limits: ShippingLimits,
    ) -> None:
        self.reader = reader
        self.rows = rows
        self.numbers = numbers_of(rows.model)
        self.state = state
        self.blocks = Blocks(reader, levels, state.partitions)
        self._event_log = StockEventLog(
            reader, self.blocks, [level for level in levels if level.name in (STOCK, STOCK_SALES)]
        )
        self.stock = StockView(self._event_log, stock_keep_ms)
        self.shipping = ShippingView(self.blocks, limits)
        self._cursors = {partition: held.compacted_to or 0 for partition, held in state.partitions.items()}
        self._sums: OrderedDict[SumKey, WindowSum] = OrderedDict()
        self.distincts = LiveDistincts(self.blocks, rows)
        self.retention = Retention.of(levels, (), NO_RETAINED_SPANS)
        """The panes that still exist, as of the last poll."""

    @property
    def newest_s(self) -> int:
        """Event time of the newest event, seconds."""
        return max((state.newest_ms or 0 for state in self.state.partitions.values()), default=0) // 1000

    def is_continued_by(self, state: StoreState) -> bool:
        """Whether this is a later state of the same store and partitions."""
        return state.epochs == self.state.epochs and state.partitions.keys() == self._cursors.keys()

    async def advance_to(self, state: StoreState) -> bool:
        """Read the logs up to a state; False if a log no longer reaches back to our position."""
        behind = {
            partition: self._cursors[partition]
            for partition, partition_state in state.partitions.items()
            if (partition_state.position or 0) != self._cursors[partition]
        }
        logs = await self.reader.log(behind) if behind else {}
        for partition, position in behind.items():
            entries = logs[partition]
            if not entries or entries[0].start_offset != position:
                return False
        self.blocks.apply(
            logs,
            {partition: partition_state.compacted_to or 0 for partition, partition_state in state.partitions.items()},
        )
        for partition, entries in logs.items():
            self._cursors[partition] = entries[-1].end_offset
        self._correct([entry.delta for entries in logs.values() for entry in entries])
        self.state = state
        return True

    def _correct(self, deltas: Sequence[PaneDelta]) -> None:
        """Add deltas to all sums that are kept current."""
        self._event_log.polled([delta.stock for delta in deltas])
        self.shipping.correct([delta.shipping for delta in deltas])
        for window in self._sums.values():
            for delta in deltas:
                window.correct(delta.cells)
        self.distincts.feed([delta.sketches for delta in deltas])

    def window_sum(self, key: SumKey) -> WindowSum:
        """The sum of a window that ends at the newest as-of, cached."""
        kept = self._sums.setdefault(key, new_window_sum(self.rows.model))
        self._sums.move_to_end(key)
        size = sum(other.size for other in self._sums.values())
        while len(self._sums) > 1 and (len(self._sums) > _MAX_SUMS or size > _MAX_SUMS_BYTES):
            _, dropped = self._sums.popitem(last=False)
            dropped.span = Span(0, 0)  # no longer corrected, so its holder must start over
            size -= dropped.size
        return kept
