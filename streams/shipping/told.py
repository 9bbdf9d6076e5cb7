"""What the events of a batch tell of their orders, beside the arrays that everything else is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.panes.arrays import NO_INTS, Ints
from streams.shipping.facts import Creation, Fact, Payment, facts_with, merge, repeated
from streams.shipping.keys import RecordKey, keys_of
from streams.shipping.reading import FACT_TYPES, creations, fact_of, labels_by_field, payments


@dataclass(frozen=True, slots=True)
class OrdersTold:
    """What the events of a batch tell together."""

    facts: Mapping[RecordKey, Fact] = field(default_factory=dict)
    """By the place of each order's record."""
    repeats: Sequence[Payment | Creation] = ()
    """Events that are not their order's first of the kind, as this batch alone shows."""


@dataclass(frozen=True, slots=True)
class Told:
    """Facts, each with its order; parallel, in any order."""

    event: Ints = field(default_factory=lambda: NO_INTS)
    """Place of the event in its `Columns`."""
    orders: Sequence[str] = ()
    facts: Sequence[Fact] = ()

    def __bool__(self) -> bool:
        return bool(self.orders)

    def take(self, places: Ints, count: int) -> Told:
        """What the events at these places tell, of `count` events."""
        if not self:
            return self
        moved = np.full(count, -1)
        moved[places] = np.arange(len(places))
        event = moved[self.event]
        kept = np.flatnonzero(event >= 0)
        chosen = kept.tolist()
        return Told(event[kept], [self.orders[i] for i in chosen], [self.facts[i] for i in chosen])

    def by_order(self) -> OrdersTold:
        """All that is told of each order."""
        keys = keys_of(self.orders)
        found = dict(zip(keys, self.facts, strict=True))
        if len(found) == len(keys):
            return OrdersTold(found)
        found, repeats = {}, []
        for key, fact in zip(keys, self.facts, strict=True):
            known = found.get(key)
            if known is None:
                found[key] = fact
            else:
                one, other = facts_with(known), facts_with(fact)
                repeats += repeated(one, other)
                found[key] = merge(one, other)
        return OrdersTold(found, repeats)


NOTHING_TOLD = Told()


def told_by_orders(
    events: Sequence[Any], fields: Mapping[str, Sequence[Any]], amounts: Sequence[int], units: Sequence[int]
) -> Told:
    """What events of the topic `orders` tell; `fields` are the same events field by field."""
    types = fields["type"]
    created = [i for i, name in enumerate(types) if name == "order_created"]
    paid = [i for i, name in enumerate(types) if name == "order_paid"]
    others = [i for i, name in enumerate(types) if name in ("order_cancelled", "order_refunded")]
    places = [*created, *paid, *others]
    if not places:
        return NOTHING_TOLD
    labels = labels_by_field(fields)
    facts = creations(fields, labels, created) + payments(fields, labels, paid, amounts, units)
    facts += [fact_of(events[i]) for i in others]
    orders = fields["order_id"]
    return Told(np.array(places, np.int64), [orders[i] for i in places], facts)


def told_by_shipments(events: Sequence[Any], types: Sequence[str]) -> Told:
    """What events of the topic `logistics` tell; `types` are their types."""
    places = [i for i, name in enumerate(types) if name in FACT_TYPES]
    if not places:
        return NOTHING_TOLD
    return Told(np.array(places, np.int64), [events[i].order_id for i in places], [fact_of(events[i]) for i in places])


def join_told(parts: Sequence[Told], shifts: Sequence[int]) -> Told:
    """Parts one after the other, the events of each shifted."""
    if not any(parts):
        return NOTHING_TOLD
    return Told(
        np.concatenate([part.event + shift for part, shift in zip(parts, shifts, strict=True)]),
        [order for part in parts for order in part.orders],
        [fact for part in parts for fact in part.facts],
    )
