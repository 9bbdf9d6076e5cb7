"""The shipping KPIs, computed simply: each query scans every order and its events before the as-of.

Written from the metric dictionary alone; shares no code with the product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.oracle_labels import without_bad_labels

Event = Mapping[str, Any]
Number = int | float | None

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SCOPES = ("all", "region", "channel", "promotion")
NAMES = (
    *("unshipped_orders", "overdue_shipments", "ship_within_48h_rate", "on_time_delivery_rate"),
    *("ship_hours", "delivery_hours", "return_rate"),
)


class Order:
    """The known facts of an order at a time."""

    def __init__(self, events: Iterable[Event]) -> None:
        by_type: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_type[event["type"]].append(event)

        def first(*kinds: str) -> Event | None:
            found = [event for kind in kinds for event in by_type[kind]]
            return min(found, key=lambda event: (event["ts"], event["event_id"]), default=None)

        self.paid = first("order_paid")
        refunded = sum(event["refund_amount"] for event in by_type["order_refunded"])
        cancelled = sum(_units(event) for event in by_type["order_cancelled"])
        self.ended = self.paid is not None and (
            (bool(by_type["order_refunded"]) and refunded >= _amount(self.paid)) or cancelled >= _units(self.paid)
        )
        self.dispatched = first("shipment_dispatched")
        self.delivered = first("shipment_delivered")
        self.returned = first("return_received")

    def label(self, scope: str) -> str | None:
        """The order's value of a scope."""
        if scope == "all":
            return ""
        if self.paid is not None:
            return self.paid.get("promotion_id" if scope == "promotion" else scope)
        if scope != "region":
            return None
        shipments = [shipment for shipment in (self.delivered, self.dispatched) if shipment is not None]
        return next((held["region"] for held in shipments if held.get("region") is not None), None)

    @property
    def promise(self) -> int | None:
        """The promised delivery time."""
        for shipment in (self.delivered, self.dispatched):
            if shipment is not None and shipment.get("promised_ts") is not None:
                return int(shipment["promised_ts"])
        return None


class ShippingOracle:
    """All orders and logistics events, each once."""

    def __init__(
        self, events: Iterable[Event], *, limit_ms: int = 48 * HOUR_MS, horizon_ms: int = 180 * DAY_MS
    ) -> None:
        self._events: dict[str, list[Event]] = defaultdict(list)
        for event in map(without_bad_labels, events):
            if event.get("order_id") is not None:
                self._events[event["order_id"]].append(event)
        self._limit_ms, self._horizon_ms = limit_ms, horizon_ms
        self._last: tuple[int, list[Order]] = (-1, [])

    def orders(self, as_of_ms: int) -> list[Order]:
        """Every order, from the events before a time."""
        if self._last[0] != as_of_ms:
            held = self._events.values()
            self._last = as_of_ms, [Order(event for event in events if event["ts"] < as_of_ms) for events in held]
        return self._last[1]

    def ask(self, start_ms: int, end_ms: int, as_of_ms: int, scope: str = "all", value: str = "") -> dict[str, Number]:
        """Every shipping KPI of the window [start, end) at an as-of."""
        orders = [order for order in self.orders(as_of_ms) if order.label(scope) == value]
        waiting = [
            order.paid["ts"]
            for order in orders
            if order.paid is not None
            and order.dispatched is None
            and not order.ended
            and order.paid["ts"] >= as_of_ms - self._horizon_ms
        ]
        due = [
            order
            for order in orders
            if order.paid is not None and not order.ended and start_ms <= order.paid["ts"] + self._limit_ms < end_ms
        ]
        in_time = [
            order
            for order in due
            if order.dispatched is not None and order.dispatched["ts"] <= order.paid["ts"] + self._limit_ms  # type: ignore[index]
        ]
        shipped = [
            order.dispatched["ts"] - order.paid["ts"]
            for order in orders
            if order.paid is not None
            and order.dispatched is not None
            and start_ms <= order.dispatched["ts"] < end_ms
            and order.dispatched["ts"] >= order.paid["ts"]
        ]
        delivered = [
            order for order in orders if order.delivered is not None and start_ms <= order.delivered["ts"] < end_ms
        ]
        legs = [
            order.delivered["ts"] - order.dispatched["ts"]  # type: ignore[index]
            for order in delivered
            if order.dispatched is not None and order.dispatched["ts"] <= order.delivered["ts"]  # type: ignore[index]
        ]
        promised = [order for order in delivered if order.promise is not None]
        on_time = [order for order in promised if order.delivered["ts"] <= order.promise]  # type: ignore[index]
        returned = [
            order for order in orders if order.returned is not None and start_ms <= order.returned["ts"] < end_ms
        ]
        return {
            "unshipped_orders": len(waiting),
            "overdue_shipments": sum(paid_ms < as_of_ms - self._limit_ms for paid_ms in waiting),
            "ship_within_48h_rate": _ratio(len(in_time), len(due)),
            "on_time_delivery_rate": _ratio(len(on_time), len(promised)),
            "ship_hours": _ratio(sum(shipped), len(shipped) * HOUR_MS),
            "delivery_hours": _ratio(sum(legs), len(legs) * HOUR_MS),
            "return_rate": _ratio(len(returned), len(delivered)),
        }


def _units(event: Event) -> int:
    return sum(item["qty"] for item in event["items"])


def _amount(event: Event) -> int:
    worth = sum(item["qty"] * item["unit_price"] for item in event["items"])
    return int(worth - (event.get("discount") or 0) + (event.get("shipping_fee") or 0))


def _ratio(above: int, below: int) -> Number:
    return above / below if below else None
