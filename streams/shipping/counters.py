"""Shipping counters. The value is the id in stored panes: append, never reorder."""

from __future__ import annotations

from enum import IntEnum


class ShippingCounter(IntEnum):
    """Sums over a window; each counts in the pane of the named event."""

    SHIP_INTERVALS = 0
    """First dispatches not before the order's first payment: at the dispatch."""
    SHIP_MS = 1
    """Their milliseconds since the payment: at the dispatch."""
    SHIPPED_IN_TIME = 2
    """Those within the limit: at the dispatch."""
    DUE = 3
    """Orders not cancelled or fully refunded: when the limit after their payment is reached."""
    DUE_IN_TIME = 4
    """Those dispatched by then: at the same time."""
    DELIVERED = 5
    """First deliveries: at the delivery."""
    PROMISED = 6
    """Those with a promised time: at the delivery."""
    ON_TIME = 7
    """Those not after the promised time: at the delivery."""
    DELIVERY_INTERVALS = 8
    """First deliveries not before the order's first dispatch: at the delivery."""
    DELIVERY_MS = 9
    """Their milliseconds since the dispatch: at the delivery."""
    RETURNED = 10
    """Orders with a first return: at the return."""
    UNSHIPPED = 11
    """+1 when an order starts to wait for its dispatch, -1 when it ends."""
    OVERDUE = 12
    """+1 when a waiting order reaches the limit, -1 when its waiting ends after that."""
    WAITING = 13
    """Orders that wait as far as known: at the payment. Stored separately, see `streams.shipping.expansion`."""


N_SHIPPING_COUNTERS = len(ShippingCounter)


def shipping_sum_name(counter: ShippingCounter) -> str:
    """Name of a counter among the sums of formulas."""
    return f"counter.{counter.name.lower()}"


SHIPPING_SUM_NAMES = tuple(map(shipping_sum_name, ShippingCounter))
