"""Retroactive corrections: amounts in past panes that count only from a later as-of on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.panes.cells import COUNTER_BITS, ROW_BITS, Cells


@dataclass(frozen=True, slots=True)
class RetroactiveCorrections:
    """Parallel arrays, sorted by key and time, whose pairs are distinct. Panes are of 1 s at every level.

    They are few and their times must stay exact, so coarser panes would save nothing.
    """

    keys: Ints = field(default_factory=lambda: NO_INTS)
    """Keys of `Cells`."""
    valid_s: Ints = field(default_factory=lambda: NO_INTS)
    """Each counts at an as-of after this second."""
    amounts: Ints = field(default_factory=lambda: NO_INTS)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def cells(self) -> Cells:
        """As cells; keys may repeat."""
        return Cells(self.keys, self.amounts)

    def between(self, start_s: int, end_s: int) -> RetroactiveCorrections:
        """Corrections of panes in [start_s, end_s)."""
        shift = ROW_BITS + COUNTER_BITS
        first, last = np.searchsorted(self.keys, [start_s << shift, end_s << shift])
        return RetroactiveCorrections(self.keys[first:last], self.valid_s[first:last], self.amounts[first:last])

    def where(self, chosen: Ints | np.ndarray) -> RetroactiveCorrections:
        """A selection, in order."""
        return RetroactiveCorrections(self.keys[chosen], self.valid_s[chosen], self.amounts[chosen])

    def known_at(self, as_of_s: int) -> RetroactiveCorrections:
        """Corrections that count at an as-of."""
        return self.where(self.valid_s < as_of_s)

    def unknown_at(self, as_of_s: int) -> RetroactiveCorrections:
        """Corrections that do not count yet."""
        return self.where(self.valid_s >= as_of_s)

    def of_row(self, row: int) -> RetroactiveCorrections:
        """Corrections of one row."""
        return self.where(self.cells.rows == row)

    def sorted(self) -> RetroactiveCorrections:
        """The same corrections for arrays in any order, without those that cancel out."""
        if len(self.keys) == 0:
            return NO_CORRECTIONS
        order = np.lexsort((self.valid_s, self.keys))
        keys, valid_s = self.keys[order], self.valid_s[order]
        firsts = np.flatnonzero(is_first(keys) | is_first(valid_s))
        amounts = np.add.reduceat(self.amounts[order], firsts)
        kept = np.flatnonzero(amounts)
        firsts = firsts[kept]
        return RetroactiveCorrections(keys[firsts], valid_s[firsts], amounts[kept])


NO_CORRECTIONS = RetroactiveCorrections()


def merge_corrections(parts: Sequence[RetroactiveCorrections]) -> RetroactiveCorrections:
    """The sum of all parts: associative and commutative."""
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else NO_CORRECTIONS
    return RetroactiveCorrections(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.valid_s for part in parts]),
        np.concatenate([part.amounts for part in parts]),
    ).sorted()
