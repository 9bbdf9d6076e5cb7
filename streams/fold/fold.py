"""Folds a batch of events into a `PaneDelta`, by the plan of the model.

Each event counts in one row per dimension in which it has a value; these (event, row) pairs are processed as arrays.
Definitions: the metric dictionary, section "counter".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.topics import Topic
from streams.dictionary.types import Dimension
from streams.fold.columns import Columns
from streams.fold.delta import ZERO, PaneDelta
from streams.fold.plan import (
    COUNTED,
    NO_SLOT,
    TYPE_NAMES,
    CountingPlan,
    DistinctGroup,
    RowCondition,
    Selection,
    plan_of,
)
from streams.fold.reading import Bools
from streams.panes.arrays import NO_INTS, Ints, places, radix_order, unique_inverse
from streams.panes.cells import Cells
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


def fold(events: Columns, rows: RowIndex) -> PaneDelta:
    """The contribution of events to the panes."""
    if not len(events):
        return ZERO
    plan = plan_of(rows.model, events.topic)
    stock = EMPTY_LEDGER
    if events.topic is Topic.ORDERS:
        stock = ledger_of_orders(events, rows)
    elif events.topic is Topic.LOGISTICS:
        stock = ledger_of_logistics(events, rows)
    counted = plan.is_counted[events.types]
    if not counted.all():
        events = events.take(np.flatnonzero(counted))
        if not len(events):
            return PaneDelta(stock=stock)
    folding = _Folding(events, plan, rows)
    return PaneDelta(folding.cells(), folding.sketches(), stock=stock)


@dataclass(frozen=True, slots=True)
class _Selected:
    """Events of a selection, at least one."""

    mask: Bools | None
    """None: all."""
    events: Ints


class _Folding:
    """Folds one batch of at least one event."""

    def __init__(self, events: Columns, plan: CountingPlan, rows: RowIndex) -> None:
        self._events, self._plan, self._rows = events, plan, rows
        self._seconds = events.ts // 1000
        self._present = [i for i, dimension in enumerate(plan.dimensions) if dimension.name in events.rows_of]
        self._selected: dict[int, _Selected | None] = {}

    def _select(self, index: int) -> _Selected | None:
        """The events of a selection; None without any."""
        if index not in self._selected:
            mask = _mask(self._plan.selections[index], self._events, self._rows)
            found = np.arange(len(self._events)) if mask is None else np.flatnonzero(mask)
            self._selected[index] = _Selected(mask, found) if len(found) else None
        return self._selected[index]

    def cells(self) -> Cells:
        """The counters, in panes of 1 s."""
        events, plan, lines = self._events, self._plan, self._events.lines
        n = len(events)
        rows_of = [events.rows_of[plan.dimensions[i].name] for i in self._present]
        events_of = [np.flatnonzero(rows >= 0) for rows in rows_of]
        row_of = [rows[found] for rows, found in zip(rows_of, events_of, strict=True)]
        with_source = np.flatnonzero(events.numbers["source_row"] >= 0)
        event = np.concatenate([*events_of, lines.event, with_source])
        row = np.concatenate([*row_of, lines.row, events.numbers["source_row"][with_source]])
        seconds, second_of = places(self._seconds)
        size = len(self._rows)
        codes, place = unique_inverse(second_of[event] * size + row, len(seconds) * size)

        width = len(plan.counter_ids)
        place *= width
        slots_of = plan.type_slots[events.types]
        counted = place + slots_of[event]
        if (slots_of == NO_SLOT).any():
            counted = counted[slots_of[event] != NO_SLOT]
        sums = np.bincount(counted, minlength=len(codes) * width)

        first_of_line = sum(map(len, events_of))
        place_of = _table(events_of, place, n)
        for group in plan.counters:
            selected = self._select(group.selection)
            if selected is None:
                continue
            if group.by_line:
                chosen = _lines_of(selected, events, group.dimensions, plan)
                at = place[first_of_line + chosen]
                numbers, event_of = lines.numbers, chosen
            else:
                at, event_of = self._pairs(place_of, selected.events, group.dimensions)
                numbers = events.numbers
            for term_slot, name in group.terms:
                if name == COUNTED:
                    np.add.at(sums, at + term_slot, 1)
                elif name in numbers:
                    np.add.at(sums, at + term_slot, numbers[name][event_of])
        indexes = np.flatnonzero(sums)
        pair, slots = np.divmod(indexes, width)
        second, row_of_pair = np.divmod(codes[pair], size)
        return Cells(pane_keys(seconds[second], row_of_pair, plan.counter_ids[slots]), sums[indexes])

    def _pairs(self, table: Ints, chosen: Ints, dimensions: frozenset[int]) -> tuple[Ints, Ints]:
        """The entries, >= 0, of some events in some dimensions, and the event of each.

        `table`: # [present dimension, event]
        """
        here = [i for i, dimension in enumerate(self._present) if dimension in dimensions]
        part = table[:, chosen] if len(here) == len(table) else table[here][:, chosen]
        flat = part.ravel()
        event = np.concatenate([chosen] * len(here)) if here else NO_INTS
        if (flat >= 0).all():
            return flat, event
        given = np.flatnonzero(flat >= 0)
        return flat[given], event[given]

    def sketches(self) -> Sketches:
        """The distinct counts."""
        parts = [part for group in self._plan.distincts for part in self._sketches_of(group)]
        return merge_disjoint(parts) if parts else NO_SKETCHES

    def _sketches_of(self, group: DistinctGroup) -> list[Sketches]:
        selected = self._select(group.selection)
        if selected is None:
            return []
        events, plan, lines = self._events, self._plan, self._events.lines
        chosen, n = selected.events, len(selected.events)
        seconds = self._seconds[chosen]
        present = [i for i in self._present if i in group.dimensions]
        table = [events.rows_of[plan.dimensions[i].name][chosen] for i in present]
        found = [np.flatnonzero(row >= 0) for row in table]
        starts = [_starts(seconds, plan.dimensions[i])[at] for i, at in zip(present, found, strict=True)]
        rows = [row[at] for row, at in zip(table, found, strict=True)]
        of_line = _lines_of(selected, events, group.line_dimensions, plan) if group.line_dimensions else NO_INTS
        if len(of_line):
            line_seconds, dimension = self._seconds[lines.event[of_line]], lines.dimension[of_line]
            steps = np.array([_step_s(dimension) for dimension in plan.line_dimensions])[dimension]
            starts.append(line_seconds - line_seconds % steps)
            rows.append(lines.row[of_line])
        start, row = np.concatenate(starts), np.concatenate(rows)
        if not len(row):
            return []
        panes, pane_of = places(start)
        size = len(self._rows)
        codes, place = unique_inverse(pane_of * size + row, len(panes) * size)
        pane, row_of_group = np.divmod(codes, size)
        first_of_line = sum(map(len, found))
        place_of = _table(found, place, n)
        sketches = []
        for distinct_id, name in group.terms:
            entries = register_entries(events.hashes[name])
            by_register = radix_order(entries[chosen] >> RANK_BITS, REGISTERS)
            flat = place_of[:, by_register].ravel()
            entry = np.concatenate([entries[chosen[by_register]]] * len(found)) if found else NO_INTS
            if not (flat >= 0).all():
                given = np.flatnonzero(flat >= 0)
                flat, entry = flat[given], entry[given]
            if len(of_line):
                line_entries = entries[lines.event[of_line]]
                order = radix_order(line_entries >> RANK_BITS, REGISTERS)
                flat = np.concatenate((flat, place[first_of_line:][order]))
                entry = np.concatenate((entry, line_entries[order]))
            sketches.append(sketches_from(pane_keys(panes[pane], row_of_group, distinct_id), flat, entry))
        return sketches


def _table(events_of: Sequence[Ints], place: Ints, n: int) -> Ints:
    """The places of (event, row) pairs, which are by dimension: [dimension, event], -1 without a row."""
    table = np.full((len(events_of), n), -1)
    first = 0
    for of_dimension, found in zip(table, events_of, strict=True):
        of_dimension[found] = place[first : first + len(found)]
        first += len(found)
    return table


def _lines_of(selected: _Selected, events: Columns, dimensions: frozenset[int], plan: CountingPlan) -> Ints:
    """The lines of the selected events in some dimensions."""
    lines = events.lines
    taken = np.ones(len(lines.event), np.bool_) if selected.mask is None else selected.mask[lines.event]
    if len(dimensions) < len(plan.line_dimensions):
        taken = taken & np.isin(lines.dimension, list(dimensions))
    chosen: Ints = np.flatnonzero(taken)
    return chosen


def _step_s(dimension: Dimension) -> int:
    return COARSE_DISTINCTS_STEP_S if dimension.coarse_distincts else DISTINCTS_STEP_S["s"]


def _starts(seconds: Ints, dimension: Dimension) -> Ints:
    """Start of the distinct counts' pane of each second."""
    return seconds - seconds % _step_s(dimension)


