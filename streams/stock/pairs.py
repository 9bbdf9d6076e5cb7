"""Indexes of (SKU, warehouse) and (SKU, promotion) pairs, vectorised and without a dictionary of millions."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.stock.ledger import OTHER_BITS

N = TypeVar("N", np.int64, np.int32)
_Places = npt.NDArray[np.int32]


class PairIndex:
    """Numbers pairs from 0. The pairs of a SKU form a linked list: 12 bytes per pair, 4 per SKU.

    Lookups take one step per pair of the longest list: a SKU has few warehouses.
    """

    def __init__(self) -> None:
        self.codes: Ints = NO_INTS
        """# <index>: `sku << 31 | other + 1`; has spare capacity"""
        self._next: _Places = np.zeros(0, np.int32)
        self._last: _Places = np.zeros(0, np.int32)
        """# <SKU>: its newest pair, -1 is none; SKUs beyond the end have none"""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def skus(self) -> int:
        """Upper bound of the SKUs that have a pair."""
        return len(self._last)

    def find(self, codes: Ints) -> Ints:
        """The indexes of pairs; -1 if unknown."""
        indexes = self._lasts(codes >> OTHER_BITS)
        searching = np.flatnonzero(indexes >= 0)
        while len(searching):
            searching = searching[self.codes[indexes[searching]] != codes[searching]]
            indexes[searching] = self._next[indexes[searching]]
            searching = searching[indexes[searching] >= 0]
        return indexes

    def place(self, codes: Ints) -> Ints:
        """The indexes of pairs, assigned where new."""
        indexes = self.find(codes)
        fresh = np.unique(codes[indexes < 0])
        if len(fresh) == 0:
            return indexes
        self._fit(self._size + len(fresh), int(fresh[-1] >> OTHER_BITS) + 1)
        while len(fresh):  # one pair per SKU and iteration
            skus = fresh >> OTHER_BITS
            first = is_first(skus)
            assigned = np.arange(self._size, self._size + int(first.sum()), dtype=np.int32)
            self._size += len(assigned)
            self.codes[assigned] = fresh[first]
            self._next[assigned] = self._last[skus[first]]
            self._last[skus[first]] = assigned
            fresh = fresh[~first]
        return self.find(codes)

    def of_skus(self, skus: Ints) -> Ints:
        """The indexes of all pairs of some SKUs, unsorted."""
        parts = []
        indexes = self._lasts(skus)
        while len(indexes := indexes[indexes >= 0]):
            parts.append(indexes)
            indexes = self._next[indexes].astype(np.int64)
        return np.concatenate(parts) if parts else NO_INTS

    def _lasts(self, skus: Ints) -> Ints:
        if len(self._last) == 0:
            return np.full(len(skus), -1)
        known = skus < len(self._last)
        return np.where(known, self._last[np.where(known, skus, 0)], -1).astype(np.int64)

    def _fit(self, pairs: int, skus: int) -> None:
        self.codes = grown(self.codes, pairs, 0)
        self._next = grown(self._next, pairs, -1)
        if skus > len(self._last):
            self._last = grown(self._last, skus, -1)


def grown(array: npt.NDArray[N], size: int, fill: int) -> npt.NDArray[N]:
    """The array, or if it is shorter than `size` a copy that is at least half as long again."""
    if size <= len(array):
        return array
    longer = np.full(max(size, len(array) * 3 // 2), fill, array.dtype)
    longer[: len(array)] = array
    return longer
