"""Additive counters of any number of panes and rows, as sorted arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.panes.keys import coarse_keys, combined, ids_of, key_range, keys_in_one_pane, panes_of, rows_of


@dataclass(frozen=True, slots=True)
class Cells:
    """Sums of counters: sorted distinct keys (`streams.panes.keys`) and parallel amounts."""

    keys: Ints = field(default_factory=lambda: NO_INTS)
    amounts: Ints = field(default_factory=lambda: NO_INTS)

    @property
    def panes(self) -> Ints:
        """Start of each cell's pane, epoch seconds."""
        return panes_of(self.keys)

    @property
    def rows(self) -> Ints:
        """Row of each cell."""
        return rows_of(self.keys)

    @property
    def counters(self) -> Ints:
        """Counter id of each cell."""
        return ids_of(self.keys)

    def sorted(self) -> Cells:
        """The same cells for keys in any order."""
        return _summed(self.keys, self.amounts)

    def between(self, start_s: int, end_s: int) -> Cells:
        """Cells of panes that start in [start_s, end_s)."""
        first, last = key_range(self.keys, start_s, end_s)
        return Cells(self.keys[first:last], self.amounts[first:last])

    def of_row(self, row: int) -> Cells:
        """Cells of one row."""
        in_row = self.rows == row
        return Cells(self.keys[in_row], self.amounts[in_row])

    def in_one_pane(self) -> Cells:
        """Sums over all panes, in pane 0."""
        return _summed(keys_in_one_pane(self.keys), self.amounts)

    def coarsen(self, step_s: int) -> Cells:
        """Sums in panes of `step_s` seconds."""
        return _summed(coarse_keys(self.keys, step_s), self.amounts)


NO_CELLS = Cells()


def merge_cells(parts: Sequence[Cells]) -> Cells:
    """The sum of all parts."""
    parts = [part for part in parts if len(part.keys)]
    if len(parts) <= 1:
        return parts[0] if parts else NO_CELLS
    return _summed(np.concatenate([part.keys for part in parts]), np.concatenate([part.amounts for part in parts]))


def nonzero(cells: Cells) -> Cells:
    """The cells whose amount is not 0."""
    kept = cells.amounts != 0
    return cells if kept.all() else Cells(cells.keys[kept], cells.amounts[kept])


def counted(keys: Ints) -> Cells:
    """The number of occurrences of each key."""
    ordered = np.sort(keys)
    firsts = np.flatnonzero(is_first(ordered))
    return Cells(ordered[firsts], np.diff(firsts, append=len(ordered)))


def _summed(keys: Ints, amounts: Ints) -> Cells:
    """Cells with distinct keys, from keys in any order."""
    return Cells(*combined(keys, amounts, np.add)) if len(keys) else NO_CELLS
