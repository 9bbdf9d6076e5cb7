"""The stock KPIs, computed simply and slowly: every query scans all events.

Written from the metric dictionary alone; shares no code with the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]
Number = int | float | None

SKU_NAMES = ("stock_available", "sell_through", "minutes_to_stockout", "oversold_units")
SHOP_NAMES = ("stockout_skus", "stock_fill_rate")


@dataclass
class StockOracle:
    """All events, each once."""

    orders: Sequence[Event] = ()
    logistics: Sequence[Event] = ()
    keep_ms: int | None = None
    """Older stock counts are ignored."""

    def available(self, sku: str, as_of_ms: int) -> int | None:
        """`stock_available` of a SKU."""
        newest: dict[str, tuple[int, int]] = {}  # warehouse: (ts, -on_hand), the greater one applies
        for event in self._seen(self.logistics, as_of_ms):
            if event["type"] == "stock_level" and event["sku"] == sku:
                if self.keep_ms is not None and event["ts"] < as_of_ms - self.keep_ms:
                    continue
                level = (event["ts"], -event["on_hand"])
                newest[event["warehouse"]] = max(level, newest.get(event["warehouse"], level))
        if not newest:
            return None
        units = 0
        for warehouse, (ts, minus_on_hand) in newest.items():
            units -= minus_on_hand
            for event in self._seen(self.logistics, as_of_ms):
                if event.get("sku") == sku and event.get("warehouse") == warehouse and event["ts"] > ts:
                    units += {"stock_received": event.get("qty"), "stock_adjusted": event.get("delta")}.get(
                        event["type"]
                    ) or 0
        last = max(ts for ts, _ in newest.values())
        for event in self._seen(self.orders, as_of_ms):
            if event["ts"] > last:
                units += {"order_created": -1, "order_cancelled": 1}.get(event["type"], 0) * _units(event, sku)
        return units

    def by_warehouse(self, sku: str, as_of_ms: int) -> dict[str, int]:
        """Stock of each warehouse with a count, ignoring orders."""
        warehouses = {event["warehouse"] for event in self.logistics if event["type"] == "stock_level"}
        held = {}
        for warehouse in warehouses:
            mine = [
                event
                for event in self.logistics
                if event.get("warehouse") == warehouse and not event["type"].startswith("ship")
            ]
            units = StockOracle((), mine, self.keep_ms).available(sku, as_of_ms)
            if units is not None:
                held[warehouse] = units
        return held

    def sold(self, sku: str, promotion: str, as_of_ms: int) -> int:
        """Units of a SKU paid with a promotion's id, in total."""
        return sum(
            _units(event, sku)
            for event in self._seen(self.orders, as_of_ms)
            if event["type"] == "order_paid" and event.get("promotion_id") == promotion
        )

    def of_sku(self, sku: str, as_of_ms: int, promotion: str | None) -> dict[str, Number]:
        """The KPIs of a SKU; `promotion`: for its sell-through."""
        stock = self.available(sku, as_of_ms)
        rate = sum(
            _units(event, sku)
            for event in self.orders
            if event["type"] == "order_paid" and as_of_ms - 900_000 <= event["ts"] < as_of_ms
        )
        if stock is None:
            return dict.fromkeys(SKU_NAMES)
        sold = self.sold(sku, promotion, as_of_ms) if promotion is not None else None
        return {
            "stock_available": stock,
            "sell_through": None if sold is None or sold + stock <= 0 else sold / (sold + stock),
            "minutes_to_stockout": 0.0 if stock <= 0 else stock / (rate / 15) if rate else None,
            "oversold_units": max(0, -stock),
        }

    def of_shop(self, as_of_ms: int, skus: Iterable[str] | None = None) -> dict[str, Number]:
        """The KPIs of some SKUs together, by default of all."""
        wanted = {event["sku"] for event in self.logistics if event["type"] == "stock_level"} if skus is None else skus
        stocks = [stock for sku in set(wanted) if (stock := self.available(sku, as_of_ms)) is not None]
        out = sum(stock <= 0 for stock in stocks)
        return {"stockout_skus": out, "stock_fill_rate": (len(stocks) - out) / len(stocks) if stocks else None}

    @staticmethod
    def _seen(events: Sequence[Event], as_of_ms: int) -> Iterable[Event]:
        return (event for event in events if event["ts"] < as_of_ms)


def _units(event: Event, sku: str) -> int:
    return sum(item["qty"] for item in event["items"] if item["sku"] == sku)
