"""A small simulated sale, read back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from consumers.topics import Topic
from streams.simulate import Batch, Message, Simulation, SimulationConfig, Truth

START_MS = 1_762_776_000_000


def small(**changes: Any) -> SimulationConfig:
    """By default about 60,000 events of 1,000 products in a minute."""
    basic: dict[str, Any] = {"seed": 7, "rate": 1000.0, "duration_s": 60.0, "start_ms": START_MS}
    return SimulationConfig(**{**basic, "skus": 1000, "users": 20_000, **changes})


@dataclass(frozen=True)
class Played:
    """Messages of a simulation."""

    config: SimulationConfig
    batches: list[Batch]
    truth: Truth

    @cached_property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch.messages]

    def values(self, topic: Topic) -> list[bytes]:
        return [value for name, _, _, value in self.messages if name == topic]

    @cached_property
    def sent(self) -> list[dict[str, Any]]:
        """All events in order of arrival, with duplicates."""
        return [msgspec.json.decode(value) for topic, _, _, value in self.messages if topic != Topic.PROMOTIONS]

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """Distinct events."""
        return list({event["event_id"]: event for event in reversed(self.sent)}.values())[::-1]

    def of(self, *types: str, since: int = 0, until: int = 1 << 62, **fields: Any) -> list[dict[str, Any]]:
        """Distinct events of these types, in `[since, until)` ms of the run, with these field values."""
        begin, end = START_MS + since, START_MS + until
        return [
            event
            for event in self.events
            if event["type"] in types
            and begin <= event["ts"] < end
            and all(event.get(name) == value for name, value in fields.items())
        ]

    def count(self, *types: str, since: int = 0, until: int = 1 << 62, **fields: Any) -> int:
        return len(self.of(*types, since=since, until=until, **fields))

    @property
    def by_type(self) -> Counter[str]:
        return Counter(event["type"] for event in self.events)


def play(config: SimulationConfig, step_ms: int = 500) -> Played:
    simulation = Simulation(config)
    batches = list(simulation.batches(step_ms))
    return Played(config, batches, simulation.truth)


@lru_cache(maxsize=8)
def played(*incidents: str) -> Played:
    """The small sale with incidents, cached."""
    return play(small(incidents=incidents))


def amount(order: dict[str, Any]) -> int:
    """Amount of an order, by the contract."""
    goods = sum(item["qty"] * item["unit_price"] for item in order["items"])
    return int(goods - order.get("discount", 0) + order.get("shipping_fee", 0))
