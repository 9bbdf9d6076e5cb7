"""The lines of orders: the dimensions in which an order counts by its lines, and the line's share of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from streams.dictionary.types import Dimension, DimensionKind
from streams.fold.plan import CountingPlan
from streams.fold.reading import NumberColumn, band_rows, ints, number_column
from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.panes.rows import RowIndex


@dataclass(frozen=True, slots=True)
class OrderLines:
    """One item per row that the lines of an order have in dimensions by line. Arrays are parallel."""

    event: Ints = field(default_factory=lambda: NO_INTS)
    """Index of the order in its `Columns`."""
    row: Ints = field(default_factory=lambda: NO_INTS)
    dimension: Ints = field(default_factory=lambda: NO_INTS)
    """Index in `CountingPlan.line_dimensions`."""
    numbers: Mapping[str, Ints] = field(default_factory=dict)
    """# <field: sum over the lines>; money in minor units"""

    def take(self, chosen: Ints, count: int) -> OrderLines:
        """The lines of the orders at these indexes, of `count` orders."""
        new_index = np.full(count, -1)
        new_index[chosen] = np.arange(len(chosen))
        event = new_index[self.event]
        kept = event >= 0
        numbers = {name: amounts[kept] for name, amounts in self.numbers.items()}
        return OrderLines(event[kept], self.row[kept], self.dimension[kept], numbers)


@dataclass(frozen=True, slots=True)
class OrderItems:
    """The lines of orders as they are. Arrays are parallel."""

    items: Sequence[Any]
    order: Ints
    """Index of each line's order."""
    firsts: Ints
    """Index of each order's first line."""
    numbers: Mapping[str, NumberColumn]
    """# <field: column>; None if no line has it"""

    def sums(self, name: str) -> Ints:
        """The sum of a number over the lines of each order."""
        column = self.numbers[name]
        sums: Ints = np.zeros(len(self.firsts), np.int64)
        return sums if column is None else np.add.reduceat(column[0], self.firsts)


def read_items(items_of: Sequence[Sequence[Any]], plan: CountingPlan) -> OrderItems:
    """The lines of at least one order."""
    items = list(chain.from_iterable(items_of))
    counts = ints(map(len, items_of), len(items_of))
    numbers: dict[str, NumberColumn] = {
        "qty": (ints([item.qty for item in items], len(items)), None),
        "unit_price": (ints([item.unit_price for item in items], len(items)), None),
    }
    for name in plan.item_numbers:
        numbers[name] = number_column([getattr(item, name) for item in items])
    return OrderItems(items, np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts, numbers)


def lines_of(
    read: OrderItems, refunds: Ints | None, plan: CountingPlan, rows: RowIndex, rows_of: Mapping[str, Ints]
) -> OrderLines:
    """The lines summed per order and row.

    `refunds`: the refund of each order, None without any; `rows_of`: the orders' rows in other dimensions.
    """
    n = len(read.items)
    found: dict[str, Ints] = {}
    places: list[int] = []
    for i, dimension in enumerate(plan.line_dimensions):
        if (row := _rows(dimension, read, rows, rows_of, found)) is not None:
            found[dimension.name] = row
            places.append(i)
    qty, price = (column[0] for column in (read.numbers["qty"], read.numbers["unit_price"]) if column)
    amounts: dict[str, Ints] = {}
    for name in plan.line_numbers:
        if name == "units":
            amounts[name] = qty
        elif name == "amount":
            amounts[name] = qty * price
        elif name == "refund":
            amounts[name] = np.zeros(n, np.int64) if refunds is None else _refund_shares(refunds, read, qty * price)
        else:
            column = read.numbers[name]
            amounts[name] = np.zeros(n, np.int64) if column is None else column[0]
    row = np.concatenate(list(found.values()))
    keys = np.concatenate([read.order] * len(found)) * len(rows) + row
    by_key = np.argsort(keys, kind="stable")
    by_key = by_key[row[by_key] >= 0]
    keys = keys[by_key]
    firsts = np.flatnonzero(is_first(keys))
    item = by_key % n
    return OrderLines(
        *np.divmod(keys[firsts], len(rows)),
        np.array(places, np.int64)[by_key[firsts] // n],
        {name: np.add.reduceat(numbers[item], firsts) for name, numbers in amounts.items()},
    )


def _rows(
    dimension: Dimension, read: OrderItems, rows: RowIndex, rows_of: Mapping[str, Ints], found: Mapping[str, Ints]
) -> Ints | None:
    """The row of each line in a dimension, -1 without a value; None if no line has one."""
    n = len(read.items)
    if dimension.kind is DimensionKind.BANDS:
        return band_rows(dimension, read.numbers[dimension.field], rows)
    if dimension.kind is DimensionKind.FIELD:
        values = [getattr(item, dimension.field) for item in read.items]
        return ints(map(rows.by_scope[dimension.name].__getitem__, values), n)
    parts = []
    for name in dimension.parts:
        if name in found:
            parts.append(found[name])
        elif name in rows_of:
            parts.append(rows_of[name][read.order])
        else:
            return None
    return rows.crossings[dimension.name].of(parts)


def _refund_shares(refunds: Ints, read: OrderItems, worth: Ints) -> Ints:
    """Each line's share of its order's refund: by worth, rounded half up."""
    shares = np.zeros(len(worth), np.int64)
    for i in np.flatnonzero(refunds).tolist():
        first, last = np.searchsorted(read.order, (i, i + 1)).tolist()
        worths = worth[first:last].tolist()  # products with a refund may exceed 64 bits
        total, refund = sum(worths), int(refunds[i])
        if total:
            shares[first:last] = [(2 * refund * line_worth + total) // (2 * total) for line_worth in worths]
    return shares
