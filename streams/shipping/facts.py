"""What is known of one order: the first event of each kind that the shipping KPIs rest on.

Facts come in any order and from two topics. Merging takes the lesser of each kind, so it is associative, commutative
and idempotent: the same events give the same facts, whatever the batches, repeats and topics they came in.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

UNKNOWN_MS = -1
"""In place of a promise that was not made."""


class Payment(NamedTuple):
    """The order's first payment; compared by time, then by event id. Its labels are the order's."""

    ts_ms: int
    event_id: str
    region: str
    """Empty where the event has none, like the labels after it."""
    channel: str
    promotion: str


class Shipment(NamedTuple):
    """The order's first dispatch, or its first delivery."""

    ts_ms: int
    event_id: str
    promised_ms: int
    """Promised moment of delivery, or `UNKNOWN_MS`."""
    region: str
    carrier: str
    warehouse: str


class Facts(NamedTuple):
    """The first of each kind; None: not seen."""

    paid: Payment | None = None
    called_off_ms: int | None = None
    """The first cancellation or refund, in part or whole."""
    dispatched: Shipment | None = None
    delivered: Shipment | None = None
    returned_ms: int | None = None
    """The first return of any of its goods."""

    @property
    def newest_ms(self) -> int:
        """Event time of the latest fact; there must be one."""
        return max(ts for ts in self.times_ms if ts is not None)

    @property
    def times_ms(self) -> tuple[int | None, ...]:
        """When each fact happened, in the order of the fields."""
        return (
            self.paid and self.paid.ts_ms,
            self.called_off_ms,
            self.dispatched and self.dispatched.ts_ms,
            self.delivered and self.delivered.ts_ms,
            self.returned_ms,
        )


NOTHING = Facts()
T = TypeVar("T", Payment, Shipment, int)


def merge(one: Facts, other: Facts) -> Facts:
    """The first of each kind that either knows."""
    if one is NOTHING:
        return other
    paid = _first(one.paid, other.paid)
    called_off_ms = _first(one.called_off_ms, other.called_off_ms)
    dispatched = _first(one.dispatched, other.dispatched)
    delivered = _first(one.delivered, other.delivered)
    return Facts(paid, called_off_ms, dispatched, delivered, _first(one.returned_ms, other.returned_ms))


def _first(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def known_before(facts: Facts, moment_s: int) -> Facts:
    """The facts that happened before a moment, seconds since the epoch."""
    held = (
        fact if ts_ms is not None and ts_ms // 1000 < moment_s else None
        for fact, ts_ms in zip(facts, facts.times_ms, strict=True)
    )
    return Facts(*held)  # type: ignore[arg-type]
