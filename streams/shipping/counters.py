"""Shipping counters, whose values are ids in stored panes (append, never reorder), and histograms of intervals.

Histograms have buckets that grow by a constant factor: additive, quantiles within 2 %. The sketch is DDSketch (Masson,
Rim and Lee, VLDB 2019): a quantile is the middle of its bucket. Buckets are ordinary counters in panes, 64 of them in
each extra row beside a row with intervals.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import IntEnum


class ShippingCounter(IntEnum):
    """Sums over a window; each counts in the pane of the named event."""

    SHIP_INTERVALS = 0
    """First dispatches not before the order's first payment: at the dispatch."""
    SHIP_MS = 1
    """Milliseconds from payment to dispatch of `SHIP_INTERVALS`: at the dispatch."""
    SHIPPED_IN_TIME = 2
    """`SHIP_INTERVALS` within the limit: at the dispatch."""
    DUE = 3
    """Orders not cancelled or fully refunded: when the limit after their payment is reached."""
    DUE_IN_TIME = 4
    """`DUE` orders that were dispatched by then: at the same time."""
    DELIVERED = 5
    """First deliveries: at the delivery."""
    PROMISED = 6
    """`DELIVERED` orders with a promised time: at the delivery."""
    ON_TIME = 7
    """`PROMISED` orders delivered by the promised time: at the delivery."""
    DELIVERY_INTERVALS = 8
    """First deliveries not before the order's first dispatch: at the delivery."""
    DELIVERY_MS = 9
    """Milliseconds from dispatch to delivery of `DELIVERY_INTERVALS`: at the delivery."""
    RETURNED = 10
    """Orders with a first return: at the return."""
    UNSHIPPED = 11
    """+1 when an order starts to wait for its dispatch, -1 when it ends."""
    OVERDUE = 12
    """+1 when a waiting order reaches the limit, -1 when its waiting ends after that."""
    WAITING = 13
    """Orders that wait as far as known: at the payment. Stored separately, see `streams.shipping.expansion`."""

    @property
    def sum_name(self) -> str:
        """Name of the counter among the sums of formulas."""
        return f"counter.{self.name.lower()}"


N_SHIPPING_COUNTERS = len(ShippingCounter)
SHIPPING_SUM_NAMES = tuple(counter.sum_name for counter in ShippingCounter)

GROWTH = 1.04
FIRST_BUCKET_MS = 360_000
"""Durations up to 6 minutes fall in the first bucket, above about 90 days in the last."""
BUCKETS = 256
COUNTERS_PER_ROW = 64
ROWS_PER_HISTOGRAM = BUCKETS // COUNTERS_PER_ROW

SHIP, DELIVERY = 1, 2
"""Kinds of interval."""

_ENDS_MS = [round(FIRST_BUCKET_MS * GROWTH**i) for i in range(BUCKETS - 1)]
"""Upper bound of each bucket but the last; integers, so that every machine finds the same bucket."""


def histogram_counter(kind: int, took_ms: int) -> int:
    """The counter of an interval; histogram counters follow those of ordinary rows."""
    return kind * BUCKETS + bisect_left(_ENDS_MS, took_ms)


def share_of(counter: int) -> tuple[int, int, int]:
    """(kind, index among the `ROWS_PER_HISTOGRAM` rows, counter in that row) of a `histogram_counter`."""
    kind, bucket = divmod(counter, BUCKETS)
    return kind, bucket // COUNTERS_PER_ROW, bucket % COUNTERS_PER_ROW


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """A quantile of the durations, given the counts of all buckets; None without intervals, or if it falls in the
    first bucket, whose lower bound is unknown."""
    total = sum(counts)
    if total <= 0:
        return None
    rank, seen = share * (total - 1), 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen > rank:
            return _middle_ms(bucket) if bucket else None
    return _middle_ms(len(counts) - 1)


def _middle_ms(bucket: int) -> float:
    """The value within 2 % of all values of a bucket."""
    return FIRST_BUCKET_MS * GROWTH**bucket * 2 / (1 + GROWTH)
