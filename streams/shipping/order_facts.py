"""Extracts the facts about orders from a batch's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from streams.panes.arrays import NO_INTS, Ints
from streams.shipping.facts import (
    UNKNOWN_MS,
    Creation,
    Fact,
    OrderFacts,
    OrderLabels,
    PartialRefund,
    Payment,
    Shipment,
    facts_with,
    merge,
    repeated_events,
)
from streams.shipping.record import RecordKey, keys_of

FACT_TYPES = frozenset({"shipment_dispatched", "shipment_delivered", "return_received"})
"""Types of shipment events with facts about an order."""
LABEL_FIELDS = ("region", "channel", "promotion_id", "member", "variant", "campaign", "live_room")
"""The fields of `OrderLabels`, in its order."""


def _fact_of(event: Any) -> OrderFacts:
    """The fact of one event, a struct of `consumers.contract.decoding`, that is no creation or payment."""
    match event.type:
        case "order_cancelled":
            units = sum([item.qty for item in event.items])
            return OrderFacts(cancellations=(PartialRefund(event.ts, _hash(event.event_id), units),))
        case "order_refunded":
            return OrderFacts(refunds=(PartialRefund(event.ts, _hash(event.event_id), event.refund_amount),))
        case "shipment_dispatched":
            return OrderFacts(dispatched=_shipment(event))
        case "shipment_delivered":
            return OrderFacts(delivered=_shipment(event))
        case _:
            return OrderFacts(returned_ms=event.ts)


@lru_cache(maxsize=1 << 14)
def _labels(values: tuple[str | bool | None, ...]) -> OrderLabels:
    """Labels from the values of `LABEL_FIELDS`; cached, since few combinations occur."""
    return OrderLabels(*(_label(value) for value in values))


def _label(value: str | bool | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value).lower()


def _hash(event_id: str) -> int:
    return xxh3_64_intdigest(event_id) & 0xFFFFFFFF


def _shipment(event: Any) -> Shipment:
    promised_ms = UNKNOWN_MS if event.promised_ts is None else event.promised_ts
    return Shipment(
        event.ts, event.event_id, promised_ms, event.region or "", event.carrier or "", event.warehouse or ""
    )


@dataclass(frozen=True, slots=True)
class FactsByOrder:
    """The facts of a batch, by order."""

    facts: Mapping[RecordKey, Fact] = field(default_factory=dict)
    """By record key."""
    repeats: Sequence[Payment | Creation] = ()
    """Events that are not their order's first of the kind within the batch."""


@dataclass(frozen=True, slots=True)
class OrderedFacts:
    """Facts with their orders; parallel, in any order."""

    event: Ints = field(default_factory=lambda: NO_INTS)
    """Index of the event in its `Columns`."""
    orders: Sequence[str] = ()
    facts: Sequence[Fact] = ()

    def __bool__(self) -> bool:
        return bool(self.orders)

    def take(self, positions: Ints, count: int) -> OrderedFacts:
        """Facts of the events at these indexes, of `count` events."""
        if not self:
            return self
        new_index = np.full(count, -1)
        new_index[positions] = np.arange(len(positions))
        event = new_index[self.event]
        kept = np.flatnonzero(event >= 0)
        chosen = kept.tolist()
        return OrderedFacts(event[kept], [self.orders[i] for i in chosen], [self.facts[i] for i in chosen])

    def by_order(self) -> FactsByOrder:
        """The facts grouped by order."""
        keys = keys_of(self.orders)
        by_key = dict(zip(keys, self.facts, strict=True))
        if len(by_key) == len(keys):
            return FactsByOrder(by_key)
        by_key, repeats = {}, []
        for key, fact in zip(keys, self.facts, strict=True):
            known = by_key.get(key)
            if known is None:
                by_key[key] = fact
            else:
                first, second = facts_with(known), facts_with(fact)
                repeats += repeated_events(first, second)
                by_key[key] = merge(first, second)
        return FactsByOrder(by_key, repeats)


NO_ORDERED_FACTS = OrderedFacts()


def facts_from_order_events(
    events: Sequence[Any], fields: Mapping[str, Sequence[Any]], amounts: Sequence[int], units: Sequence[int]
) -> OrderedFacts:
    """Facts of events of the topic `orders`; `fields` are the same events by field."""
    types = fields["type"]
    created = [i for i, name in enumerate(types) if name == "order_created"]
    paid = [i for i, name in enumerate(types) if name == "order_paid"]
    others = [i for i, name in enumerate(types) if name in ("order_cancelled", "order_refunded")]
    indexes = [*created, *paid, *others]
    if not indexes:
        return NO_ORDERED_FACTS
    ts_ms, event_ids, orders = fields["ts"], fields["event_id"], fields["order_id"]
    labels = list(map(_labels, zip(*(fields[name] for name in LABEL_FIELDS), strict=True)))
    facts: list[Fact] = [Creation(ts_ms[i], event_ids[i], labels[i]) for i in created]
    facts += [Payment(ts_ms[i], event_ids[i], labels[i], amounts[i], units[i]) for i in paid]
    facts += [_fact_of(events[i]) for i in others]
    return OrderedFacts(np.array(indexes, np.int64), [orders[i] for i in indexes], facts)


def facts_from_shipment_events(events: Sequence[Any], types: Sequence[str]) -> OrderedFacts:
    """Facts of events of the topic `logistics`; `types` are their types."""
    indexes = [i for i, name in enumerate(types) if name in FACT_TYPES]
    if not indexes:
        return NO_ORDERED_FACTS
    return OrderedFacts(
        np.array(indexes, np.int64), [events[i].order_id for i in indexes], [_fact_of(events[i]) for i in indexes]
    )


def concatenate_facts(parts: Sequence[OrderedFacts], shifts: Sequence[int]) -> OrderedFacts:
    """Concatenate parts, shifting the event indexes of each."""
    if not any(parts):
        return NO_ORDERED_FACTS
    return OrderedFacts(
        np.concatenate([part.event + shift for part, shift in zip(parts, shifts, strict=True)]),
        [order for part in parts for order in part.orders],
        [fact for part in parts for fact in part.facts],
    )
