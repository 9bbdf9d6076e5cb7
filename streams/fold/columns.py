"""Events as arrays, one item per event: the input of everything after decoding.

Each chunk of events is turned into arrays right after decoding, while it is in the CPU cache: twice as fast as a whole
batch at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from msgspec.structs import astuple

from consumers.contract.decoding import DecodedBatch
from consumers.contract.plausibility import find_implausible_events
from consumers.contract.rejection import RejectedMessage
from consumers.dedup import NO_HASHES, Hashes, hash_ids, hash_strings
from consumers.topics import Topic
from streams.fold.plan import TYPE_NAMES, Fields, or_zero, plan_of
from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.panes.rows import RowIndex
from streams.panes.scopes import FIELDS, LINE_SCOPES, Scope, SourceDimension
from streams.shipping.order_facts import (
    NO_ORDERED_FACTS,
    OrderedFacts,
    concatenate_facts,
    facts_from_order_events,
    facts_from_shipment_events,
)

CHUNK = 1024
"""Number of events that are decoded and converted at a time."""

EVENT_SCOPES: Mapping[Topic, tuple[Scope, ...]] = {
    Topic.CLICKS: tuple(FIELDS),
    Topic.ORDERS: tuple(scope for scope in FIELDS if scope not in LINE_SCOPES),
    Topic.LOGISTICS: (Scope.REGION, Scope.CATEGORY, Scope.SKU),
}
"""# <topic: scopes, besides `all`, in which an event has at most one value>"""

_TYPE_PLACES = {topic: {name: i for i, name in enumerate(names)} for topic, names in TYPE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class OrderLines:
    """Order lines: one item per category and per SKU of an order."""

    event: Ints = field(default_factory=lambda: NO_INTS)
    """Index of the order in its `Columns`."""
    row: Ints = field(default_factory=lambda: NO_INTS)
    units: Ints = field(default_factory=lambda: NO_INTS)
    worth: Ints = field(default_factory=lambda: NO_INTS)
    """Sum of qty x unit_price, minor units."""
    refund: Ints = field(default_factory=lambda: NO_INTS)
    """The line's share of the order's refund, minor units."""

    def take(self, chosen: Ints, count: int) -> OrderLines:
        """The lines of the orders at these indexes, of `count` orders."""
        new_index = np.full(count, -1)
        new_index[chosen] = np.arange(len(chosen))
        event = new_index[self.event]
        kept = event >= 0
        return OrderLines(event[kept], self.row[kept], self.units[kept], self.worth[kept], self.refund[kept])


@dataclass(frozen=True, slots=True)
class Columns:
    """Events of one topic in read order. Arrays are parallel."""

    topic: Topic
    indexes: Ints
    """Index of each event in its batch."""
    ids: Hashes
    """Hash of `event_id`."""
    ts: Ints
    """Event times, epoch ms."""
    types: Ints
    """Indexes into `TYPE_NAMES`."""
    table: Ints
    """# [scope, event]: row of the event in a scope, -1 without a value; the first line is scope `all`"""
    numbers: Mapping[str, Ints] = field(default_factory=dict)
    """# <what `plan.Plan.readers` read, and what code needs: values>; absent is 0, absent rows and the like are -1"""
    users: Hashes = field(default_factory=lambda: NO_HASHES)
    sessions: Hashes = field(default_factory=lambda: NO_HASHES)
    lines: OrderLines = field(default_factory=OrderLines)
    order_facts: OrderedFacts = field(default_factory=OrderedFacts)
    dropped_labels: Sequence[tuple[int, str]] = ()
    """Labels that were too long: (index of the event, field)."""

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, chosen: Ints) -> Columns:
        """The events at these indexes (ascending)."""
        return Columns(
            topic=self.topic,
            indexes=self.indexes[chosen],
            ids=self.ids[chosen],
            ts=self.ts[chosen],
            types=self.types[chosen],
            table=self.table[:, chosen],
            numbers={name: numbers[chosen] for name, numbers in self.numbers.items()},
            users=self.users[chosen] if len(self.users) else self.users,
            sessions=self.sessions[chosen] if len(self.sessions) else self.sessions,
            lines=self.lines.take(chosen, len(self)),
            order_facts=self.order_facts.take(chosen, len(self)),
            dropped_labels=self._dropped_of(chosen),
        )

    def _dropped_of(self, chosen: Ints) -> Sequence[tuple[int, str]]:
        if not self.dropped_labels:
            return ()
        kept = set(self.indexes[chosen].tolist())
        return [(position, name) for position, name in self.dropped_labels if position in kept]

    def row_of(self, scope: Scope) -> Ints:
        """Row of each event in one of its topic's `EVENT_SCOPES`, -1 without a value."""
        rows: Ints = self.table[1 + EVENT_SCOPES[self.topic].index(scope)]
        return rows

    def is_type(self, name: str) -> Any:
        """Mask of the events of a type."""
        return self.types == _TYPE_PLACES[self.topic][name]


