"""The contribution of one order to the panes, as a pure function of its facts.

An entry is an amount of a counter in a pane, valid from a time on: an answer at an as-of counts it if the window covers
its pane and it is valid before the as-of. So answers at past as-ofs stay right, whatever becomes known later. Entries
valid by the start of their pane are ordinary cells; the others are *retroactive corrections*, which are rare: a
cancellation after the order fell due, a payment or dispatch after the delivery.

The states are sums, too. With H the time for which an order counts as unshipped, at an as-of

- unshipped(as_of) = sum of WAITING over panes in [as_of - H, ...) - sum of UNSHIPPED over panes in [as_of, ...)
- overdue(as_of)   = sum of WAITING over panes in [as_of - H, ...) - sum of OVERDUE over panes in [as_of, ...)

since a waiting order has one WAITING at its payment and one start of each state, and one that no longer waits has no
WAITING and as many ends as starts. Panes before `as_of - H` are never read and may expire, and only the limit reaches
into the future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from streams.panes.counters import DAY_S, HOUR_MS
from streams.shipping.counters import DELIVERY, SHIP, ShippingCounter, histogram_counter
from streams.shipping.facts import NO_FACTS, UNKNOWN_MS, OrderFacts, Payment, Shipment, known_before


@dataclass(frozen=True, slots=True)
class ShippingLimits:
    """Times that define the shipping KPIs."""

    overdue_ms: int = 48 * HOUR_MS
    """An order without a dispatch is overdue after this time."""
    horizon_s: int = 180 * DAY_S
    """How long after its payment an order counts as unshipped; longer than the limit."""


class Labels(NamedTuple):
    """Labels by which an entry counts, besides the whole shop; empty: not counted there."""

    region: str
    channel: str = ""
    promotion: str = ""
    carrier: str = ""
    warehouse: str = ""


class Entry(NamedTuple):
    """An amount of a counter in a pane of 1 s."""

    pane_s: int
    valid_s: int
    """Counts at an as-of after this second; a retroactive correction if this is after the pane."""
    labels: Labels
    counter: int
    """A `ShippingCounter`, or a `histogram_counter`."""
    amount: int


_Cells = dict[tuple[int, Labels, int], int]


def expand(facts: OrderFacts, limits: ShippingLimits) -> list[Entry]:
    """All entries of an order with these facts."""
    entries: list[Entry] = []
    if facts.paid is not None:
        _clock(entries, facts, facts.paid, limits)
        if facts.dispatched is not None and facts.dispatched.ts_ms >= facts.paid.ts_ms:
            _ship_interval(entries, facts.paid, facts.dispatched, limits)
    if facts.delivered is not None or facts.returned_ms is not None:
        _arrivals(entries, facts)
    return entries


def _clock(entries: list[Entry], facts: OrderFacts, paid: Payment, limits: ShippingLimits) -> None:
    """Entries of WAITING, OVERDUE and DUE, which follow from the payment."""
    labels = Labels(*paid.labels[:3])
    paid_s, due_s = paid.ts_ms // 1000, (paid.ts_ms + limits.overdue_ms) // 1000
    dispatched_ms = None if facts.dispatched is None else facts.dispatched.ts_ms
    ended_ms = facts.ended_ms
    called_off_s = None if ended_ms is None else ended_ms // 1000
    shipped_s = None if dispatched_ms is None else dispatched_ms // 1000
    ends = [end for end in (called_off_s, shipped_s) if end is not None]
    end_s = min(ends) if ends else None
    if end_s is None or end_s >= paid_s + limits.horizon_s:  # it waited beyond the horizon
        entries.append(Entry(paid_s, paid_s, labels, ShippingCounter.WAITING, 1))
        entries.append(Entry(paid_s, paid_s, labels, ShippingCounter.UNSHIPPED, 1))
        entries.append(Entry(due_s, paid_s, labels, ShippingCounter.OVERDUE, 1))
    elif end_s > paid_s:
        entries.append(Entry(paid_s, paid_s, labels, ShippingCounter.UNSHIPPED, 1))
        entries.append(Entry(end_s, end_s, labels, ShippingCounter.UNSHIPPED, -1))
        if end_s > due_s:
            entries.append(Entry(due_s, paid_s, labels, ShippingCounter.OVERDUE, 1))
            entries.append(Entry(end_s, end_s, labels, ShippingCounter.OVERDUE, -1))
    if called_off_s is not None and called_off_s <= due_s:
        return
    in_time = dispatched_ms is not None and dispatched_ms <= paid.ts_ms + limits.overdue_ms
    for counter in (ShippingCounter.DUE, ShippingCounter.DUE_IN_TIME) if in_time else (ShippingCounter.DUE,):
        entries.append(Entry(due_s, paid_s, labels, counter, 1))
        if called_off_s is not None:  # it fell due, and is excluded from the cancellation on
            entries.append(Entry(due_s, called_off_s, labels, counter, -1))


def _ship_interval(entries: list[Entry], paid: Payment, dispatched: Shipment, limits: ShippingLimits) -> None:
    at_s, took_ms = dispatched.ts_ms // 1000, dispatched.ts_ms - paid.ts_ms
    labels = Labels(*paid.labels[:3], dispatched.carrier, dispatched.warehouse)
    entries.append(Entry(at_s, at_s, labels, ShippingCounter.SHIP_INTERVALS, 1))
    entries.append(Entry(at_s, at_s, labels, ShippingCounter.SHIP_MS, took_ms))
    entries.append(Entry(at_s, at_s, labels, histogram_counter(SHIP, took_ms), 1))
    if took_ms <= limits.overdue_ms:
        entries.append(Entry(at_s, at_s, labels, ShippingCounter.SHIPPED_IN_TIME, 1))


def _arrivals(entries: list[Entry], facts: OrderFacts) -> None:
    """Entries of deliveries and returns, whose labels may change with a later payment or dispatch."""
    arrived_s = [at_ms // 1000 for at_ms in facts.times_ms[3:5] if at_ms is not None]
    named_s = [fact.ts_ms // 1000 for fact in (facts.paid, facts.dispatched) if fact is not None]
    if arrived_s == sorted(arrived_s) and all(at_s <= arrived_s[0] for at_s in named_s):
        # All events with their labels are known by then: no corrections.
        for (pane_s, labels, counter), amount in _arrived(facts).items():
            entries.append(Entry(pane_s, pane_s, labels, counter, amount))
        return
    before: _Cells = {}
    for valid_s in sorted({*arrived_s, *named_s}):
        now = _arrived(known_before(facts, valid_s + 1))
        for key in before.keys() | now.keys():
            if change := now.get(key, 0) - before.get(key, 0):
                pane_s, labels, counter = key
                entries.append(Entry(pane_s, valid_s, labels, counter, change))
        before = now


def _arrived(facts: OrderFacts) -> _Cells:
    """Cells of the delivery and the return, given these facts only."""
    cells: _Cells = {}
    labels = _labels(facts)
    delivered, dispatched = facts.delivered, facts.dispatched
    if delivered is not None:
        at_s = delivered.ts_ms // 1000
        cells[at_s, labels, ShippingCounter.DELIVERED] = 1
        promised_ms = delivered.promised_ms
        if promised_ms == UNKNOWN_MS and dispatched is not None:
            promised_ms = dispatched.promised_ms
        if promised_ms != UNKNOWN_MS:
            cells[at_s, labels, ShippingCounter.PROMISED] = 1
            if delivered.ts_ms <= promised_ms:
                cells[at_s, labels, ShippingCounter.ON_TIME] = 1
        if dispatched is not None and dispatched.ts_ms <= delivered.ts_ms:
            cells[at_s, labels, ShippingCounter.DELIVERY_INTERVALS] = 1
            took_ms = delivered.ts_ms - dispatched.ts_ms
            cells[at_s, labels, ShippingCounter.DELIVERY_MS] = took_ms
            cells[at_s, labels, histogram_counter(DELIVERY, took_ms)] = 1
    if facts.returned_ms is not None:
        cells[facts.returned_ms // 1000, labels, ShippingCounter.RETURNED] = 1
    return cells


def _labels(facts: OrderFacts) -> Labels:
    """The payment's labels, and those of the shipment; its region if the payment is unknown."""
    shipments = [shipment for shipment in (facts.delivered, facts.dispatched) if shipment is not None]
    carrier = next((shipment.carrier for shipment in reversed(shipments) if shipment.carrier), "")
    warehouse = next((shipment.warehouse for shipment in reversed(shipments) if shipment.warehouse), "")
    if facts.paid is not None:
        return Labels(*facts.paid.labels[:3], carrier, warehouse)
    return Labels(next((shipment.region for shipment in shipments if shipment.region), ""), "", "", carrier, warehouse)


def change(before: OrderFacts, after: OrderFacts, limits: ShippingLimits) -> list[tuple[int, Entry]]:
    """The entries to add (1) and to subtract (-1) when an order's facts change."""
    removed = [] if before is NO_FACTS else [(-1, entry) for entry in expand(before, limits)]
    return removed + [(1, entry) for entry in expand(after, limits)]
