"""Facts of one order: the first event of each kind that the shipping KPIs need, and its refunds and cancellations.

Facts arrive in any order and from two topics. Merging takes the earliest of each kind, and the union of refunds and of
cancellations: associative, commutative and idempotent. So the result does not depend on batches, repeats and topics.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple, TypeVar

UNKNOWN_MS = -1
"""Stands for a missing promised time."""
UNKNOWN = -1
"""Stands for amount and units of a payment in records of earlier versions."""
MAX_PARTS = 500
"""Number of refunds per order that are kept, the earliest, and of cancellations: records must stay small."""


class OrderLabels(NamedTuple):
    """Labels of an order's event, by the scopes in which it counts; empty: not counted there."""

    region: str = ""
    channel: str = ""
    promotion: str = ""
    member: str = ""
    """`true` or `false`."""
    variant: str = ""
    campaign: str = ""
    live_room: str = ""


class Creation(NamedTuple):
    """The order's first `order_created`, by time, then event id."""

    ts_ms: int
    event_id: str
    labels: OrderLabels


class Payment(NamedTuple):
    """The order's first payment, by time, then event id. Its labels are the order's."""

    ts_ms: int
    event_id: str
    labels: OrderLabels
    amount: int
    """Minor units, or `UNKNOWN`."""
    units: int
    """Sum of qty, or `UNKNOWN`."""


class Shipment(NamedTuple):
    """The order's first dispatch, or its first delivery."""

    ts_ms: int
    event_id: str
    promised_ms: int
    """Promised time of delivery, or `UNKNOWN_MS`."""
    region: str
    carrier: str
    warehouse: str


class PartialRefund(NamedTuple):
    """One refund or cancellation."""

    ts_ms: int
    id_hash: int
    """32 bits of the hash of its event id, to distinguish two of the same time and size."""
    size: int
    """Amount of a refund in minor units; units of a cancellation."""


Parts = tuple[PartialRefund, ...]
"""Distinct and sorted."""


class OrderFacts(NamedTuple):
    """The first event of each kind; None, or empty: not seen."""

    paid: Payment | None = None
    called_off_ms: int | None = None
    """The first cancellation or refund in a record of an earlier version without sizes: it ends the order."""
    dispatched: Shipment | None = None
    delivered: Shipment | None = None
    returned_ms: int | None = None
    """The first return of any goods."""
    created: Creation | None = None
    refunds: Parts = ()
    cancellations: Parts = ()

    @property
    def newest_ms(self) -> int:
        """Event time of the latest fact; there must be one."""
        return max(ts for ts in self.times_ms if ts is not None)

    @property
    def times_ms(self) -> tuple[int | None, ...]:
        """Time of each fact, in the order of the fields; of parts, the last one."""
        return (
            self.paid and self.paid.ts_ms,
            self.called_off_ms,
            self.dispatched and self.dispatched.ts_ms,
            self.delivered and self.delivered.ts_ms,
            self.returned_ms,
            self.created and self.created.ts_ms,
            self.refunds[-1].ts_ms if self.refunds else None,
            self.cancellations[-1].ts_ms if self.cancellations else None,
        )

    @property
    def ended_ms(self) -> int | None:
        """When refunds reached the first payment's amount, or cancellations its units.

        A payment of amount 0 is reached by its first refund. If the payment's size is unknown, the first part ends the
        order.
        """
        paid = self.paid
        if paid is None:
            return None
        ends = (self.called_off_ms, _reached(self.refunds, paid.amount), _reached(self.cancellations, paid.units))
        return min((end for end in ends if end is not None), default=None)


Fact = Creation | Payment | OrderFacts
"""Facts of one event. Creations and payments, nearly all events of a rush, are not wrapped in `OrderFacts`."""

NO_FACTS = OrderFacts()
T = TypeVar("T", Payment, Creation, Shipment, int)


def facts_with(fact: Fact) -> OrderFacts:
    """Wrap a single fact."""
    if isinstance(fact, OrderFacts):
        return fact
    return OrderFacts(paid=fact) if isinstance(fact, Payment) else OrderFacts(created=fact)


def merge(one: OrderFacts, other: OrderFacts) -> OrderFacts:
    """The union of two sets of facts: the first of each kind, and all parts."""
    if one is NO_FACTS:
        return other
    return OrderFacts(
        _first(one.paid, other.paid),
        _first(one.called_off_ms, other.called_off_ms),
        _first(one.dispatched, other.dispatched),
        _first(one.delivered, other.delivered),
        _first(one.returned_ms, other.returned_ms),
        _first(one.created, other.created),
        _union(one.refunds, other.refunds),
        _union(one.cancellations, other.cancellations),
    )


def _first(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _union(one: Parts, other: Parts) -> Parts:
    """The earliest `MAX_PARTS` of both."""
    if not other or one == other:
        return one
    return tuple(sorted({*one, *other})[:MAX_PARTS])


def _reached(parts: Parts, size: int) -> int | None:
    """When the sum of parts reached a size; None: never."""
    sums = accumulate(part.size for part in parts)
    return next((part.ts_ms for part, total in zip(parts, sums, strict=True) if total >= size), None)


def repeated_events(one: OrderFacts, other: OrderFacts) -> list[Payment | Creation]:
    """The creation and the payment that are not the order's first, where both have one and they differ.

    If the events of an order are merged one by one, in any order, these are all creations and payments but the first.
    """
    repeats: list[Payment | Creation] = []
    for known, added in ((one.created, other.created), (one.paid, other.paid)):
        if known is not None and added is not None and known[:2] != added[:2]:
            repeats.append(max(known, added))
    return repeats


def known_before(facts: OrderFacts, moment_s: int) -> OrderFacts:
    """Facts before a time, epoch seconds, without refunds and cancellations."""
    known = (
        fact if ts_ms is not None and ts_ms // 1000 < moment_s else None
        for fact, ts_ms in zip(facts[:6], facts.times_ms[:6], strict=True)
    )
    return OrderFacts(*known)  # type: ignore[arg-type]
