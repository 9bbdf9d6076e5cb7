"""What a view has read since it last began anew: blocks, how far each log was followed, and what is kept moving."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from streams.fold.delta import PaneDelta
from streams.model.windows import Span, Window
from streams.panes.rows import Rows
from streams.shipping.expansion import Limits
from streams.store.kept import NOTHING_KEPT
from streams.store.levels import STOCK, STOCK_SALES, Level
from streams.store.reader import PaneReader
from streams.store.state import State
from streams.view.blocks import Blocks
from streams.view.journal import Journal
from streams.view.live_distincts import LiveDistincts
from streams.view.retention import Retention
from streams.view.shipping import ShippingView
from streams.view.stock import StockView
from streams.view.sums import WindowSum

_MAX_SUMS = 64
_MAX_SUMS_BYTES = 300_000_000

SumKey = tuple[Window, str | None]
"""A window, and the promotion whose time it is."""


class Followed:
    """One unbroken stretch of following. It ends when Redis is another, or a log is no longer long enough."""

    def __init__(
        self,
        reader: PaneReader,
        levels: Sequence[Level],
        rows: Rows,
        state: State,
        stock_keep_ms: int | None,
        limits: Limits,
    ) -> None:
        self.reader = reader
        self.rows = rows
        self.state = state
        self.blocks = Blocks(reader, levels, state.partitions)
        self._journal = Journal(reader, self.blocks, [level for level in levels if level.name in (STOCK, STOCK_SALES)])
        self.stock = StockView(self._journal, stock_keep_ms)
        self.shipping = ShippingView(self.blocks, limits)
        self._cursors = {partition: held.rolled or 0 for partition, held in state.partitions.items()}
        self._sums: OrderedDict[SumKey, WindowSum] = OrderedDict()
        self.distincts = LiveDistincts(self.blocks)
        self.retention = Retention.of(levels, (), NOTHING_KEPT)
        """Which panes there still are, as of the last poll."""

    @property
    def newest_s(self) -> int:
        """Event time of the newest event there is."""
        return max((held.newest_ms or 0 for held in self.state.partitions.values()), default=0) // 1000

    def goes_on(self, state: State) -> bool:
        """Whether this state is a later one of the same store and partitions."""
        return state.epochs == self.state.epochs and state.partitions.keys() == self._cursors.keys()

    async def take_in(self, state: State) -> bool:
        """Follow the logs to a state; False if they no longer reach back to where this stands."""
        behind = {
            partition: self._cursors[partition]
            for partition, held in state.partitions.items()
            if (held.position or 0) != self._cursors[partition]
        }
        logs = await self.reader.log(behind) if behind else {}
        for partition, position in behind.items():
            entries = logs[partition]
            if not entries or entries[0].follows != position:
                return False
        self.blocks.apply(logs, {partition: held.rolled or 0 for partition, held in state.partitions.items()})
        for partition, entries in logs.items():
            self._cursors[partition] = entries[-1].next
        self._correct([entry.delta for entries in logs.values() for entry in entries])
        self.state = state
        return True

    def _correct(self, deltas: Sequence[PaneDelta]) -> None:
        """Bring what is kept moving up to date, as far as it reaches."""
        self._journal.polled([delta.stock for delta in deltas])
        self.shipping.correct([delta.shipping for delta in deltas])
        for window in self._sums.values():
            for delta in deltas:
                window.correct(delta.cells)
        self.distincts.feed([delta.sketches for delta in deltas])

    def kept_sum(self, key: SumKey) -> WindowSum:
        """The sum of a window that ends at the newest as-of, kept while it is asked for."""
        found = self._sums.setdefault(key, WindowSum())
        self._sums.move_to_end(key)
        size = sum(held.size for held in self._sums.values())
        while len(self._sums) > 1 and (len(self._sums) > _MAX_SUMS or size > _MAX_SUMS_BYTES):
            _, dropped = self._sums.popitem(last=False)
            dropped.span = Span(0, 0)  # nobody corrects it any more: who holds it begins anew
            size -= dropped.size
        return found
