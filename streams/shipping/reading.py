"""Facts of orders from decoded events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.shipping.facts import UNKNOWN_MS, Facts, Payment, Shipment

FACT_TYPES = frozenset(
    {
        *("order_paid", "order_cancelled", "order_refunded"),
        *("shipment_dispatched", "shipment_delivered", "return_received"),
    }
)
"""The types of event that tell something of an order."""


def fact_of(event: Any) -> Facts:
    """What one event of `FACT_TYPES` tells of its order; a struct from `consumers.decoding`."""
    match event.type:
        case "order_paid":
            paid = Payment(event.ts, event.event_id, event.region or "", event.channel or "", event.promotion_id or "")
            return Facts(paid, None, None, None, None)
        case "order_cancelled" | "order_refunded":
            return Facts(None, event.ts, None, None, None)
        case "shipment_dispatched":
            return Facts(dispatched=_shipment(event))
        case "shipment_delivered":
            return Facts(delivered=_shipment(event))
        case _:
            return Facts(returned_ms=event.ts)


def facts_of(events: Iterable[Any]) -> list[tuple[int, str, Facts]]:
    """(place, order id, fact) of each event that tells something."""
    return [(place, event.order_id, fact_of(event)) for place, event in enumerate(events) if event.type in FACT_TYPES]


def _shipment(event: Any) -> Shipment:
    promised_ms = UNKNOWN_MS if event.promised_ts is None else event.promised_ts
    return Shipment(
        event.ts, event.event_id, promised_ms, event.region or "", event.carrier or "", event.warehouse or ""
    )
