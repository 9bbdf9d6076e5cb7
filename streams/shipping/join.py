"""Joins a batch's facts with the stored facts of its orders: new records, and the resulting change of panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.panes.cells import NO_CELLS, Cells, counted
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.shipping.delta import NO_SHIPPING, ShippingDelta, delta_of, delta_of_payments, label_rows, merge_shipping
from streams.shipping.expansion import Entry, ShippingLimits, change
from streams.shipping.facts import NO_FACTS, Creation, OrderFacts, Payment, facts_with, merge, repeated_events
from streams.shipping.order_facts import FactsByOrder
from streams.shipping.record import RecordKey, decode, encode, encode_creation, encode_payment

_SCOPES = (Scope.REGION, Scope.CHANNEL, Scope.PROMOTION, Scope.MEMBER, Scope.VARIANT, Scope.CAMPAIGN, Scope.LIVE_ROOM)
"""Scopes of the fields of `OrderLabels`."""


def repeat_cells(repeats: Sequence[Payment | Creation], rows: RowIndex) -> Cells:
    """One `repeat_payments` or `repeat_creations` per repeat, in the pane of its own time, by its own labels."""
    panes: list[int] = []
    row_of: list[int] = []
    counters: list[int] = []
    for event in repeats:
        name = "repeat_payments" if isinstance(event, Payment) else "repeat_creations"
        event_rows = label_rows(rows, _SCOPES, event.labels)
        panes += [event.ts_ms // 1000] * len(event_rows)
        row_of += event_rows
        counters += [COUNTER_IDS[name]] * len(event_rows)
    if not panes:
        return NO_CELLS
    return counted(pane_keys(*(np.array(numbers, np.int64) for numbers in (panes, row_of, counters))))


class RecordChange(NamedTuple):
    """A record to write, if the stored one is still as read."""

    key: RecordKey
    before: bytes | None
    """None: there was none."""
    after: bytes


@dataclass(frozen=True, slots=True)
class OrderChanges:
    """The changes of a batch to its orders."""

    delta: ShippingDelta = NO_SHIPPING
    repeats: Cells = field(default_factory=lambda: NO_CELLS)
    """Counters of orders that were created or paid more than once."""
    changes: Sequence[RecordChange] = ()


def join(
    order_facts: FactsByOrder, records: Mapping[RecordKey, bytes | None], limits: ShippingLimits, rows: RowIndex
) -> OrderChanges:
    """New records of the orders in `order_facts`, and the change of panes; facts already stored change nothing.

    `records`: the stored record of each order, None if it has none.
    """
    changes: list[RecordChange] = []
    entries: list[tuple[int, Entry]] = []
    payments: list[Payment] = []
    repeats = list(order_facts.repeats)
    for key, fact in order_facts.facts.items():
        record = records.get(key)
        if record is None and isinstance(fact, Creation):
            changes.append(RecordChange(key, None, encode_creation(fact)))
            continue
        if record is None and isinstance(fact, Payment):
            changes.append(RecordChange(key, None, encode_payment(fact)))
            payments.append(fact)
            continue
        before, facts = NO_FACTS if record is None else decode(record), facts_with(fact)
        after = merge(before, facts)
        repeats += repeated_events(before, facts)
        if after == before:
            continue
        changes.append(RecordChange(key, record, encode(after)))
        paid = after.paid
        if paid is not None and before.paid is None and after == OrderFacts(paid, created=after.created):
            payments.append(paid)
        else:
            entries += change(before, after, limits)
    delta = merge_shipping([delta_of(entries, rows), delta_of_payments(payments, limits, rows)])
    return OrderChanges(delta, repeat_cells(repeats, rows), changes)
