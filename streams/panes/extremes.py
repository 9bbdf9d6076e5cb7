"""Minima and maxima of any number of panes and rows, as sorted arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.panes.arrays import NO_INTS, Ints
from streams.panes.counters import MINUTE_S
from streams.panes.keys import coarse_keys, combined, ids_of, key_range, keys_in_one_pane, panes_of, rows_of

FINEST_EXTREMES_S = MINUTE_S
"""Finest resolution of extremes, seconds."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The greatest value per key: sorted distinct keys (`streams.panes.keys`) and parallel values.

    A minimum is stored as the maximum of the negated values. Merging takes the greater, so repetition does not matter,
    and nothing can be subtracted. Panes are of 60 s at least.
    """

    keys: Ints = field(default_factory=lambda: NO_INTS)
    values: Ints = field(default_factory=lambda: NO_INTS)

    @property
    def panes(self) -> Ints:
        """Start of each value's pane, epoch seconds."""
        return panes_of(self.keys)

    @property
    def rows(self) -> Ints:
        """Row of each value."""
        return rows_of(self.keys)

    @property
    def ids(self) -> Ints:
        """Measure id of each value."""
        return ids_of(self.keys)

    def __bool__(self) -> bool:
        return bool(len(self.keys))

    def between(self, start_s: int, end_s: int) -> Extremes:
        """Values of panes that start in [start_s, end_s)."""
        first, last = key_range(self.keys, start_s, end_s)
        return Extremes(self.keys[first:last], self.values[first:last])

    def of_row(self, row: int) -> Extremes:
        """Values of one row."""
        in_row = self.rows == row
        return Extremes(self.keys[in_row], self.values[in_row])

    def in_one_pane(self) -> Extremes:
        """The greatest over all panes, in pane 0."""
        return extremes_of(keys_in_one_pane(self.keys), self.values)

    def coarsen(self, step_s: int) -> Extremes:
        """The greatest in panes of `step_s` seconds, of 60 s if that is less."""
        return extremes_of(coarse_keys(self.keys, max(step_s, FINEST_EXTREMES_S)), self.values)


NO_EXTREMES = Extremes()


def extremes_of(keys: Ints, values: Ints) -> Extremes:
    """The greatest value of each key, from keys in any order."""
    return Extremes(*combined(keys, values, np.maximum)) if len(keys) else NO_EXTREMES


def merge_extremes(parts: Sequence[Extremes]) -> Extremes:
    """The greatest of all parts: associative, commutative and idempotent."""
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return parts[0] if parts else NO_EXTREMES
    return extremes_of(np.concatenate([part.keys for part in parts]), np.concatenate([part.values for part in parts]))