def read_columns(
    topic: Topic, values: Sequence[bytes | None], rows: RowIndex, currency: str | None = None
) -> tuple[Columns, list[RejectedMessage]]:
    """The events and the rejected messages of a batch. New labels get rows.

    `currency`: of the shop; None accepts any.
    """
    parts: list[Columns] = []
    rejected: list[RejectedMessage] = []
    for start in range(0, len(values), CHUNK):
        decoded = rows.model.decoder.decode_batch(topic, values[start : start + CHUNK])
        rejected += [replace(message, index=start + message.index) for message in decoded.rejected]
        if decoded.events:
            part, implausible = plausible_columns(topic, decoded, start, rows, currency)
            parts.append(part)
            rejected += implausible
    return join_columns(topic, parts), rejected


def plausible_columns(
    topic: Topic, decoded: DecodedBatch, start: int, rows: RowIndex, currency: str | None
) -> tuple[Columns, list[RejectedMessage]]:
    """The events of a decoded chunk (at least one), without implausible ones, and the rejections of these.

    `start`: index of the chunk in its batch.
    """
    indexes = np.array(decoded.indexes, np.int64) + start
    fields = _by_field(decoded.events)
    part = columns_of(topic, decoded.events, fields, decoded.amounts, indexes, rows)
    part = replace(part, dropped_labels=[(start + i, name) for i, name in decoded.dropped_labels])
    implausible = find_implausible_events(topic, fields, part.ts, currency)
    if not implausible:
        return part, []
    rejected = [RejectedMessage(int(indexes[index]), reason, detail) for index, reason, detail in implausible]
    return part.take(np.delete(np.arange(len(part)), [index for index, _, _ in implausible])), rejected


def join_columns(topic: Topic, parts: Sequence[Columns]) -> Columns:
    """The chunks of a batch as one."""
    return _joined(parts) if parts else _nothing(topic)


def _by_field(events: Sequence[Any]) -> Fields:
    """Decoded events (`consumers.contract.decoding`, at least one) by field."""
    return dict(zip(events[0].__struct_fields__, zip(*map(astuple, events), strict=True), strict=True))


def columns_of(
    topic: Topic, events: Sequence[Any], fields: Fields, amounts: Sequence[int] | None, indexes: Ints, rows: RowIndex
) -> Columns:
    """Decoded events as arrays; `amounts` as in `consumers.contract.decoding`."""
    n = len(events)
    table = _table(EVENT_SCOPES[topic], fields, n, rows)
    numbers = plan_of(rows.model, topic).read(fields, n) | {"source_row": _sources(topic, fields, n, rows)}
    lines = OrderLines()
    order_facts = NO_ORDERED_FACTS
    if topic is Topic.LOGISTICS:
        numbers |= {name: or_zero(fields[name], n) for name in ("qty", "on_hand", "delta")}
        numbers["stock_warehouse"] = _stock_warehouses(fields, n, rows)
        order_facts = facts_from_shipment_events(events, fields["type"])
    if topic is Topic.ORDERS:
        amounts, units = amounts or (), [sum([item.qty for item in items]) for items in fields["items"]]
        numbers |= {"amount": _ints(amounts, n), "units": _ints(units, n)}
        lines = _lines(events, fields, rows)
        order_facts = facts_from_order_events(events, fields, amounts, units)
    return Columns(
        topic=topic,
        indexes=indexes,
        ids=hash_ids(fields["event_id"]),
        ts=_ints(fields["ts"], n),
        types=_ints(map(_TYPE_PLACES[topic].__getitem__, fields["type"]), n),
        table=table,
        numbers=numbers,
        users=hash_strings(fields["user_id"]) if topic is not Topic.LOGISTICS else NO_HASHES,
        sessions=hash_strings(fields["session_id"]) if topic is Topic.CLICKS else NO_HASHES,
        lines=lines,
        order_facts=order_facts,
    )


