"""Simulated events as columns, one row per event."""

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
        """The event type of the contract."""
        return self.name.lower()

    @property
    def topic(self) -> Topic:
        """The topic of the contract."""
        if self < SimulatedEventType.ORDER_CREATED:
            return Topic.CLICKS
        return Topic.ORDERS if self < SimulatedEventType.STOCK_LEVEL else Topic.LOGISTICS


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events in columns of equal length. `body` and `tail` are JSON fragments; a session or order shares its `body`."""

    kind: Bytes
    producer: Bytes
    """Index of the producer: selects its clock skew and the rows of `producer_silent`."""
    repeat: Bools
    """A duplicate, with the same `event_id`."""
    ts: Ints
    """Event time, epoch ms."""
    arrival: Ints
    """Arrival in Kafka, epoch ms; equal to `ts` before `disorder.send`."""
    number: Ints
    """Sequence number of the `event_id`."""
    value: Ints
    """Value of the type's template or of the truth: dwell ms, money, units, `promised_ts`."""
    key: Objects
    body: Objects
    tail: Objects

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, index: NDArray[np.intp] | Ints | Bools | slice) -> EventColumns:
        """Copy the rows at an index, in its order."""
        if isinstance(index, slice):
            return EventColumns(*(getattr(self, name)[index].copy() for name in COLUMNS))
        return EventColumns(*(getattr(self, name)[index] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(EventColumns))


def concat(parts: Sequence[EventColumns]) -> EventColumns:
    """Concatenate rows."""
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
    """Rows of one type at `at` (epoch ms), not yet numbered or sent."""
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
    """A column of bytes objects."""
    return np.fromiter(values, dtype=np.object_, count=len(values))


NO_ROWS = draft(
    SimulatedEventType.PAGE_VIEW,
    np.zeros(0, dtype=np.int64),
    key=objects([]),
    body=objects([]),
    producer=np.zeros(0, dtype=np.uint8),
)
