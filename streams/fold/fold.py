"""Folds a batch of events into a `PaneDelta`.

Each event counts in one row per scope in which it has a value; these (event, row) pairs are processed as arrays.
Definitions: the metric dictionary, section "counter".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from consumers.dedup import Hashes
from consumers.topics import Topic
from streams.fold.columns import TYPE_NAMES, Columns
from streams.fold.delta import ZERO, PaneDelta
from streams.panes.arrays import Ints, places, radix_order, unique_inverse
from streams.panes.cells import Cells, cells_from, merge_cells
from streams.panes.counters import (
    COUNTER_IDS,
    DISTINCT_IDS,
    DISTINCTS_STEP_S,
    N_COUNTERS,
    SKU_DISTINCTS_STEP_S,
    TYPE_COUNTERS,
)
from streams.panes.rows import Numbering, RowIndex
from streams.panes.scopes import Scope
from streams.panes.sketches import (
    NO_SKETCHES,
    RANK_BITS,
    REGISTERS,
    Sketches,
    group_keys,
    merge_disjoint,
    register_entries,
    sketches_from,
)
from streams.stock.ledger import EMPTY_LEDGER, Ledger, min_entries, pair_codes, sum_entries

SALES_STEP_MS = 1000
"""Resolution of sales: the as-of moves in whole seconds."""
_NO_COUNTER = -1
_COUNTERS_OF = {
    topic: np.array([TYPE_COUNTERS.get(name, _NO_COUNTER) for name in names]) for topic, names in TYPE_NAMES.items()
}
"""# <topic: counter that each event type increments>"""


@dataclass(slots=True)
class _Pairs:
    """(event, row) pairs as parallel arrays."""

    event: Ints
    row: Ints

    def where(self, chosen: Any) -> _Pairs:
        return _Pairs(self.event[chosen], self.row[chosen])


def fold(events: Columns, rows: RowIndex) -> PaneDelta:
    """The contribution of events to the panes."""
    if not len(events):
        return ZERO
    if events.topic is Topic.CLICKS:
        return _fold_clicks(events, rows)
    if events.topic is Topic.ORDERS:
        return _fold_orders(events, rows)
    return _fold_logistics(events, rows)


def _fold_clicks(events: Columns, rows: RowIndex) -> PaneDelta:
    pairs, numbers = _pairs(events.table), events.numbers
    measures = [(_counters(events)[pairs.event], np.ones(len(pairs.event), np.int64))]
    for name in ("dwell_ms", "dwell_events"):
        if numbers[name].any():
            measures.append((_all(name, pairs), numbers[name][pairs.event]))
    if numbers["cost"].any():
        costs = numbers["cost"] * events.is_type("ad_click")
        measures.append((_all("ad_cost", pairs), costs[pairs.event]))
    ids = {"visitors": events.users, "sessions": events.sessions}
    is_impression = events.is_type("ad_impression")  # impressions are no visits
    visits = pairs.where(~is_impression[pairs.event]) if is_impression.any() else pairs
    return PaneDelta(_counted(events, pairs, measures, rows), _sketch(events, visits, ids, rows))


def _fold_orders(events: Columns, rows: RowIndex) -> PaneDelta:
    whole, lines, numbers = _pairs(events.table), events.lines, events.numbers
    pairs = _Pairs(np.concatenate((whole.event, lines.event)), np.concatenate((whole.row, lines.row)))

    def each(of_order: Ints, of_line: Ints | None = None) -> Ints:
        """Per pair: the order's value, or the line's in scopes category and sku."""
        return np.concatenate((of_order[whole.event], of_order[lines.event] if of_line is None else of_line))

    paid = events.is_type("order_paid")[pairs.event]
    refund = numbers["refund_amount"] * events.is_type("order_refunded")
    worth = each(numbers["amount"], lines.worth) * paid
    measures = [
        (_counters(events)[pairs.event], np.ones(len(pairs.event), np.int64)),
        (_all("units", pairs), each(numbers["units"], lines.units) * paid),
        (_all("gmv", pairs), worth),
        (_all("refunds", pairs), each(refund, lines.refund)),
        (_all("discounts", pairs), each(numbers["discount"], np.zeros_like(lines.worth)) * paid),
        (_all("first_orders", pairs), each(numbers["first_order"]) * paid),
        (_all("member_gmv", pairs), each(numbers["member"]) * worth),
        (_all("campaign_gmv", pairs), each(numbers["campaign"]) * worth),
    ]
    buyers = _sketch(events, pairs.where(paid), {"buyers": events.users}, rows)
    return PaneDelta(_counted(events, pairs, measures, rows), buyers, stock=ledger_of_orders(events, rows))


def _fold_logistics(events: Columns, rows: RowIndex) -> PaneDelta:
    returned = events.is_type("return_received")
    counters = np.where(returned, COUNTER_IDS["returned_units"], _counters(events))
    counted = np.flatnonzero(counters != _NO_COUNTER)
    stock = ledger_of_logistics(events, rows)
    if not len(counted):
        return PaneDelta(stock=stock)
    pairs = _pairs(events.table[:, counted])
    amounts = np.where(returned, events.numbers["qty"], 1)[counted]
    measures = [(counters[counted][pairs.event], amounts[pairs.event])]
    return PaneDelta(_counted(events.take(counted), pairs, measures, rows), stock=stock)


def _counters(events: Columns) -> Ints:
    counters: Ints = _COUNTERS_OF[events.topic][events.types]
    return counters


