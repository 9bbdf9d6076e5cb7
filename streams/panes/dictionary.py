"""Dictionary encoding of SKUs, warehouses and promotions for the arrays of the stock ledger.

Separate from `streams.panes.rows`, since far more SKUs have a stock level than sell, and sums of windows have the
length of the row index.
"""

from __future__ import annotations

from threading import Lock


class Numbering(dict[str, int]):
    """Assigns numbers from 0 to unknown names. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        """# <number>: name"""
        self._lock = Lock()

    def __missing__(self, name: str) -> int:
        with self._lock:
            known = self.get(name)
            if known is not None:
                return known
            number = len(self.names)
            self.names.append(name)
            self[name] = number
            return number


class StockNames:
    """The numbers of one process, meaningless outside it: stored data holds the names."""

    def __init__(self) -> None:
        self.skus = Numbering()
        self.warehouses = Numbering()
        self.promotions = Numbering()

    def __len__(self) -> int:
        return len(self.skus.names) + len(self.warehouses.names) + len(self.promotions.names)
