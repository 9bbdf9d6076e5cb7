"""What the shipping clock counts. A counter's place in its tuple is its id in stored panes: append, never reorder."""

from __future__ import annotations

from enum import IntEnum


class ShippingCounter(IntEnum):
    """Sums over a window; each counts in the pane of the moment named."""

    SHIP_INTERVALS = 0
    """First dispatches not before the order's first payment: at the dispatch."""
    SHIP_MS = 1
    """Their milliseconds since the payment: at the dispatch."""
    SHIPPED_IN_TIME = 2
    """Those of them within the limit: at the dispatch."""
    DUE = 3
    """Orders not called off: when the limit after their payment is reached."""
    DUE_IN_TIME = 4
    """Those of them dispatched by then: at the same moment."""
    DELIVERED = 5
    """First deliveries: at the delivery."""
    PROMISED = 6
    """Those of them with a promise: at the delivery."""
    ON_TIME = 7
    """Those of them not after the promise: at the delivery."""
    DELIVERY_INTERVALS = 8
    """First deliveries not before the order's first dispatch: at the delivery."""
    DELIVERY_MS = 9
    """Their milliseconds since the dispatch: at the delivery."""
    RETURNED = 10
    """Orders of which something came back for the first time: at the return."""
    UNSHIPPED = 11
    """+1 where an order begins to wait for its dispatch, -1 where it ends to."""
    OVERDUE = 12
    """+1 where an order that waits reaches the limit, -1 where its waiting ends after that."""
    WAITING = 13
    """Orders that wait, by all that is known: at the payment. Kept apart, see `streams.shipping.expansion`."""


N_SHIPPING_COUNTERS = len(ShippingCounter)


def shipping_sum_name(leg: ShippingCounter) -> str:
    """A counter's name among the sums that formulas take."""
    return f"leg.{leg.name.lower()}"


SHIPPING_SUM_NAMES = tuple(map(shipping_sum_name, ShippingCounter))
