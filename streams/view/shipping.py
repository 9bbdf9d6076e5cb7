"""Inputs of the shipping KPIs, at any as-of.

Sums over the window move like other windows. States (unshipped, overdue) need two more sums, which all windows share;
see `streams.shipping.expansion` for the formula.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.model.windows import Pieces, Span, in_panes
from streams.panes.arrays import Ints
from streams.panes.cells import merge_cells, nonzero
from streams.panes.counters import DAY_S, HOUR_S
from streams.panes.rows import RowIndex
from streams.shipping.counters import N_SHIPPING_COUNTERS, SHIPPING_SUM_NAMES, ShippingCounter
from streams.shipping.delta import ShippingDelta, merge_corrections, merge_shipping
from streams.shipping.expansion import ShippingLimits
from streams.store.levels import PaneLevel
from streams.view.blocks import Blocks, move_sum
from streams.view.row_history import SHIPPING_COLUMNS, RowHistory
from streams.view.sums import RowSums, ShipmentIntervalSum, correction_sums

SHIPMENT_INTERVAL_LEVELS = (("ship_s", 1), ("ship_m", 60), ("ship_h", HOUR_S))
WAIT_LEVELS = (("wait_s", 1), ("wait_d", DAY_S))
"""Levels and their panes' lengths in seconds, finest first."""
_MAX_SUMS = 32
"""Maximum number of running sums of windows."""
_STATES = (ShippingCounter.UNSHIPPED, ShippingCounter.OVERDUE)
_STATE_NAMES = tuple(state.sum_name for state in _STATES)
EMPTY_SPAN = Span(0, 0)

WindowKey = tuple[str, str | None]
"""A window, and the promotion that it covers."""


@dataclass(frozen=True, slots=True)
class ShippingWindow:
    """A window at an as-of."""

    covered_span: Span
    as_of_s: int
    finest: int
    """Index in `SHIPMENT_INTERVAL_LEVELS` of the finest level kept."""
    key: WindowKey | None
    """Key of the running sum; None: not at the newest as-of."""
    coarsest: int = 2
    """Index of the coarsest level kept."""
    states: bool = True
    """Whether the inputs of states are kept; windows of promotions outlive them."""


