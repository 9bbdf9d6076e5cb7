"""The topics of the event contract, their partitions, and their names on the broker."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_ALLOWED = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 249
"""Kafka's limit on the length of a topic name."""
_INTERNAL = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"})


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


class SourceTopic(str):
    """A topic in the shop's own format, by its name on the broker (`consumers.sources`)."""

    __slots__ = ()


InputTopic = Topic | SourceTopic
"""A topic that workers read."""
_LOGICAL = {topic.value: topic for topic in Topic}


def input_topic(name: str) -> InputTopic:
    """The topic with this logical name; any other name is that of a source's topic.

    >>> input_topic("orders"), input_topic("shop.orders.v3")
    (<Topic.ORDERS: 'orders'>, 'shop.orders.v3')
    """
    return _LOGICAL.get(name) or SourceTopic(name)


WORKER_TOPICS = tuple(topic for topic in Topic if topic is not Topic.ALERTS)
"""The topics that workers read or write."""

EVENT_TOPICS = (Topic.CLICKS, Topic.ORDERS, Topic.LOGISTICS)
"""The topics whose events are counted and whose partitions advance the as-of."""

READ_TOPICS = (*EVENT_TOPICS, Topic.PROMOTIONS)
"""The topics that workers read, without sources."""

Feeds = Mapping[InputTopic, tuple[Topic, ...]]
"""# <topic with events that workers read: the topics of the contract that its messages make events of>"""
CONTRACT_FEEDS: Feeds = {topic: (topic,) for topic in EVENT_TOPICS}
"""Every topic holds events of the contract."""


def topics_feeding(feeds: Feeds, wanted: Collection[Topic]) -> frozenset[InputTopic]:
    """The topics that may hold events of some topics of the contract."""
    return frozenset(topic for topic, fed in feeds.items() if not set(fed).isdisjoint(wanted))


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A partition of a topic."""

    topic: InputTopic
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> Partition:
        """The inverse of `str`."""
        topic, _, number = text.rpartition("/")
        return cls(input_topic(topic), int(number))


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of the topics on the broker: `prefix` and the topic's own or logical name."""

    prefix: str = ""
    renamed: tuple[tuple[Topic, str], ...] = ()
    """Topics whose own name differs from the logical one."""
    sources: tuple[str, ...] = ()
    """Topics in the shop's own format, by their names on the broker."""
    _names: Mapping[Topic, str] = field(init=False, repr=False, compare=False)
    _topics: Mapping[str, InputTopic] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = dict(self.renamed)
        names = {topic: self.prefix + own.get(topic, topic.value) for topic in Topic}
        object.__setattr__(self, "_names", names)
        sources = {name: SourceTopic(name) for name in self.sources}
        object.__setattr__(self, "_topics", {**sources, **{name: topic for topic, name in names.items()}})

    def on_broker(self, topic: InputTopic) -> str:
        """The name of a topic on the broker."""
        return self._names[topic] if isinstance(topic, Topic) else topic

    def on_broker_by_name(self, logical: str) -> str:
        """The name on the broker for a logical name; an unknown name is returned as it is."""
        return next((name for topic, name in self._names.items() if topic == logical), logical)

    def topic(self, name: str) -> InputTopic:
        """The topic with this name on the broker. Raises KeyError for other topics."""
        return self._topics[name]

    def shown(self, topic: InputTopic) -> str:
        """The topic in messages: both names if they differ.

        >>> TopicNames("shop.").shown(Topic.ORDERS)
        'orders (shop.orders on the broker)'
        """
        name = self.on_broker(topic)
        return str(topic) if name == topic else f"{topic} ({name} on the broker)"

    @property
    def renamed_on_broker(self) -> dict[str, str]:
        """The names on the broker that differ from the logical ones, by logical name."""
        return {topic.value: name for topic, name in self._names.items() if name != topic.value}

    def log_fields(self) -> dict[str, str]:
        """Fields for the start log line; empty if no name differs."""
        renamed_on_broker = [f"{topic}={name}" for topic, name in self.renamed_on_broker.items()]
        return {"topics": " ".join(renamed_on_broker)} if renamed_on_broker else {}

    def faults(self) -> Iterator[str]:
        """Yield a message for each invalid name, and for names that Kafka treats as equal."""
        seen: dict[str, Topic] = {}
        for topic, name in self._names.items():
            if fault := topic_name_fault(name):
                yield f"{topic} would be called {name!r} on the broker: {fault}"
            # Kafka's metrics replace dots with underscores, so brokers refuse names that differ only in these.
            other = seen.setdefault(name.replace(".", "_"), topic)
            if other is not topic:
                yield f"{other} and {topic} would both be called {name!r} on the broker: each topic needs its own name"


LOGICAL_NAMES = TopicNames()
"""Every topic has its logical name on the broker."""


def topic_name_fault(name: str) -> str:
    """Why Kafka does not allow the name of a topic; empty if it does."""
    if len(name) > _LONGEST:
        return f"a topic name has at most {_LONGEST} characters"
    if not _ALLOWED.fullmatch(name) or name in (".", ".."):
        return "a topic name has letters, digits, '.', '_' and '-' only"
    return "this is one of Kafka's internal topics" if name in _INTERNAL else ""
