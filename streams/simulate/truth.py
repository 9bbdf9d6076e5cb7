"""What was sent, counted exactly while it was made: the answer that a consumer must reach."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from consumers.topics import EVENT_TOPICS
from streams.simulate.columns import EventColumns, SimulatedEventType
from streams.simulate.disorder import LATENCY_MAX_MS
from streams.simulate.sold import SimulatedSales


@dataclass(slots=True)
class Truth:
    """Counts of a run so far. Money is minor units. Repeats count in `messages` and `repeats` only."""

    messages: dict[str, int] = field(default_factory=lambda: {topic.value: 0 for topic in EVENT_TOPICS})
    """# topic: messages sent, repeats among them"""
    repeats: dict[str, int] = field(default_factory=lambda: {topic.value: 0 for topic in EVENT_TOPICS})
    events: dict[str, int] = field(default_factory=lambda: {kind.type: 0 for kind in SimulatedEventType})
    """# type: distinct events"""
    late: int = 0
    """Messages that arrived more than 3 s after their event time, repeats included."""
    latest_ms: int = 0
    gmv: int = 0
    """Σ amount of `order_paid`."""
    refunds: int = 0
    ad_cost: int = 0
    promotions: int = 0
    sold: SimulatedSales | None = None
    """What the promotion sold; None without one."""

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.messages.values()) + self.promotions

    def count(self, rows: EventColumns) -> None:
        """Adds rows that are sent."""
        fresh = ~rows.repeat
        per_kind = np.bincount(rows.kind[fresh], minlength=len(SimulatedEventType)).tolist()
        again = np.bincount(rows.kind[rows.repeat], minlength=len(SimulatedEventType)).tolist()
        for kind in SimulatedEventType:
            self.events[kind.type] += per_kind[kind]
            self.repeats[kind.topic.value] += again[kind]
            self.messages[kind.topic.value] += per_kind[kind] + again[kind]
        lateness = rows.arrival - rows.ts
        self.late += int((lateness > LATENCY_MAX_MS).sum())
        self.latest_ms = max(self.latest_ms, int(lateness.max(initial=0)))
        self.gmv += int(rows.value[fresh & (rows.kind == SimulatedEventType.ORDER_PAID)].sum())
        self.refunds += int(rows.value[fresh & (rows.kind == SimulatedEventType.ORDER_REFUNDED)].sum())
        self.ad_cost += int(rows.value[fresh & (rows.kind == SimulatedEventType.AD_CLICK)].sum())
        if self.sold is not None:
            self.sold.count(rows)
