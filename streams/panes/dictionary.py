"""Numbers in place of SKUs, warehouses and promotions, for the arrays of the stock ledger.

Apart from `streams.panes.rows`: a million SKUs may have a stock level while a tenth of them sells, and sums of windows
are as long as there are rows.
"""

from __future__ import annotations

from threading import Lock


class Numbering(dict[str, int]):
    """Numbers from 0 for names: a dictionary that numbers what it does not know. Safe to share between threads."""

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
    """All numbers of one process. They are only good within it; whatever leaves the process carries the names."""

    def __init__(self) -> None:
        self.skus = Numbering()
        self.warehouses = Numbering()
        self.promotions = Numbering()

    def __len__(self) -> int:
        return len(self.skus.names) + len(self.warehouses.names) + len(self.promotions.names)
