"""The outlook of the stock of SKUs: when it runs out, what that costs, and what to order.

Time to stockout uses the rate of sale of the last 15 minutes, replenishment that of the last hour. All numbers are
functions of the events before the as-of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.dictionary.names import SKU
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.arrays import Ints
from streams.panes.rows import StockNames
from streams.settings import Settings
from streams.stock.forecast import LOOK_BACK_MINUTES, RATE_MINUTES, StockOutInterval, interval
from streams.stock.inventory import AbcClass, StockPolicy, abc_class, gmv_at_risk_per_hour, overstock, replenishment
from streams.stock.stock_levels import out_since_ms
from streams.stock.stock_state import StockState
from streams.view.query import Item, KpiQuery
from streams.view.rolling import RollingView

LOOK_BACK_MS = 86_400_000
"""The rate of sale before an older outage is not looked up."""
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class WarehouseUnits:
    """Stock of one warehouse, before orders."""

    warehouse: str
    units: int
    counted_ms: int


@dataclass(frozen=True, slots=True)
class Outage:
    """A SKU that is out of stock."""

    since_ms: int | None
    """When it ran out; None: longer ago than a day."""
    gmv_at_risk_per_hour: int | None
    """GMV per hour in the 15 minutes up to then, minor units; None if `since_ms` is None."""


@dataclass(frozen=True, slots=True)
class SkuOutlook:
    """One SKU at one as-of. If it was never counted, `values["stock_available"]` and all that depends on it is None."""

    as_of_ms: int
    sku: str
    promotion: str | None
    values: Mapping[str, Number]
    sold: int | None
    """Units ever paid with the promotion's id."""
    shelves: Sequence[WarehouseUnits]
    stockout: StockOutInterval | None
    outage: Outage | None
    units_per_hour: int
    replenish: int | None
    overstock: int | None
    abc: AbcClass


@dataclass(frozen=True, slots=True)
class ShopOutlook:
    """The SKUs out of stock or nearly, among the best-selling ones of 24 h."""

    as_of_ms: int
    values: Mapping[str, Number]
    out: Sequence[tuple[Item, Outage]]
    """The most GMV at risk per hour first."""
    soon: Sequence[Item]
    """The first to run out first."""

    @property
    def gmv_at_risk_per_hour(self) -> int:
        """Of all SKUs in `out`, minor units."""
        return sum(outage.gmv_at_risk_per_hour or 0 for _, outage in self.out)


