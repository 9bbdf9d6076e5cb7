"""Inputs of the stock KPIs by name, for the values of a scope at a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from consumers.contract.events import Promotion
from streams.panes.arrays import Ints
from streams.panes.dictionary import StockNames
from streams.stock.stock_state import StockState
from streams.view.stock import StockView

StockSums = dict[str, int]


class StockNumbers:
    """Queries the stock at one moment."""

    def __init__(
        self, stock: StockView, names: StockNames, promotions: Mapping[str, Promotion], as_of_ms: int, live: bool
    ) -> None:
        self._stock = stock
        self._names = names
        self._promotions = promotions
        self._as_of_ms = as_of_ms
        self._live = live

    async def of_shop(self) -> StockSums:
        """All known SKUs."""

        def counts(stock_state: StockState) -> StockSums:
            out, stocked = stock_state.counts()
            return {"stockout_skus": out, "stocked_skus": stocked}

        return await self._stock.ask(self._as_of_ms, self._live, counts)

    async def of_promotions(self, promotions: Sequence[str]) -> list[StockSums]:
        """The SKUs that each promotion's definition names; none if it names none."""

        def counts(stock_state: StockState) -> list[StockSums]:
            found = []
            for name in promotions:
                units, known = stock_state.now.available(self._numbers(tuple(dict.fromkeys(self.skus_of(name)))))
                out = int(np.count_nonzero(known & (units <= 0)))
                found.append({"stockout_skus": out, "stocked_skus": int(np.count_nonzero(known)) - out})
            return found

        return await self._stock.ask(self._as_of_ms, self._live, counts)

    async def of_skus(self, skus: Sequence[str], promotion: str | None) -> list[StockSums]:
        """Stock of SKUs, and their sales under a promotion; empty for a SKU that was never counted."""

        def states(stock_state: StockState) -> list[StockSums]:
            numbers = self._numbers(skus)
            units, known = stock_state.now.available(numbers)
            sums = [{"stock_available": n} if k else {} for n, k in zip(units.tolist(), known.tolist(), strict=True)]
            if promotion is not None:
                sold = stock_state.sold.units(numbers, self._names.promotions.get(promotion, -1)).tolist()
                for held, paid in zip(sums, sold, strict=True):
                    held["promotion_units"] = paid
            return sums

        return await self._stock.ask(self._as_of_ms, self._live, states)

    def skus_of(self, promotion: str) -> tuple[str, ...]:
        """The SKUs that a promotion's definition names."""
        defined = self._promotions.get(promotion)
        return (defined.skus or ()) if defined is not None else ()

    def _numbers(self, skus: Sequence[str]) -> Ints:
        """Ids of SKUs; -1 for unknown ones."""
        return np.fromiter((self._names.skus.get(sku, -1) for sku in skus), np.int64, len(skus))
