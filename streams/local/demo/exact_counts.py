"""What was really sent, counted as it goes out: the answer that the monitor must reach."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from consumers.topics import EVENT_TOPICS
from streams.simulate import Message


class _Item(msgspec.Struct):
    """A line of an order."""

    qty: int
    unit_price: int


class _Head(msgspec.Struct):
    """What the tally looks at of an event."""

    event_id: str
    type: str
    discount: int = 0
    shipping_fee: int = 0
    items: list[_Item] = []

    @property
    def amount(self) -> int:
        """What an order costs, minor units: the event contract's formula."""
        return sum(item.qty * item.unit_price for item in self.items) - self.discount + self.shipping_fee


_decoder = msgspec.json.Decoder(_Head)


class ExactCounts:
    """Exact counts of messages of simulated runs. Shares nothing with the code that counts for the monitor."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """# type: distinct events"""
        self.repeats = 0
        """Messages whose event was sent before."""
        self.gmv = 0
        self.newest_ms = 0
        """Newest event time sent."""
        self._seen: defaultdict[tuple[str, str], bytearray] = defaultdict(bytearray)
        """# (topic, run): one bit for each running number that the simulator makes its event ids of"""

    @property
    def distinct(self) -> int:
        """Events sent, each once."""
        return self.events.total()

    def add(self, messages: Iterable[Message]) -> None:
        """Count what is sent."""
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

    def _is_new(self, numbered: tuple[str, str], number: int) -> bool:
        seen, place, bit = self._seen[numbered], number >> 3, 1 << (number & 7)
        if place >= len(seen):
            seen.extend(bytes(place + 1024 - len(seen)))
        known = seen[place] & bit
        seen[place] |= bit
        return not known