def _mask(selection: Selection, events: Columns, rows: RowIndex) -> Bools | None:
    """Which events a selection takes; None: all."""
    names = TYPE_NAMES[events.topic]
    mask: Bools | None = None
    if len(selection.types) < len(names):
        mask = np.array([name in selection.types for name in names])[events.types]
    for part in (_has(selection.given, events), *(_fits(condition, events, rows) for condition in selection.where)):
        if part is not None:
            mask = part if mask is None else mask & part
    return mask


def _has(name: str, events: Columns) -> Bools | None:
    """Which events have a field; None: all."""
    if not name or name in events.given:
        return events.given[name] if name else None
    return None if name in events.numbers or name in events.hashes else np.zeros(len(events), np.bool_)


def _fits(condition: RowCondition, events: Columns, rows: RowIndex) -> Bools:
    """Which events a condition takes."""
    wanted: Sequence[int]
    if condition.of_dimension:
        found = events.rows_of.get(condition.name)
        numbered = (rows.find(condition.name, label) for label in condition.labels)
        wanted = [row for row in numbered if row is not None]
        absent = None if found is None else found < 0
    else:
        found, wanted = events.numbers.get(condition.name), condition.numbers
        given = events.given.get(condition.name)
        absent = None if given is None else ~given
    if found is None:
        return np.full(len(events), condition.absent_fits)
    fits: Bools = found == wanted[0] if len(wanted) == 1 else np.isin(found, wanted)
    if condition.negated:
        fits = ~fits
    if absent is not None:
        fits[absent] = condition.absent_fits
    return fits


