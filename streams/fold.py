"""Folding a batch of decoded events into a `PaneDelta`, a column at a time.

An event lands in a row once for each scope that it has a value in: these (event, row) pairs are the unit of work here.
Arrays carry them; only order lines are walked one by one. Definitions: the metric dictionary, section "counter".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import astuple

from consumers.topics import Topic
from streams.arrays import Ints, compact
from streams.counters import COUNTER_IDS, DISTINCT_IDS, N_COUNTERS, TYPE_COUNTERS
from streams.panes import ZERO, Cells, PaneDelta, Sketches, cells_from, group_keys, sketches_from
from streams.rows import Rows
from streams.scopes import FIELDS, LINE_SCOPES, Scope
from streams.sketch import coupons, hashes

DISTINCT_STEP_S = 10
"""Panes of distinct counts are this long."""
SKU_DISTINCT_STEP_S = 600
"""The same in scope `sku`, of which there are many."""

_ORDER_SCOPES = tuple(scope for scope in FIELDS if scope not in LINE_SCOPES)


@dataclass(frozen=True)
class Batch:
    """Events of one topic, in the order they were read."""

    topic: Topic
    events: Sequence[Any]
    """Structs from `consumers.decoding`: attributes named as in the contract, None where absent."""
    amounts: Sequence[int] | None = None
    """Of orders: each one's amount, minor units."""

    @cached_property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """The events field by field."""
        if not self.events:
            return {}
        return dict(zip(self.events[0].__struct_fields__, zip(*map(astuple, self.events), strict=True), strict=True))

    @cached_property
    def ts(self) -> Ints:
        """Event times, epoch ms."""
        return np.array(self.columns["ts"] if self.events else (), np.int64)

    def take(self, chosen: Ints) -> Batch:
        """The events at these places."""
        places = chosen.tolist()
        amounts = None if self.amounts is None else [self.amounts[i] for i in places]
        return Batch(self.topic, [self.events[i] for i in places], amounts)


@dataclass(slots=True)
class _Pairs:
    """(event, row) pairs, parallel arrays."""

    event: Ints
    row: Ints

    def where(self, chosen: Any) -> _Pairs:
        return _Pairs(self.event[chosen], self.row[chosen])


def fold(batch: Batch, rows: Rows) -> PaneDelta:
    """What the events of a batch add to the panes. A (scope, value) pair that is new gets a row in `rows`."""
    if not batch.events:
        return ZERO
    if batch.topic is Topic.CLICKS:
        return _fold_clicks(batch, rows)
    if batch.topic is Topic.ORDERS:
        return _fold_orders(batch, rows)
    return _fold_logistics(batch, rows)


def _fold_clicks(batch: Batch, rows: Rows) -> PaneDelta:
    columns, n = batch.columns, len(batch.events)
    types = _ints(map(TYPE_COUNTERS.__getitem__, columns["type"]), n)
    pairs = _pairs(columns, tuple(FIELDS), rows)
    measures = [(types, np.ones(n, np.int64))]
    dwells = columns["dwell_ms"]
    if dwells.count(None) < n:
        measures.append((_all("dwell_ms", n), _ints((dwell or 0 for dwell in dwells), n)))
        measures.append((_all("dwell_events", n), _ints((dwell is not None for dwell in dwells), n)))
    if columns["cost"].count(None) < n:
        costs = _ints((cost or 0 for cost in columns["cost"]), n)
        measures.append((_all("ad_cost", n), costs * (types == COUNTER_IDS["ad_clicks"])))
    seconds = _seconds(batch)
    drawn = {"visitors": _coupons(columns["user_id"]), "sessions": _coupons(columns["session_id"])}
    return PaneDelta(
        _count(seconds, pairs, [(counter[pairs.event], amount[pairs.event]) for counter, amount in measures], rows),
        _sketch(seconds, pairs, drawn, rows),
    )


def _fold_orders(batch: Batch, rows: Rows) -> PaneDelta:
    events, columns, n = batch.events, batch.columns, len(batch.events)
    types = _ints(map(TYPE_COUNTERS.__getitem__, columns["type"]), n)
    whole = _pairs(columns, _ORDER_SCOPES, rows)
    lines, line_units, line_worth, line_refunds = _lines(events, rows)
    pairs = _Pairs(np.concatenate((whole.event, lines.event)), np.concatenate((whole.row, lines.row)))

    def each(of_order: Iterable[int | bool], of_line: Ints | None = None) -> Ints:
        """Per pair: the order's number, or in category and sku the line's."""
        numbers = _ints(of_order, n)
        return np.concatenate((numbers[whole.event], numbers[lines.event] if of_line is None else of_line))

    def constant(counter: str) -> Ints:
        return _all(counter, len(pairs.event))

    paid = (types == COUNTER_IDS["orders_paid"])[pairs.event]
    worth = each(batch.amounts or (), line_worth) * paid
    no_discount = np.zeros(len(lines.event), np.int64)
    measures = [
        (types[pairs.event], np.ones(len(pairs.event), np.int64)),
        (constant("units"), each((sum(item.qty for item in event.items) for event in events), line_units) * paid),
        (constant("gmv"), worth),
        (constant("refunds"), each((_refund(event) for event in events), line_refunds)),
        (constant("discounts"), each((discount or 0 for discount in columns["discount"]), no_discount) * paid),
        (constant("first_orders"), each(map(bool, columns["first_order"])) * paid),
        (constant("member_gmv"), each(map(bool, columns["member"])) * worth),
        (constant("campaign_gmv"), each(campaign is not None for campaign in columns["campaign"]) * worth),
    ]
    seconds = _seconds(batch)
    buyers = _sketch(seconds, pairs.where(paid), {"buyers": _coupons(columns["user_id"])}, rows)
    return PaneDelta(_count(seconds, pairs, measures, rows), buyers)