class StockOutlook:
    """Queries the view. Pause polling between its queries (`FollowerThread.ask` with `pause_polling`)."""

    def __init__(self, view: RollingView, settings: Settings, at_ms: int) -> None:
        self._view = view
        self._policy = StockPolicy(settings.stock_lead_h, settings.stock_horizon_h, settings.stock_limit_d)
        self._soon_min = settings.stock_soon_min
        self._at_ms = at_ms

    async def of_sku(self, sku: str, promotion: str | None, as_of_ms: int | None) -> SkuOutlook:
        """The outlook of one SKU."""
        hour = await self._view.one(KpiQuery(Window.H1, SKU, as_of_ms, promotion), sku, self._at_ms)
        as_of_ms, numbers = hour.as_of_ms, hour.items[0].values
        promotion = self._view.resolve_promotion(promotion, as_of_ms)

        def state(stock_state: StockState, names: StockNames) -> tuple[int | None, list[WarehouseUnits]]:
            number = names.skus.get(sku, -1)
            sold = None
            if promotion is not None:
                sold = int(stock_state.sold.units(np.array([number]), names.promotions.get(promotion, -1))[0])
            shelves = stock_state.now.shelves(number) if number >= 0 else []
            return sold, [
                WarehouseUnits(names.warehouses.names[warehouse], units, counted_ms)
                for warehouse, units, counted_ms in shelves
            ]

        sold, shelves = await self._view.stock_at(as_of_ms, self._at_ms, state)
        available, units = numbers["stock_available"], int(numbers["units"] or 0)
        if not isinstance(available, int):
            available = None
        day = KpiQuery(Window.H24, SKU, as_of_ms)
        gmv = (await self._view.one(day, sku, self._at_ms)).items[0].values["gmv"]
        return SkuOutlook(
            as_of_ms=as_of_ms,
            sku=sku,
            promotion=promotion,
            values=numbers,
            sold=sold,
            shelves=sorted(shelves, key=lambda shelf: shelf.warehouse),
            stockout=None if available is None else interval(available, await self._by_minute(sku, as_of_ms)),
            outage=None if available is None else (await self._outages({sku: available}, as_of_ms)).get(sku),
            units_per_hour=units,
            replenish=None if available is None else replenishment(available, units, self._policy),
            overstock=None if available is None else overstock(available, units, self._policy),
            abc=abc_class(int(gmv or 0), await self._view.amounts(day, "gmv", self._at_ms)),
        )

    async def of_shop(self, limit: int, as_of_ms: int | None) -> ShopOutlook:
        """SKUs that run out next, and GMV at risk of those that ran out, among the 1,000 best-selling of 24 h."""
        whole = await self._view.one(KpiQuery(Window.H24, as_of_ms=as_of_ms), "", self._at_ms)
        as_of_ms = whole.as_of_ms
        best = await self._view.every(KpiQuery(Window.H24, SKU, as_of_ms), self._at_ms)
        stocks = {item.value: stock for item in best.items if isinstance(stock := item.values["stock_available"], int)}
        items = {item.value: item for item in best.items}
        outages = await self._outages(stocks, as_of_ms)
        out = sorted(
            ((items[sku], outage) for sku, outage in outages.items()),
            key=lambda entry: (-(entry[1].gmv_at_risk_per_hour or 0), entry[0].value),
        )
        ends = {sku: items[sku].values["minutes_to_stockout"] for sku, stock in stocks.items() if stock > 0}
        soon = sorted((end, sku) for sku, end in ends.items() if end is not None and end <= self._soon_min)
        return ShopOutlook(as_of_ms, whole.items[0].values, out[:limit], [items[sku] for _, sku in soon[:limit]])

    async def _by_minute(self, sku: str, as_of_ms: int) -> list[int]:
        """Units sold in each of the last 60 minutes."""
        moments = [as_of_ms - _MINUTE_MS * i for i in reversed(range(LOOK_BACK_MINUTES))]
        points = await self._view.series(KpiQuery(Window.M1, SKU), sku, "units", moments, self._at_ms)
        return [int(units or 0) for _, units in points]

    async def _outages(self, stocks: Mapping[str, int], as_of_ms: int) -> dict[str, Outage]:
        """Start and cost of the outages of SKUs. `stocks`: units available, by SKU."""
        out = {sku: stock for sku, stock in stocks.items() if stock <= 0}
        since = await self._since(out, as_of_ms) if out else {}
        outages = {}
        for sku, since_ms in since.items():
            if since_ms is None:
                outages[sku] = Outage(None, None)
                continue
            end_ms = min(as_of_ms, (since_ms // _MINUTE_MS + 1) * _MINUTE_MS)  # with the sales up to then
            query = KpiQuery(Window.M15, SKU)
            ((_, gmv),) = await self._view.series(query, sku, "gmv", [end_ms], self._at_ms)
            outages[sku] = Outage(since_ms, gmv_at_risk_per_hour(int(gmv or 0), RATE_MINUTES / 60))
        return outages

    async def _since(self, out: Mapping[str, int], as_of_ms: int) -> dict[str, int | None]:
        earliest_ms = as_of_ms - LOOK_BACK_MS

        def numbered(stock_state: StockState, names: StockNames) -> dict[str, int]:
            return {sku: names.skus[sku] for sku in out}

        numbers = await self._view.stock_at(as_of_ms, self._at_ms, numbered)
        skus: Ints = np.unique(np.fromiter(numbers.values(), np.int64, len(numbers)))
        moves = (await self._view.stock_event_log(skus, earliest_ms, as_of_ms)).moves

        def since(stock_state: StockState, names: StockNames) -> dict[str, int | None]:
            since_of: dict[str, int | None] = {}
            for sku, available in out.items():
                counted_ms = max(stock_state.now.counted_ms(numbers[sku]) or 0, earliest_ms)
                counted_moves = stock_state.now.counting(numbers[sku], moves)
                fell_out_ms = out_since_ms(available, counted_ms, counted_moves.times, counted_moves.amounts)
                since_of[sku] = None if fell_out_ms == earliest_ms else fell_out_ms
            return since_of

        return await self._view.stock_at(as_of_ms, self._at_ms, since)
