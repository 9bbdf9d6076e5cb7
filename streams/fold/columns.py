"""Events as arrays, one item per event: the input of everything after decoding.

Each chunk of events is turned into arrays right after decoding, while it is in the CPU cache: twice as fast as a whole
batch at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from msgspec.structs import astuple

from consumers.contract.decoding import DecodedBatch
from consumers.contract.plausibility import find_implausible_events
from consumers.contract.rejection import RejectedMessage
from consumers.dedup import NO_HASHES, Hashes, hash_ids
from consumers.topics import Topic
from streams.fold.order_lines import OrderLines, lines_of, read_items
from streams.fold.plan import TYPE_NAMES, plan_of
from streams.fold.reading import (
    Bools,
    Fields,
    NumberColumn,
    code_column,
    hash_column,
    ints,
    number_column,
    rows_by_dimension,
)
from streams.panes.arrays import NO_INTS, Ints
from streams.panes.rows import RowIndex
from streams.panes.scopes import SourceDimension
from streams.shipping.order_facts import (
    NO_ORDERED_FACTS,
    OrderedFacts,
    concatenate_facts,
    facts_from_order_events,
    facts_from_shipment_events,
)

CHUNK = 1024
"""Number of events that are decoded and converted at a time."""

_TYPE_PLACES = {topic: {name: i for i, name in enumerate(names)} for topic, names in TYPE_NAMES.items()}
_STOCK_NUMBERS = ("qty", "on_hand", "delta")
"""Of logistics: what the stock ledger needs."""


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
    rows_of: Mapping[str, Ints] = field(default_factory=dict)
    """# <dimension of which any event has a value: row of each event, -1 without a value>"""
    numbers: Mapping[str, Ints] = field(default_factory=dict)
    """# <other field of which any event has a value: values>; absent is 0, true is 1; an absent row is -1"""
    hashes: Mapping[str, Hashes] = field(default_factory=dict)
    """# <label of which distinct values are counted: hashes>"""
    given: Mapping[str, Bools] = field(default_factory=dict)
    """# <field of `numbers` or `hashes`: which events have it>; all, if it is not there"""
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
            rows_of={name: rows[chosen] for name, rows in self.rows_of.items()},
            numbers={name: numbers[chosen] for name, numbers in self.numbers.items()},
            hashes={name: hashed[chosen] for name, hashed in self.hashes.items()},
            given={name: given[chosen] for name, given in self.given.items()},
            lines=self.lines.take(chosen, len(self)),
            order_facts=self.order_facts.take(chosen, len(self)),
            dropped_labels=self._dropped_of(chosen),
        )

    def _dropped_of(self, chosen: Ints) -> Sequence[tuple[int, str]]:
        if not self.dropped_labels:
            return ()
        kept = set(self.indexes[chosen].tolist())
        return [(position, name) for position, name in self.dropped_labels if position in kept]

    def row_of(self, scope: str) -> Ints:
        """Row of each event in a dimension, -1 without a value."""
        return self.rows_of[scope] if scope in self.rows_of else np.full(len(self), -1)

    def number(self, name: str) -> Ints:
        """A number of each event, 0 where absent."""
        return self.numbers[name] if name in self.numbers else np.zeros(len(self), np.int64)

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
    n, plan = len(events), plan_of(rows.model, topic)
    ts = ints(fields["ts"], n)
    columns: dict[str, NumberColumn] = {}
    items = None
    if topic is Topic.ORDERS:
        items = read_items(fields["items"], plan)
        columns |= {"amount": (ints(amounts or (), n), None), "units": (items.sums("qty"), None)}
        columns |= {name: (items.sums(name), None) for name in plan.item_sums}
    for name in plan.numbers:
        columns[name] = number_column(fields["refund_amount" if name == "refund" else name])
    numbers = {name: column[0] for name, column in columns.items() if column}
    given = {name: column[1] for name, column in columns.items() if column and column[1] is not None}
    for name, codes in plan.codes.items():
        if (coded := code_column(fields[name], codes)) is not None:
            numbers[name] = coded
    hashes: dict[str, Hashes] = {}
    for name in plan.hashed:
        if (hashed := hash_column(fields[name])) is not None:
            hashes[name] = hashed[0]
            if hashed[1] is not None:
                given[name] = hashed[1]
    rows_of = rows_by_dimension(plan.dimensions, fields, columns, ts, rows)
    numbers["source_row"] = _sources(topic, fields, n, rows)
    lines, order_facts = OrderLines(), NO_ORDERED_FACTS
    if items is not None:
        lines = lines_of(items, numbers.get("refund"), plan, rows, rows_of)
        order_facts = facts_from_order_events(events, fields, amounts or (), numbers["units"].tolist())
    if topic is Topic.LOGISTICS:
        _add_stock_numbers(numbers, fields, n, rows)
        order_facts = facts_from_shipment_events(events, fields["type"])
    return Columns(
        topic=topic,
        indexes=indexes,
        ids=hash_ids(fields["event_id"]),
        ts=ts,
        types=ints(map(_TYPE_PLACES[topic].__getitem__, fields["type"]), n),
        rows_of=rows_of,
        numbers=numbers,
        hashes=hashes,
        given=given,
        lines=lines,
        order_facts=order_facts,
    )


