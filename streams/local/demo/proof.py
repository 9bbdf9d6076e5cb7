"""Exact counts of the messages sent, and the proof that each event was counted exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from consumers.topics import EVENT_TOPICS
from streams.model.formatting import format_money
from streams.simulate import Message
from streams.store.progress import Totals


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
        seen, byte, bit = self._seen[run], number >> 3, 1 << (number & 7)
        if byte >= len(seen):
            seen.extend(bytes(byte + 1024 - len(seen)))
        is_known = seen[byte] & bit
        seen[byte] |= bit
        return not is_known


@dataclass(frozen=True, slots=True)
class Proof:
    """Sent against counted events, by type."""

    sent: int
    counted: int
    lost: int
    doubled: int
    repeats_sent: int
    gmv_sent: int
    gmv_answered: int | None
    """The API's GMV in the window that covers the sale; None: no answer."""

    @classmethod
    def of(cls, counts: ExactCounts, totals: Totals, gmv_answered: int | None) -> Proof:
        """Compare the messages sent with the totals in Redis."""
        types = counts.events.keys() | totals.events.keys()
        surplus = [totals.events.get(name, 0) - counts.events.get(name, 0) for name in types]
        return cls(
            sent=counts.distinct,
            counted=sum(totals.events.values()),
            lost=sum(-count for count in surplus if count < 0),
            doubled=sum(count for count in surplus if count > 0),
            repeats_sent=counts.repeats,
            gmv_sent=counts.gmv,
            gmv_answered=gmv_answered,
        )

    @property
    def exact(self) -> bool:
        """Whether every event was counted once and the API's GMV is exact."""
        return not self.lost and not self.doubled and self.gmv_sent == self.gmv_answered

    def lines(self, currency: str, exponent: int) -> list[str]:
        """The proof as text."""
        gmv = f"GMV {format_money(self.gmv_sent, exponent)} {currency}"
        if self.gmv_sent == self.gmv_answered:
            gmv += ", equal to the API's answer to the cent" if exponent == 2 else ", equal to the API's answer"
        elif self.gmv_answered is not None:
            gmv += f", but the API's answer is {format_money(self.gmv_answered, exponent)}"
        return [
            f"produced {self.sent:,} events and {self.repeats_sent:,} duplicates",
            f"counted {self.counted:,} of {self.sent:,} events, {self.lost:,} lost, {self.doubled:,} doubled",
            gmv,
        ]