class ShippingView:
    """Keeps the sums of shipment intervals current."""

    def __init__(self, blocks: Blocks, limits: ShippingLimits) -> None:
        self._blocks = blocks
        self._limits = limits
        self._windows: OrderedDict[WindowKey, ShipmentIntervalSum] = OrderedDict()
        self._changes = RowSums()
        """Changes of states from the newest as-of on."""
        self._waiting = RowSums()

    def correct(self, deltas: Sequence[ShippingDelta]) -> None:
        """Add deltas to all sums that are kept current."""
        applied = merge_shipping(deltas)
        if applied:
            for window in self._windows.values():
                window.apply(applied)
            self._changes.correct(applied.sums)
            self._waiting.correct(applied.waiting)

    async def window(self, at: ShippingWindow, require_kept: Callable[[Pieces], None]) -> ShipmentIntervalSum:
        """Sums over a window. `require_kept`: raises if panes have expired."""
        window = ShipmentIntervalSum() if at.key is None else self._kept(at.key)
        levels, blocks = SHIPMENT_INTERVAL_LEVELS[at.finest : at.coarsest + 1], self._blocks
        while True:
            steps = list(window.steps_at(at.as_of_s, at.covered_span))
            pieces = [piece for sign, part in steps if sign for piece in in_panes(part, levels)]
            require_kept(pieces)
            if not await blocks.ensure(blocks.block_ids(pieces)):
                break  # no await, so the steps are still valid
        window.move_to(at.as_of_s)
        for sign, part in steps:
            part_pieces = in_panes(part, levels) if sign else []
            window.take_all(sign, blocks.shipping_sums(part_pieces), blocks.corrections(part_pieces))
        window.span = at.covered_span
        return window

    async def states(self, at: ShippingWindow, newest_s: int) -> tuple[RowSums, ...]:
        """Changes of states and the waiting orders; none where they are not kept. `newest_s`: newest event time."""
        if not at.states:
            return ()
        changes_span, waiting_span = self._state_spans(at.as_of_s, newest_s)
        changes, waiting = (RowSums(), RowSums()) if at.key is None else (self._changes, self._waiting)
        levels, blocks = SHIPMENT_INTERVAL_LEVELS[at.finest :], self._blocks
        await move_sum(changes, changes_span, levels, blocks, blocks.shipping_sums)
        await move_sum(waiting, waiting_span, WAIT_LEVELS, blocks, blocks.waiting)
        return changes, waiting

    async def falling_due(self, as_of_s: int, hours: int, row: int) -> list[tuple[int, int]]:
        """See `ResolvedShippingQuery`. Uses all events, so it is right at the newest as-of only."""
        limit_s, blocks = self._limits.overdue_ms // 1000, self._blocks
        pieces = [("wait_s", Span(max(0, as_of_s - limit_s), max(0, as_of_s - limit_s + hours * HOUR_S)))]
        while await blocks.ensure(blocks.block_ids(pieces)):
            pass
        cells = nonzero(merge_cells([part.of_row(row) for part in blocks.waiting(pieces)]))
        return list(zip((cells.panes + limit_s).tolist(), cells.amounts.tolist(), strict=True))

    async def series(
        self,
        moments: Sequence[ShippingWindow],
        newest_s: int,
        levels: Sequence[PaneLevel],
        row: Callable[[], int | None],
        pieces: Callable[[Span], Pieces],
    ) -> Ints:
        """Counters of one row at many windows and as-ofs: [index in `moments`, counter].

        `row`: see `RowHistory`. `pieces`: the panes of a span; raises if they have expired.
        """
        blocks = self._blocks
        sums = RowHistory(blocks, levels, row, SHIPPING_COLUMNS, blocks.shipping_sums)
        windowed = await sums.counters([at.covered_span for at in moments], pieces)
        spans = [self._state_spans(at.as_of_s, newest_s) if at.states else (EMPTY_SPAN, EMPTY_SPAN) for at in moments]
        changes = await sums.counters(
            [changes for changes, _ in spans], lambda span: in_panes(span, SHIPMENT_INTERVAL_LEVELS)
        )
        history = RowHistory(blocks, levels, row, SHIPPING_COLUMNS, blocks.waiting)
        waiting = await history.counters([waiting for _, waiting in spans], lambda span: in_panes(span, WAIT_LEVELS))
        whole = Span(min(at.covered_span.start_s for at in moments), max(at.covered_span.end_s for at in moments))
        whole_pieces = pieces(whole)
        while await blocks.ensure(blocks.block_ids(whole_pieces)):
            pass
        row_number = row()
        parts = () if row_number is None else (part.of_row(row_number) for part in blocks.corrections(whole_pieces))
        corrections = merge_corrections(list(parts))
        corrected = np.array([correction_sums(corrections, at.covered_span, at.as_of_s) for at in moments])
        windowed, corrected, changes, waiting = (
            counters[:, :N_SHIPPING_COUNTERS] for counters in (windowed, corrected, changes, waiting)
        )
        return _with_states(windowed + corrected, changes, waiting)

    def _state_spans(self, as_of_s: int, newest_s: int) -> tuple[Span, Span]:
        """Spans of the inputs of states: changes from the as-of on, and waiting orders by payment within the horizon.

        Both end after the newest event, the first later by the limit, so that they hold the same orders.
        """
        end_s = (max(newest_s, as_of_s) // DAY_S + 2) * DAY_S
        last_s = -(-(end_s + self._limits.overdue_ms // 1000 + 1) // HOUR_S) * HOUR_S
        return Span(as_of_s, last_s), Span(max(0, as_of_s - self._limits.horizon_s), end_s)

    def _kept(self, key: WindowKey) -> ShipmentIntervalSum:
        kept = self._windows.setdefault(key, ShipmentIntervalSum())
        self._windows.move_to_end(key)
        if len(self._windows) > _MAX_SUMS:
            self._windows.popitem(last=False)[1].span = EMPTY_SPAN  # no longer corrected, so its holder must start over
        return kept


@dataclass(frozen=True, slots=True)
class ResolvedShippingQuery:
    """Shipping at one as-of; it does not change when the view polls."""

    view: ShippingView
    at: ShippingWindow
    newest_s: int
    rows: RowIndex
    require_kept: Callable[[Pieces], None]

    async def sums(self, rows: Ints) -> Ints:
        """`ShippingCounter` counters of rows, sums over the window; UNSHIPPED, OVERDUE at its end: [row, counter]."""
        window, states = await self._current()
        return _with_states(window.of(rows), *(state.of(rows) for state in states))

    async def total(self, rows: Ints) -> Ints:
        """`sums` added up over these rows, which are distinct: [1, counter]."""
        window, states = await self._current()
        return _with_states(window.total(rows), *(state.total(rows) for state in states))

    async def windowed(self, rows: Ints) -> Ints:
        """Sums of rows over the window only, for rows of histograms: [row, counter]."""
        return (await self.view.window(self.at, self.require_kept)).of(rows)

    async def unshipped(self, hours_ago: int, row: int) -> int:
        """Number of a row's orders that waited for shipment `hours_ago` hours before the as-of."""
        as_of_s = self.at.as_of_s - hours_ago * HOUR_S
        earlier = replace(self, at=ShippingWindow(EMPTY_SPAN, as_of_s - as_of_s % 60, 1, None))
        return int((await earlier.sums(np.array([row], np.int64)))[0, ShippingCounter.UNSHIPPED])

    async def falling_due(self, hours: int, row: int) -> list[tuple[int, int]]:
        """# (second at which orders fall due, how many wait now), for the next hours"""
        return await self.view.falling_due(self.at.as_of_s, hours, row)

    async def _current(self) -> tuple[ShipmentIntervalSum, tuple[RowSums, ...]]:
        window = await self.view.window(self.at, self.require_kept)
        return window, await self.view.states(self.at, self.newest_s)


def named_sums(counters: Sequence[int], at: ShippingWindow) -> dict[str, int]:
    """Inputs of KPI formulas from the counters of a row; without states where these have expired."""
    sums = dict(zip(SHIPPING_SUM_NAMES, counters, strict=False))
    return sums if at.states else {name: count for name, count in sums.items() if name not in _STATE_NAMES}


def _with_states(windowed: Ints, *states: Ints) -> Ints:
    """`states`: changes and waiting orders; none where they are not kept."""
    if not states:
        return windowed
    sums, (changes, waiting) = windowed.copy(), states
    for state in _STATES:
        sums[:, state] = waiting[:, ShippingCounter.WAITING] - changes[:, state]
    return sums