def _sources(topic: Topic, fields: Fields, n: int, rows: RowIndex) -> Ints:
    """Row of each event's source, -1 without one."""
    names = fields["source"]
    row_of = {name: rows.row(SourceDimension.SOURCE, f"{topic}/{name}") for name in set(names) - {None, ""}}
    return ints(map({None: -1, "": -1, **row_of}.__getitem__, names), n) if row_of else np.full(n, -1)


def _add_stock_numbers(numbers: dict[str, Ints], fields: Fields, n: int, rows: RowIndex) -> None:
    """Add what the stock ledger needs; `stock_warehouse` is the ledger's number, -1 without one."""
    for name in _STOCK_NUMBERS:
        if name not in numbers and (column := number_column(fields[name])):
            numbers[name] = column[0]
    if not numbers.keys().isdisjoint(_STOCK_NUMBERS):
        of_name = rows.stock.warehouses
        numbers["stock_warehouse"] = ints([of_name[name] if name else -1 for name in fields["warehouse"]], n)


def _joined(parts: Sequence[Columns]) -> Columns:
    """Parts of one topic, concatenated."""
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    lines = [part.lines for part in parts]
    return Columns(
        topic=parts[0].topic,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ("indexes", "ids", "ts", "types")},
        rows_of=_by_name([part.rows_of for part in parts], parts, -1),
        numbers=_by_name([part.numbers for part in parts], parts, 0),
        hashes=_by_name([part.hashes for part in parts], parts, 0),
        given=_joined_given(parts),
        lines=OrderLines(
            np.concatenate([part_lines.event + shift for part_lines, shift in zip(lines, shifts, strict=True)]),
            np.concatenate([part_lines.row for part_lines in lines]),
            np.concatenate([part_lines.dimension for part_lines in lines]),
            {name: np.concatenate([part.numbers[name] for part in lines]) for name in lines[0].numbers},
        ),
        order_facts=concatenate_facts([part.order_facts for part in parts], shifts),
        dropped_labels=[label for part in parts for label in part.dropped_labels],
    )


def _by_name(columns: Sequence[Mapping[str, Any]], parts: Sequence[Columns], absent: int) -> dict[str, Any]:
    """The columns of all parts, `absent` in parts without the column."""
    joined = {}
    for name in dict.fromkeys(name for of_part in columns for name in of_part):
        kind = next(of_part[name].dtype for of_part in columns if name in of_part)
        filled = [
            of_part[name] if name in of_part else np.full(len(part), absent, kind)
            for of_part, part in zip(columns, parts, strict=True)
        ]
        joined[name] = np.concatenate(filled)
    return joined


def _joined_given(parts: Sequence[Columns]) -> dict[str, Bools]:
    """The masks of fields that not every event has."""
    names = dict.fromkeys(name for part in parts for name in (*part.numbers, *part.hashes))
    masks = {}
    for name in names:
        has = [name in part.numbers or name in part.hashes for part in parts]
        if all(has) and not any(name in part.given for part in parts):
            continue
        filled = [
            part.given[name] if name in part.given else np.full(len(part), has_any, np.bool_)
            for part, has_any in zip(parts, has, strict=True)
        ]
        masks[name] = np.concatenate(filled)
    return masks


def _nothing(topic: Topic) -> Columns:
    return Columns(topic=topic, indexes=NO_INTS, ids=NO_HASHES, ts=NO_INTS, types=NO_INTS)
