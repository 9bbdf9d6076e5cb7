"""Shipping deltas as dictionaries that do not depend on row numbers."""

from __future__ import annotations

from streams.panes.rows import RowIndex
from streams.panes.scopes import Dimension
from streams.shipping.delta import ShippingDelta

Place = tuple[int, int, tuple[Dimension, str], int]
"""(pane, valid from, label, counter); without a correction, valid from its pane on."""


def plain(delta: ShippingDelta, rows: RowIndex) -> dict[Place, int]:
    """Every amount by its place; `WAITING` is a counter of its own, so the three parts never overlap."""
    found: dict[Place, int] = {}
    late = delta.corrections
    for cells, valid_s in (
        (delta.sums, delta.sums.panes),
        (late.cells, late.valid_s),
        (delta.waiting, delta.waiting.panes),
    ):
        arrays = (cells.panes, valid_s, cells.rows, cells.counters, cells.amounts)
        for pane, valid, row, counter, amount in zip(*(array.tolist() for array in arrays), strict=True):
            place = (pane, valid, rows.labels[row], counter)
            assert place not in found
            assert amount
            found[place] = amount
    return found
