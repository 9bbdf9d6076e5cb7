"""How long legs take, as a histogram whose buckets grow by a constant factor: quantiles within 2 %, and it adds up.

The sketch is DDSketch's (Masson, Rim and Lee, VLDB 2019): a quantile is the middle of the bucket that it falls in. Its
buckets are counters in panes like any others, 64 of them in a row of their own beside each row that has legs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

GROWTH = 1.04
FIRST_BUCKET_MS = 360_000
"""What takes up to 6 minutes is in the first bucket; what takes more than about 90 days in the last."""
BUCKETS = 256
COUNTERS_PER_ROW = 64
"""Counters that a row has."""
ROWS_PER_HISTOGRAM = BUCKETS // COUNTERS_PER_ROW

SHIP, DELIVERY = 1, 2
"""The two kinds of leg."""

_ENDS_MS = [round(FIRST_BUCKET_MS * GROWTH**i) for i in range(BUCKETS - 1)]
"""The longest time in each bucket but the last: whole numbers, so that every machine finds the same bucket."""


def histogram_counter(kind: int, took_ms: int) -> int:
    """The counter of a leg of a kind; such counters begin where those of a row end."""
    return kind * BUCKETS + bisect_left(_ENDS_MS, took_ms)


def share_of(counter: int) -> tuple[int, int, int]:
    """(kind, which of the `ROWS_PER_HISTOGRAM` rows, counter in that row) of a `histogram_counter`."""
    kind, bucket = divmod(counter, BUCKETS)
    return kind, bucket // COUNTERS_PER_ROW, bucket % COUNTERS_PER_ROW


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """The time that a share of the legs do not take longer than, of the counts of all buckets; None without legs, and
    where it lies in the first bucket, of which only the end is known."""
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
    """The value that is within 2 % of all in a bucket."""
    return FIRST_BUCKET_MS * GROWTH**bucket * 2 / (1 + GROWTH)