def _table(scopes: Sequence[Scope], fields: Fields, n: int, rows: RowIndex) -> Ints:
    table = np.full((len(scopes) + 1, n), -1)
    table[0] = rows.row(Scope.ALL, "")
    for i, scope in enumerate(scopes, 1):
        values = fields[FIELDS[scope]]
        if values.count(None) < n:
            table[i] = _ints(map(rows.by_scope[scope].__getitem__, values), n)
    return table


def _sources(topic: Topic, fields: Fields, n: int, rows: RowIndex) -> Ints:
    """Row of each event's source, -1 without one."""
    names = fields["source"]
    row_of = {name: rows.row(SourceDimension.SOURCE, f"{topic}/{name}") for name in set(names) - {None, ""}}
    return _ints(map({None: -1, "": -1, **row_of}.__getitem__, names), n) if row_of else np.full(n, -1)


def _stock_warehouses(fields: Fields, n: int, rows: RowIndex) -> Ints:
    """The stock ledger's number of each event's warehouse, -1 without one or if it is no stock event."""
    if fields["on_hand"].count(None) == fields["qty"].count(None) == fields["delta"].count(None) == n:
        return np.full(n, -1)
    numbers = rows.stock.warehouses
    return _ints([numbers[name] if name else -1 for name in fields["warehouse"]], n)


def _lines(events: Sequence[Any], fields: Fields, rows: RowIndex) -> OrderLines:
    """The lines of orders, summed per category and SKU."""
    items_of = fields["items"]
    items = list(chain.from_iterable(items_of))
    n_items = len(items)
    order = np.repeat(np.arange(len(items_of)), _ints(map(len, items_of), len(items_of)))
    units = _ints([item.qty for item in items], n_items)
    worth = units * _ints([item.unit_price for item in items], n_items)
    refund = _refund_shares(events, order, worth)
    categories = _ints(map(rows.by_scope[Scope.CATEGORY].__getitem__, [item.category for item in items]), n_items)
    skus = _ints(map(rows.by_scope[Scope.SKU].__getitem__, [item.sku for item in items]), n_items)
    row = np.concatenate((categories, skus))
    keys = np.concatenate((order, order)) * len(rows) + row
    by_key = np.argsort(keys, kind="stable")
    by_key = by_key[row[by_key] >= 0]
    keys = keys[by_key]
    firsts = np.flatnonzero(is_first(keys))
    return OrderLines(
        *np.divmod(keys[firsts], len(rows)),
        *(np.add.reduceat(amounts[by_key % n_items], firsts) for amounts in (units, worth, refund)),
    )


def _refund_shares(events: Sequence[Any], order: Ints, worth: Ints) -> Ints:
    """Each line's share of its order's refund: by worth, rounded half up."""
    shares = np.zeros(len(worth), np.int64)
    for i, event in enumerate(events):
        if event.type == "order_refunded" and event.refund_amount:
            first, last = np.searchsorted(order, (i, i + 1)).tolist()
            worths = worth[first:last].tolist()  # products with a refund may exceed 64 bits
            total = sum(worths)
            if total:
                shares[first:last] = [
                    (2 * event.refund_amount * line_worth + total) // (2 * total) for line_worth in worths
                ]
    return shares


def _joined(parts: Sequence[Columns]) -> Columns:
    """Parts of one topic, concatenated."""
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    lines = [part.lines for part in parts]
    return Columns(
        topic=parts[0].topic,
        table=np.concatenate([part.table for part in parts], axis=1),
        numbers={name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers},
        **_concatenated(parts, "indexes", "ids", "ts", "types", "users", "sessions"),
        lines=OrderLines(
            event=np.concatenate([part_lines.event + shift for part_lines, shift in zip(lines, shifts, strict=True)]),
            **_concatenated(lines, "row", "units", "worth", "refund"),
        ),
        order_facts=concatenate_facts([part.order_facts for part in parts], shifts),
        dropped_labels=[label for part in parts for label in part.dropped_labels],
    )


def _concatenated(parts: Sequence[Columns] | Sequence[OrderLines], *names: str) -> dict[str, Any]:
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def _nothing(topic: Topic) -> Columns:
    table = np.zeros((len(EVENT_SCOPES[topic]) + 1, 0), np.int64)
    return Columns(topic=topic, indexes=NO_INTS, ids=NO_HASHES, ts=NO_INTS, types=NO_INTS, table=table)


def _ints(numbers: Iterable[int], n: int) -> Ints:
    return np.fromiter(numbers, np.int64, n)