def ledger_of_orders(events: Columns, rows: RowIndex) -> Ledger:
    """Units that orders reserve and release, and units paid under a promotion."""
    lines = events.lines
    sign = events.is_type("order_cancelled").astype(np.int64) - events.is_type("order_created")
    paid = events.is_type("order_paid") & (events.row_of(Scope.PROMOTION) >= 0)
    relevant = (sign != 0) | paid
    if not relevant.any():
        return EMPTY_LEDGER
    of_sku = np.flatnonzero(relevant[lines.event] & rows.mask(Scope.SKU)[lines.row])
    event, units = lines.event[of_sku], lines.numbers["units"][of_sku]
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
    pairs = pair_codes(
        _numbers(events.row_of(Scope.SKU)[relevant], rows, rows.stock.skus), events.numbers["stock_warehouse"][relevant]
    )
    amounts = np.where(received, events.number("qty"), events.number("delta"))[relevant]
    level, ts = levels[relevant], events.ts[relevant]
    return Ledger(
        sum_entries(pairs[~level], ts[~level], amounts[~level]),
        min_entries(pairs[level], ts[level], events.number("on_hand")[relevant][level]),
    )


def _numbers(row: Ints, rows: RowIndex, numbering: Numbering) -> Ints:
    """The ledger's numbers of the values of rows."""
    used, index_of = unique_inverse(row, len(rows))
    return np.array([numbering[rows.labels[used_row][1]] for used_row in used.tolist()], np.int64)[index_of]
