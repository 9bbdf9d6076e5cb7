"""What the events of a batch tell of their orders, beside the arrays that everything else is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.panes.arrays import NO_INTS, Ints
from streams.shipping.facts import Facts, merge
from streams.shipping.reading import FACT_TYPES, fact_of


@dataclass(frozen=True, slots=True)
class Told:
    """Facts, each with its order; parallel."""

    event: Ints = field(default_factory=lambda: NO_INTS)
    """Place of the event in its `Columns`, ascending."""
    orders: Sequence[str] = ()
    facts: Sequence[Facts] = ()

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

    def by_order(self) -> dict[str, Facts]:
        """All that is told of each order."""
        found: dict[str, Facts] = {}
        for order, fact in zip(self.orders, self.facts, strict=True):
            known = found.get(order)
            found[order] = fact if known is None else merge(known, fact)
        return found


NOTHING_TOLD = Told()


def told_by(events: Sequence[Any], types: Sequence[str]) -> Told:
    """What decoded events tell; `types` are their types."""
    places = [i for i, name in enumerate(types) if name in FACT_TYPES]
    if not places:
        return NOTHING_TOLD
    telling = [events[i] for i in places]
    return Told(
        np.array(places, np.int64), [event.order_id for event in telling], [fact_of(event) for event in telling]
    )


def join_told(parts: Sequence[Told], shifts: Sequence[int]) -> Told:
    """Parts one after the other, the events of each shifted."""
    if not any(parts):
        return NOTHING_TOLD
    return Told(
        np.concatenate([part.event + shift for part, shift in zip(parts, shifts, strict=True)]),
        [order for part in parts for order in part.orders],
        [fact for part in parts for fact in part.facts],
    )