def _pairs(table: Ints) -> _Pairs:
    """The pairs of a `Columns.table`, by scope, then in order of the events."""
    events_of = [np.flatnonzero(of_scope >= 0) for of_scope in table]
    return _Pairs(
        np.concatenate(events_of),
        np.concatenate([of_scope[event_indexes] for of_scope, event_indexes in zip(table, events_of, strict=True)]),
    )


def _counted(events: Columns, pairs: _Pairs, measures: Sequence[tuple[Ints, Ints]], rows: RowIndex) -> Cells:
    """Sums of measures, and the number of events per type and source."""
    with_source = np.flatnonzero(events.numbers["source_row"] >= 0)
    counters = _counters(events)[with_source]
    with_source, counters = with_source[counters != _NO_COUNTER], counters[counters != _NO_COUNTER]
    if not len(with_source):
        return _count(events, pairs, measures, rows)
    by_source = _Pairs(with_source, events.numbers["source_row"][with_source])
    ones = [(counters, np.ones(len(with_source), np.int64))]
    return merge_cells([_count(events, pairs, measures, rows), _count(events, by_source, ones, rows)])


def _count(events: Columns, pairs: _Pairs, measures: Sequence[tuple[Ints, Ints]], rows: RowIndex) -> Cells:
    """Sums of (counter, amount) measures, each parallel to the pairs, in panes of 1 s."""
    panes, row, index_of = _distinct((events.ts // 1000)[pairs.event], pairs.row, len(rows))
    return cells_from(panes, row, index_of, measures, N_COUNTERS)


def _sketch(events: Columns, pairs: _Pairs, ids: Mapping[str, Hashes], rows: RowIndex) -> Sketches:
    """Distinct counts of ids, by name."""
    if not len(pairs.event):
        return NO_SKETCHES
    seconds = (events.ts // 1000)[pairs.event]
    steps = np.where(rows.mask(Scope.SKU), SKU_DISTINCTS_STEP_S, DISTINCTS_STEP_S["s"])[pairs.row]
    panes, row, index_of = _distinct(seconds - seconds % steps, pairs.row, len(rows))
    sketches = []
    for name, hashed in ids.items():
        entries = register_entries(hashed)[pairs.event]
        by_register = radix_order(entries >> RANK_BITS, REGISTERS)
        table = group_keys(panes, row, DISTINCT_IDS[name])
        sketches.append(sketches_from(table, index_of[by_register], entries[by_register]))
    return merge_disjoint(sketches)


def _distinct(starts: Ints, row: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """The distinct (start, row) pairs, sorted, as two arrays, and the index of each pair among them."""
    panes, pane_of = places(starts)
    codes, index_of = unique_inverse(pane_of * size + row, len(panes) * size)
    pane, row = np.divmod(codes, size)
    return panes[pane], row, index_of


def _all(counter: str, pairs: _Pairs) -> Ints:
    return np.full(len(pairs.event), COUNTER_IDS[counter])


def ledger_of_orders(events: Columns, rows: RowIndex) -> Ledger:
    """Units that orders reserve and release, and units paid under a promotion."""
    lines = events.lines
    sign = events.is_type("order_cancelled").astype(np.int64) - events.is_type("order_created")
    paid = events.is_type("order_paid") & (events.row_of(Scope.PROMOTION) >= 0)
    relevant = (sign != 0) | paid
    if not relevant.any():
        return EMPTY_LEDGER
    of_sku = np.flatnonzero(relevant[lines.event] & rows.mask(Scope.SKU)[lines.row])
    event, units = lines.event[of_sku], lines.units[of_sku]
    sku = _numbers(lines.row[of_sku], rows, rows.stock.skus)
    moving_lines, sold_lines = np.flatnonzero(sign[event]), np.flatnonzero(paid[event])
    moves = sum_entries(
        pair_codes(sku[moving_lines], -1),
        events.ts[event[moving_lines]],
        sign[event[moving_lines]] * units[moving_lines],
    )
    if not len(sold_lines):
        return Ledger(moves)
    seller = event[sold_lines]
    promotion = _numbers(events.row_of(Scope.PROMOTION)[seller], rows, rows.stock.promotions)
    sales = sum_entries(pair_codes(sku[sold_lines], promotion), events.ts[seller], units[sold_lines]).rounded(
        SALES_STEP_MS
    )
    return Ledger(moves, sales=sales)


def ledger_of_logistics(events: Columns, rows: RowIndex) -> Ledger:
    """Counts, receipts and adjustments of warehouses."""
    levels, received, adjusted = map(events.is_type, ("stock_level", "stock_received", "stock_adjusted"))
    relevant = np.flatnonzero(levels | received | adjusted)
    if not len(relevant):
        return EMPTY_LEDGER
    numbers = events.numbers
    pairs = pair_codes(
        _numbers(events.row_of(Scope.SKU)[relevant], rows, rows.stock.skus), numbers["stock_warehouse"][relevant]
    )
    amounts = np.where(received, numbers["qty"], numbers["delta"])[relevant]
    level, ts = levels[relevant], events.ts[relevant]
    return Ledger(
        sum_entries(pairs[~level], ts[~level], amounts[~level]),
        min_entries(pairs[level], ts[level], numbers["on_hand"][relevant][level]),
    )


def _numbers(row: Ints, rows: RowIndex, numbering: Numbering) -> Ints:
    """The ledger's numbers of the values of rows."""
    used, index_of = unique_inverse(row, len(rows))
    return np.array([numbering[rows.labels[used_row][1]] for used_row in used.tolist()], np.int64)[index_of]
