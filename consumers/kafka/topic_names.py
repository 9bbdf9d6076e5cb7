"""What the topics are called on the broker. Everywhere else they go by their logical names, those of `Topic`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from consumers.topics import Topic

_ALLOWED = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 249
"""Characters of a topic name, by Kafka's own limit."""
_INTERNAL = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"})


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The name of each topic on the broker: `prefix`, then its own name, by default the logical one."""

    prefix: str = ""
    renamed: tuple[tuple[Topic, str], ...] = ()
    """Those whose own name is not the logical one."""
    _names: Mapping[Topic, str] = field(init=False, repr=False, compare=False)
    _topics: Mapping[str, Topic] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = dict(self.renamed)
        names = {topic: self.prefix + own.get(topic, topic.value) for topic in Topic}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_topics", {name: topic for topic, name in names.items()})

    def on_broker(self, topic: Topic) -> str:
        """What the broker calls a topic."""
        return self._names[topic]

    def on_broker_by_name(self, logical: str) -> str:
        """The same, of a logical name as text; a name that no topic has stays as it is."""
        return next((name for topic, name in self._names.items() if topic == logical), logical)

    def topic(self, name: str) -> Topic:
        """The topic that the broker calls so. Raises KeyError where it is none of salepulse's."""
        return self._topics[name]

    def shown(self, topic: Topic) -> str:
        """The topic for messages: both names where they differ.

        >>> TopicNames("shop.").shown(Topic.ORDERS)
        'orders (shop.orders on the broker)'
        """
        name = self.on_broker(topic)
        return topic.value if name == topic else f"{topic} ({name} on the broker)"

    @property
    def renamed_on_broker(self) -> dict[str, str]:
        """The names on the broker that are not the logical ones, by logical name."""
        return {topic.value: name for topic, name in self._names.items() if name != topic.value}

    def log_fields(self) -> dict[str, str]:
        """For the line that a process logs at its start: nothing where no name differs."""
        renamed_on_broker = [f"{topic}={name}" for topic, name in self.renamed_on_broker.items()]
        return {"topics": " ".join(renamed_on_broker)} if renamed_on_broker else {}

    def faults(self) -> Iterator[str]:
        """Why Kafka would not take these names, or would take two of them for one."""
        seen: dict[str, Topic] = {}
        for topic, name in self._names.items():
            if fault := _fault(name):
                yield f"{topic} would be called {name!r} on the broker: {fault}"
            # Kafka's metrics write dots as underscores, so its brokers refuse names that differ in nothing else.
            other = seen.setdefault(name.replace(".", "_"), topic)
            if other is not topic:
                yield f"{other} and {topic} would both be called {name!r} on the broker: each topic needs its own name"


LOGICAL_NAMES = TopicNames()
"""Each topic is called on the broker as everywhere else."""


def _fault(name: str) -> str:
    if len(name) > _LONGEST:
        return f"a topic name has at most {_LONGEST} characters"
    if not _ALLOWED.fullmatch(name) or name in (".", ".."):
        return "a topic name has letters, digits, '.', '_' and '-' only"
    return "that is a topic of Kafka's own" if name in _INTERNAL else ""
