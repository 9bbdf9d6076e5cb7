"""Joining what a batch tells with what is known of its orders: new records, and what their change adds to the panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.panes.cells import NO_CELLS, Cells
from streams.panes.rows import Rows
from streams.shipping.delta import NO_SHIPPING, ShippingDelta, delta_of, delta_of_payments, merge_shipping
from streams.shipping.expansion import Entry, Limits, change
from streams.shipping.facts import NOTHING, Creation, Facts, Payment, facts_with, merge, repeated
from streams.shipping.keys import RecordKey
from streams.shipping.record import decode, encode, encode_creation, encode_payment
from streams.shipping.repeats import cells_of
from streams.shipping.told import OrdersTold


class RecordChange(NamedTuple):
    """A record that is to be written, should it still be what was read."""

    key: RecordKey
    before: bytes | None
    """None: there was none."""
    after: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """What a batch changes of its orders."""

    delta: ShippingDelta = NO_SHIPPING
    repeats: Cells = field(default_factory=lambda: NO_CELLS)
    """Counters of orders that were created or paid more than once."""
    changes: Sequence[RecordChange] = ()


def join(told: OrdersTold, records: Mapping[RecordKey, bytes | None], limits: Limits, rows: Rows) -> Joined:
    """What becomes of these orders' records; those not given are not there. What tells nothing new changes nothing."""
    changes: list[RecordChange] = []
    entries: list[tuple[int, Entry]] = []
    payments: list[Payment] = []
    repeats = list(told.repeats)
    for key, fact in told.facts.items():
        record = records.get(key)
        if record is None and isinstance(fact, Creation):
            changes.append(RecordChange(key, None, encode_creation(fact)))
            continue
        if record is None and isinstance(fact, Payment):
            changes.append(RecordChange(key, None, encode_payment(fact)))
            payments.append(fact)
            continue
        before, facts = NOTHING if record is None else decode(record), facts_with(fact)
        after = merge(before, facts)
        repeats += repeated(before, facts)
        if after == before:
            continue
        changes.append(RecordChange(key, record, encode(after)))
        paid = after.paid
        if paid is not None and before.paid is None and after == Facts(paid, created=after.created):
            payments.append(paid)
        else:
            entries += change(before, after, limits)
    delta = merge_shipping([delta_of(entries, rows), delta_of_payments(payments, limits, rows)])
    return Joined(delta, cells_of(repeats, rows), changes)
