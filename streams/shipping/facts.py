"""What is known of one order: the first event of each kind that the shipping KPIs rest on, and what it lost since.

Facts come in any order and from two topics. Merging takes the lesser of each kind, and the union of refunds and of
cancellations, so it is associative, commutative and idempotent: the same events give the same facts, whatever the
batches, repeats and topics they came in.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple, TypeVar

UNKNOWN_MS = -1
"""In place of a promise that was not made."""
UNKNOWN = -1
"""In place of a payment's amount and units, in a record that was written before these were kept."""
MAX_PARTS = 500
"""Refunds of an order that are kept, the earliest ones, and as many cancellations: a record must stay small."""


class OrderLabels(NamedTuple):
    """The labels of an order's event, by the scopes it counts in; an empty one: nowhere."""

    region: str = ""
    channel: str = ""
    promotion: str = ""
    member: str = ""
    """`true` or `false`."""
    variant: str = ""
    campaign: str = ""
    live_room: str = ""


class Creation(NamedTuple):
    """The order's first `order_created`; compared by time, then by event id."""

    ts_ms: int
    event_id: str
    labels: OrderLabels


class Payment(NamedTuple):
    """The order's first payment; compared by time, then by event id. Its labels are the order's."""

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
    """Promised moment of delivery, or `UNKNOWN_MS`."""
    region: str
    carrier: str
    warehouse: str


class PartialRefund(NamedTuple):
    """One refund or cancellation."""

    ts_ms: int
    id_hash: int
    """32 bits of its event id's hash: tells two of one moment and size apart."""
    size: int
    """Of a refund its amount, minor units; of a cancellation its units."""


Parts = tuple[PartialRefund, ...]
"""Distinct, in order."""


class OrderFacts(NamedTuple):
    """The first of each kind; None, or no parts: not seen."""

    paid: Payment | None = None
    called_off_ms: int | None = None
    """The first cancellation or refund in a record written before their sizes were kept: it ends the order."""
    dispatched: Shipment | None = None
    delivered: Shipment | None = None
    returned_ms: int | None = None
    """The first return of any of its goods."""
    created: Creation | None = None
    refunds: Parts = ()
    cancellations: Parts = ()

    @property
    def newest_ms(self) -> int:
        """Event time of the latest fact; there must be one."""
        return max(ts for ts in self.times_ms if ts is not None)

    @property
    def times_ms(self) -> tuple[int | None, ...]:
        """When each fact happened, in the order of the fields; of parts, the last one."""
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
        """When what was refunded reached the first payment's amount, or the units cancelled reached its units.

        A payment of amount 0 is reached by its first refund. Where the payment's size is not known, the first part ends
        the order.
        """
        paid = self.paid
        if paid is None:
            return None
        ends = (self.called_off_ms, _reached(self.refunds, paid.amount), _reached(self.cancellations, paid.units))
        return min((end for end in ends if end is not None), default=None)


Fact = Creation | Payment | OrderFacts
"""What one event tells. The two that nearly all events of a rush tell are not wrapped in `OrderFacts`."""

NO_FACTS = OrderFacts()
T = TypeVar("T", Payment, Creation, Shipment, int)


def facts_with(fact: Fact) -> OrderFacts:
    """The facts of which this is the only one."""
    if isinstance(fact, OrderFacts):
        return fact
    return OrderFacts(paid=fact) if isinstance(fact, Payment) else OrderFacts(created=fact)


def merge(one: OrderFacts, other: OrderFacts) -> OrderFacts:
    """What either knows: the first of each kind, and all parts."""
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
    """When the sum of parts reached a size; None: it did not."""
    sums = accumulate(part.size for part in parts)
    return next((part.ts_ms for part, total in zip(parts, sums, strict=True) if total >= size), None)


def repeated_events(one: OrderFacts, other: OrderFacts) -> list[Payment | Creation]:
    """The creation and the payment that are not the order's first, where both know one and it is not the same event.

    Over all events of an order, each joined with what was known before it, these are all but the first, in whatever
    order they come.
    """
    found: list[Payment | Creation] = []
    for held, added in ((one.created, other.created), (one.paid, other.paid)):
        if held is not None and added is not None and held[:2] != added[:2]:
            found.append(max(held, added))
    return found


def known_before(facts: OrderFacts, moment_s: int) -> OrderFacts:
    """What happened before a moment, seconds since the epoch, of what the shipments rest on: all but the parts."""
    held = (
        fact if ts_ms is not None and ts_ms // 1000 < moment_s else None
        for fact, ts_ms in zip(facts[:6], facts.times_ms[:6], strict=True)
    )
    return OrderFacts(*held)  # type: ignore[arg-type]
