"""Exact counts of the messages sent, which the counted result must equal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from consumers.topics import EVENT_TOPICS
from streams.simulate import Message


class _Item(msgspec.Struct):
    """Line of an order."""

    qty: int
    unit_price: int


class _Head(msgspec.Struct):
    """The counted fields of an event."""

    event_id: str
    type: str
    discount: int = 0
    shipping_fee: int = 0
    items: list[_Item] = []

    @property
    def amount(self) -> int:
        """Amount of an order in minor units, by the formula of the event contract."""
        return sum(item.qty * item.unit_price for item in self.items) - self.discount + self.shipping_fee


_decoder = msgspec.json.Decoder(_Head)


class ExactCounts:
    """Exact counts of simulated messages. Shares no code with the workers."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """<type: distinct events>"""
        self.repeats = 0
        """Duplicate messages."""
        self.gmv = 0
        self.newest_ms = 0
        """Newest event time."""
        self._seen: defaultdict[tuple[str, str], bytearray] = defaultdict(bytearray)
        """<(topic, run): bitmap of the sequence numbers in event ids>"""

    @property
    def distinct(self) -> int:
        """Distinct events."""
        return self.events.total()

    def add(self, messages: Iterable[Message]) -> None:
        """Count messages."""
        for topic, _, ts_ms, value in messages:
            if topic in EVENT_TOPICS:
                head = _decoder.decode(value)
                run, _, number = head.event_id.rpartition("-")
                if self._is_new((topic, run), int(number, 16)):
                    self.events[head.type] += 1
                    self.gmv += head.amount if head.type == "order_paid" else 0
                else:
                    self.repeats += 1
                self.newest_ms = max(self.newest_ms, ts_ms)

    def _is_new(self, run: tuple[str, str], number: int) -> bool:
        seen, place, bit = self._seen[run], number >> 3, 1 << (number & 7)
        if place >= len(seen):
            seen.extend(bytes(place + 1024 - len(seen)))
        known = seen[place] & bit
        seen[place] |= bit
        return not known
