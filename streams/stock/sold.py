"""Units sold of each SKU under each promotion, ever: they add up, so any order will do."""

from __future__ import annotations

import numpy as np

from streams.panes.arrays import NO_INTS, Ints
from streams.stock.ledger import Entries, pair_codes
from streams.stock.pairs import PairIndex, stretched


class Sold:
    """Sums by (SKU, promotion): 20 bytes a pair."""

    def __init__(self) -> None:
        self._pairs = PairIndex()
        self._units: Ints = NO_INTS

    def add(self, sales: Entries, sign: int = 1) -> None:
        """Count sales, or take them back (-1)."""
        if len(sales) == 0:
            return
        places = self._pairs.place(sales.pairs)
        self._units = stretched(self._units, len(self._pairs), 0)
        np.add.at(self._units, places, sign * sales.amounts)

    def units(self, skus: Ints, promotion: int) -> Ints:
        """Units of SKUs sold under a promotion."""
        places = self._pairs.find(pair_codes(skus, promotion))
        return np.where(places >= 0, self._units[places], 0) if len(self._units) else np.zeros(len(skus), np.int64)
