"""Events as columns: what the simulator holds until an event arrives, one row an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from consumers.topics import Topic

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


class SimulatedEventType(IntEnum):
    """An event type; its lower-case name is the contract's `type`."""

    PAGE_VIEW = 0
    PRODUCT_VIEW = 1
    SEARCH = 2
    ADD_TO_CART = 3
    FAVORITE = 4
    CHECKOUT_START = 5
    AD_IMPRESSION = 6
    AD_CLICK = 7
    LIVE_ENTER = 8
    LIVE_COMMENT = 9
    ORDER_CREATED = 10
    ORDER_PAID = 11
    PAYMENT_FAILED = 12
    ORDER_CANCELLED = 13
    ORDER_REFUNDED = 14
    STOCK_LEVEL = 15
    STOCK_RECEIVED = 16
    STOCK_ADJUSTED = 17
    SHIPMENT_DISPATCHED = 18
    SHIPMENT_DELIVERED = 19
    SHIPMENT_DELAYED = 20
    RETURN_RECEIVED = 21

    @property
    def type(self) -> str:
        """The contract's name."""
        return self.name.lower()

    @property
    def topic(self) -> Topic:
        """Where the contract puts it."""
        if self < SimulatedEventType.ORDER_CREATED:
            return Topic.CLICKS
        return Topic.ORDERS if self < SimulatedEventType.STOCK_LEVEL else Topic.LOGISTICS


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events in columns of equal length. `body` and `tail` are pieces of JSON; a session or order shares its `body`."""

    kind: Bytes
    producer: Bytes
    """Which producer of its topic sends it: picks the clock skew and what `producer_silent` silences."""
    repeat: Bools
    """Sent again with the same `event_id`."""
    ts: Ints
    """Event time, epoch ms."""
    arrival: Ints
    """When it reaches Kafka, epoch ms; equal to `ts` until `disorder.send` has seen it."""
    number: Ints
    """The running number that `event_id` is made of."""
    value: Ints
    """What the kind's template or the truth needs: ms of dwell, money, units, `promised_ts`."""
    key: Objects
    body: Objects
    tail: Objects

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, index: NDArray[np.intp] | Ints | Bools | slice) -> EventColumns:
        """The rows at an index, in its order (copies, so that nothing larger is kept alive)."""
        if isinstance(index, slice):
            return EventColumns(*(getattr(self, name)[index].copy() for name in COLUMNS))
        return EventColumns(*(getattr(self, name)[index] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(EventColumns))


def concat(parts: Sequence[EventColumns]) -> EventColumns:
    """All rows, one part after the other."""
    if not parts:
        return NO_ROWS
    if len(parts) == 1:
        return parts[0]
    return EventColumns(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def draft(
    kind: SimulatedEventType,
    at: Ints,
    *,
    key: Objects,
    body: Objects,
    producer: Bytes,
    value: Ints | None = None,
    tail: Objects | bytes = b"",
) -> EventColumns:
    """Rows of one kind that happen at `at` (epoch ms) and are not numbered or sent yet."""
    size = len(at)
    tails = np.full(size, tail, dtype=np.object_) if isinstance(tail, bytes) else tail
    zeros = np.zeros(size, dtype=np.int64)
    return EventColumns(
        np.full(size, kind, dtype=np.uint8),
        producer,
        np.zeros(size, dtype=np.bool_),
        at,
        at,
        zeros,
        zeros if value is None else value,
        key,
        body,
        tails,
    )


def objects(values: Sequence[bytes]) -> Objects:
    """A column of bytes objects (numpy alone would cut them to fixed width)."""
    return np.fromiter(values, dtype=np.object_, count=len(values))


def _no_rows() -> EventColumns:
    none = np.zeros(0, dtype=np.int64)
    empty = objects([])
    small = np.zeros(0, dtype=np.uint8)
    return EventColumns(small, small, np.zeros(0, dtype=np.bool_), none, none, none, none, empty, empty, empty)


NO_ROWS = _no_rows()
