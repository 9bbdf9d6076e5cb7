"""The topics of the event contract and their partitions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """A Kafka topic that salepulse reads or writes."""

    CLICKS = "clicks"
    """Keyed by `user_id`."""
    ORDERS = "orders"
    """Keyed by `order_id`."""
    LOGISTICS = "logistics"
    """Keyed by `sku` for stock events, else by `order_id`."""
    PROMOTIONS = "promotions"
    """Compacted, keyed by `promotion_id`; a null value deletes the promotion."""
    DEAD_LETTERS = "dead-letters"
    """Written by salepulse: rejected messages, keyed like the original."""
    ALERTS = "alerts"
    """Written by salepulse: every change of an alert, keyed by its fingerprint."""


WORKER_TOPICS = tuple(topic for topic in Topic if topic is not Topic.ALERTS)
"""The topics that workers read or write."""

EVENT_TOPICS = (Topic.CLICKS, Topic.ORDERS, Topic.LOGISTICS)
"""The topics whose events are counted and whose partitions advance the as-of."""

READ_TOPICS = (*EVENT_TOPICS, Topic.PROMOTIONS)
"""The topics that workers read."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A partition of a topic."""

    topic: Topic
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> Partition:
        """The inverse of `str`."""
        topic, _, number = text.rpartition("/")
        return cls(Topic(topic), int(number))
