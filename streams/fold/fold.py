"""Folds a batch of events into a `PaneDelta`.

Each event counts in one row per scope in which it has a value; these (event, row) pairs are processed as arrays.
Definitions: the metric dictionary, section "counter".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers.dedup import Hashes
from consumers.topics import Topic
from streams.fold.columns import Columns, OrderLines
from streams.fold.delta import ZERO, PaneDelta
from streams.fold.plan import LINE_FORMS, NO_COUNTER, Bools, Plan, plan_of
from streams.panes.arrays import Ints, places, radix_order, unique_inverse
from streams.panes.cells import Cells, cells_from, merge_cells
from streams.panes.counters import COARSE_DISTINCTS_STEP_S, DISTINCTS_STEP_S
from streams.panes.keys import pane_keys
from streams.panes.rows import Numbering, RowIndex
from streams.panes.scopes import Scope
from streams.panes.sketches import (
    NO_SKETCHES,
    RANK_BITS,
    REGISTERS,
    Sketches,
    merge_disjoint,
    register_entries,
    sketches_from,
)
from streams.stock.ledger import EMPTY_LEDGER, Ledger, min_entries, pair_codes, sum_entries

SALES_STEP_MS = 1000
"""Resolution of sales: the as-of moves in whole seconds."""


@dataclass(slots=True)
class _Pairs:
    """(event, row) pairs as parallel arrays."""

    event: Ints
    row: Ints
    n_whole: int
    """The pairs of whole events come first; the others are of order lines, in the order of `Columns.lines`."""

    def where(self, chosen: Bools) -> _Pairs:
        return _Pairs(self.event[chosen], self.row[chosen], int(chosen[: self.n_whole].sum()))


def fold(events: Columns, rows: RowIndex) -> PaneDelta:
    """The contribution of events to the panes."""
    if not len(events):
        return ZERO
    stock = EMPTY_LEDGER
    if events.topic is Topic.ORDERS:
        stock = ledger_of_orders(events, rows)
    elif events.topic is Topic.LOGISTICS:
        stock = ledger_of_logistics(events, rows)
    plan = plan_of(rows.model, events.topic)
    counted = plan.counted[events.types]
    if not counted.any():
        return PaneDelta(stock=stock)
    if not counted.all():
        events = events.take(np.flatnonzero(counted))
    pairs = _pairs(events.table, events.lines)
    return PaneDelta(_counted(events, pairs, plan, rows), _distinct_counts(events, pairs, plan, rows), stock=stock)


def _counted(events: Columns, pairs: _Pairs, plan: Plan, rows: RowIndex) -> Cells:
    """Sums of the counters, and the number of events per type and source."""
    slots = plan.slot_of_type[events.types]
    cells = _count(events, pairs, [*_by_type(slots, pairs), *_by_term(events, pairs, plan, rows)], plan, rows)
    with_source = np.flatnonzero((events.numbers["source_row"] >= 0) & (slots != NO_COUNTER))
    if not len(with_source):
        return cells
    by_source = _Pairs(with_source, events.numbers["source_row"][with_source], len(with_source))
    return merge_cells([cells, _count(events, by_source, [*_by_type(slots, by_source)], plan, rows)])


def _by_type(slots: Ints, pairs: _Pairs) -> Iterator[tuple[Ints, Ints]]:
    """The counters that the type alone decides."""
    of_pair = slots[pairs.event]
    counts = of_pair != NO_COUNTER
    if counts.any():
        yield np.maximum(of_pair, 0), counts.astype(np.int64)


def _by_term(events: Columns, pairs: _Pairs, plan: Plan, rows: RowIndex) -> Iterator[tuple[Ints, Ints]]:
    """The other counters."""
    masks: dict[int, Bools] = {}
    for term in plan.terms:
        chosen = masks.get(id(term.chosen))
        if chosen is None:
            chosen = masks[id(term.chosen)] = term.chosen.mask(events.types, events.numbers)
        amounts = events.numbers[term.value] * chosen if term.value else chosen.astype(np.int64)
        if not (chosen if term.value in LINE_FORMS else amounts).any():  # lines may be worth more than their order
            continue
        of_pair = amounts[pairs.event]
        if term.value and len(of_pair) > pairs.n_whole:
            in_lines, name = pairs.event[pairs.n_whole :], LINE_FORMS.get(term.value)
            of_pair[pairs.n_whole :] = getattr(events.lines, name) * chosen[in_lines] if name else 0
        if term.scope_ids is not None:
            of_pair = of_pair * term.scope_ids[_scope_ids(rows)[pairs.row]]
        yield np.full(len(of_pair), term.slot), of_pair


def _distinct_counts(events: Columns, pairs: _Pairs, plan: Plan, rows: RowIndex) -> Sketches:
    sketches = []
    for terms in plan.distincts:
        chosen = terms.chosen.mask(events.types, events.numbers)
        if chosen.any():
            exists = terms.scope_ids[_scope_ids(rows)[pairs.row]]
            hashes = {counter: _HASHES[field](events) for counter, field in terms.fields.items()}
            sketches += _sketch(events, pairs.where(chosen[pairs.event] & exists), hashes, rows)
    return merge_disjoint(sketches) if sketches else NO_SKETCHES


_HASHES: Mapping[str, Callable[[Columns], Hashes]] = {
    "user_id": lambda events: events.users,
    "session_id": lambda events: events.sessions,
}


def _scope_ids(rows: RowIndex) -> npt.NDArray[np.uint8]:
    """# [row]: id of its dimension"""
    return np.frombuffer(bytes(rows.scope_ids), np.uint8)