def _lines(events: Sequence[Any], rows: Rows) -> tuple[_Pairs, Ints, Ints, Ints]:
    """An order's pairs in scopes category and sku, one for each value it holds: with units, worth and refund."""
    categories, skus = rows.by_scope[Scope.CATEGORY], rows.by_scope[Scope.SKU]
    event_of, row_of, units, worths, refunds = [], [], [], [], []
    for i, event in enumerate(events):
        refund = _refund(event)
        total = sum(item.qty * item.unit_price for item in event.items) if refund else 0
        held: dict[int, list[int]] = {}
        for item in event.items:
            worth = item.qty * item.unit_price
            share = (2 * refund * worth + total) // (2 * total) if total else 0
            for row in (categories[item.category], skus[item.sku]):
                if row >= 0:
                    sums = held.setdefault(row, [0, 0, 0])
                    sums[0] += item.qty
                    sums[1] += worth
                    sums[2] += share
        for row, sums in held.items():
            event_of.append(i)
            row_of.append(row)
            units.append(sums[0])
            worths.append(sums[1])
            refunds.append(sums[2])
    m = len(event_of)
    return _Pairs(_ints(event_of, m), _ints(row_of, m)), _ints(units, m), _ints(worths, m), _ints(refunds, m)


def _refund(event: Any) -> int:
    return (event.refund_amount or 0) if event.type == "order_refunded" else 0


def _fold_logistics(batch: Batch, rows: Rows) -> PaneDelta:
    returned = COUNTER_IDS["returned_units"]
    is_counted = [name in TYPE_COUNTERS or name == "return_received" for name in batch.columns["type"]]
    if not any(is_counted):
        return ZERO
    counted = batch if all(is_counted) else batch.take(np.flatnonzero(is_counted))
    columns, n = counted.columns, len(counted.events)
    pairs = _pairs(columns, (Scope.REGION, Scope.SKU), rows)
    counters = _ints((TYPE_COUNTERS.get(name, returned) for name in columns["type"]), n)
    amounts = _ints((event.qty if event.type == "return_received" else 1 for event in counted.events), n)
    measures = [(counters[pairs.event], amounts[pairs.event])]
    return PaneDelta(_count(_seconds(counted), pairs, measures, rows))


def _pairs(columns: dict[str, tuple[Any, ...]], scopes: Sequence[Scope], rows: Rows) -> _Pairs:
    """Every event in `all`, and in each of these scopes that it has a value in."""
    n = len(columns["ts"])
    table = np.empty((len(scopes) + 1, n), np.int64)
    table[0] = rows.row(Scope.ALL, "")
    for i, scope in enumerate(scopes, 1):
        table[i] = _ints(map(rows.by_scope[scope].__getitem__, columns[FIELDS[scope]]), n)
    where = np.flatnonzero(table >= 0)
    return _Pairs(where % n, table.ravel()[where])


def _count(seconds: Ints, pairs: _Pairs, measures: Sequence[tuple[Ints, Ints]], rows: Rows) -> Cells:
    """Sums of (counter, amount) measures, each parallel to the pairs, in panes of 1 s."""
    panes, row, place = _distinct(seconds, pairs, len(rows))
    return cells_from(panes, row, place, measures, N_COUNTERS)


def _sketch(seconds: Ints, pairs: _Pairs, drawn: dict[str, Ints], rows: Rows) -> Sketches:
    """Distinct counts of the coupons that each event drew."""
    is_sku = rows.mask(Scope.SKU)
    fine = seconds - seconds % DISTINCT_STEP_S
    coarse = seconds - seconds % SKU_DISTINCT_STEP_S
    place_of: list[Ints] = []
    tables: list[Ints] = []
    coupon_of: list[Ints] = []
    offset = 0
    for starts, part in ((fine, pairs.where(~is_sku[pairs.row])), (coarse, pairs.where(is_sku[pairs.row]))):
        panes, row, place = _distinct(starts, part, len(rows))
        for name, coupon in drawn.items():
            tables.append(group_keys(panes, row, DISTINCT_IDS[name]))
            place_of.append(place + offset)
            coupon_of.append(coupon[part.event])
            offset += len(panes)
    return sketches_from(np.concatenate(tables), np.concatenate(place_of), np.concatenate(coupon_of))


def _distinct(starts: Ints, pairs: _Pairs, size: int) -> tuple[Ints, Ints, Ints]:
    """The distinct (pane, row) among the pairs, as two arrays, and for each pair its place there."""
    first = int(starts.min())
    panes, pane_of = compact(starts - first, int(starts.max()) - first + 1)
    codes, place = compact(pane_of[pairs.event] * size + pairs.row, len(panes) * size)
    pane, row = np.divmod(codes, size)
    return panes[pane] + first, row, place


def _seconds(batch: Batch) -> Ints:
    seconds: Ints = batch.ts // 1000
    return seconds


def _coupons(ids: Sequence[str]) -> Ints:
    return coupons(hashes(ids, len(ids)))


def _all(counter: str, n: int) -> Ints:
    return np.full(n, COUNTER_IDS[counter])


def _ints(numbers: Iterable[int], n: int) -> Ints:
    return np.fromiter(numbers, np.int64, n)
