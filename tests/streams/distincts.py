"""Distinct counts of sketches, as servers estimate them."""

from __future__ import annotations

from collections.abc import Iterable

from streams.panes.arrays import Ints
from streams.panes.sketches import Sketches
from streams.view.registers import DistinctUnion


def estimates(parts: Iterable[Sketches], rows: Ints) -> list[list[int]]:
    """Of the union of all panes in `parts`: [row][distinct], rows in the given order."""
    union = DistinctUnion(rows)
    union.take(parts)
    return union.counts()