def _pairs(table: Ints, lines: OrderLines) -> _Pairs:
    """The pairs of a `Columns.table`, by scope, then in order of the events; then those of order lines."""
    events_of = [np.flatnonzero(of_scope >= 0) for of_scope in table]
    rows_of = [of_scope[event_indexes] for of_scope, event_indexes in zip(table, events_of, strict=True)]
    event = np.concatenate([*events_of, lines.event])
    return _Pairs(event, np.concatenate([*rows_of, lines.row]), len(event) - len(lines.event))


def _count(events: Columns, pairs: _Pairs, measures: Sequence[tuple[Ints, Ints]], plan: Plan, rows: RowIndex) -> Cells:
    """Sums of (place in the plan, amount) measures, each parallel to the pairs, in panes of 1 s."""
    panes, row, index_of = _distinct((events.ts // 1000)[pairs.event], pairs.row, len(rows))
    return cells_from(panes, row, index_of, measures, plan.counter_ids)


def _sketch(events: Columns, pairs: _Pairs, hashes: Mapping[int, Hashes], rows: RowIndex) -> list[Sketches]:
    """Distinct counts by their id."""
    if not len(pairs.event):
        return []
    seconds = (events.ts // 1000)[pairs.event]
    steps = np.where(rows.coarse_distincts(), COARSE_DISTINCTS_STEP_S, DISTINCTS_STEP_S["s"])[pairs.row]
    panes, row, index_of = _distinct(seconds - seconds % steps, pairs.row, len(rows))
    sketches = []
    for counter, hashed in hashes.items():
        entries = register_entries(hashed)[pairs.event]
        by_register = radix_order(entries >> RANK_BITS, REGISTERS)
        table = pane_keys(panes, row, counter)
        sketches.append(sketches_from(table, index_of[by_register], entries[by_register]))
    return sketches


def _distinct(starts: Ints, row: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """The distinct (start, row) pairs, sorted, as two arrays, and the index of each pair among them."""
    panes, pane_of = places(starts)
    codes, index_of = unique_inverse(pane_of * size + row, len(panes) * size)
    pane, row = np.divmod(codes, size)
    return panes[pane], row, index_of


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
