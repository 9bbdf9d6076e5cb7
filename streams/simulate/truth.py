"""Exact counts of the messages sent, which consumers must reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from consumers.topics import EVENT_TOPICS
from streams.simulate.columns import EventColumns, Ints, SimulatedEventType
from streams.simulate.config import SimulationConfig
from streams.simulate.disorder import LATENCY_MAX_MS

FINE_BELOW_MS = 2 * 3_600_000
"""Shorter promotions have steps of a second, others of a minute."""


@dataclass(slots=True)
class SimulatedSales:
    """Net GMV of a promotion so far, in minor units, over its own time (events with its id, as in the contract)."""

    promotion_id: str
    starts_ms: int
    """Rounded down to the minute, as the window `promotion`."""
    ends_ms: int
    """Rounded down to the second."""
    step_ms: int
    gmv: int = 0
    refunds: int = 0
    net_gmv: list[int] = field(default_factory=list)
    """[step]: net GMV of distinct events in `[starts_ms + step * step_ms, + step_ms)`"""

    @classmethod
    def of(cls, config: SimulationConfig) -> Self | None:
        """Zero sales; None for a run without promotion."""
        plan = config.promotion
        if plan is None:
            return None
        begins, ends = config.at(plan.phases[0].begins), config.at(plan.phases[-1].ends)
        starts_ms, ends_ms = begins - begins % 60_000, ends - ends % 1000
        step_ms = 1000 if ends_ms - starts_ms < FINE_BELOW_MS else 60_000
        steps = -(-(ends_ms - starts_ms) // step_ms)
        return cls(plan.promotion_id, starts_ms, ends_ms, step_ms, net_gmv=[0] * steps)

    def count(self, rows: EventColumns) -> None:
        """Count sent rows, without duplicates."""
        paid, refunded = rows.kind == SimulatedEventType.ORDER_PAID, rows.kind == SimulatedEventType.ORDER_REFUNDED
        index = np.flatnonzero(
            (paid | refunded) & ~rows.repeat & (rows.ts >= self.starts_ms) & (rows.ts < self.ends_ms)
        )
        own = np.fromiter((b'"promotion_id":' in body for body in rows.body[index]), np.bool_, len(index))
        index = index[own]
        self.gmv += int(rows.value[index][paid[index]].sum())
        self.refunds += int(rows.value[index][refunded[index]].sum())
        amounts: Ints = np.where(paid[index], rows.value[index], -rows.value[index])
        steps = (rows.ts[index] - self.starts_ms) // self.step_ms
        for step, amount in zip(steps.tolist(), amounts.tolist(), strict=True):
            self.net_gmv[step] += amount


@dataclass(slots=True)
class Truth:
    """Counts of a run so far; money in minor units. Duplicates count in `messages` and `repeats` only."""

    messages: dict[str, int] = field(default_factory=lambda: {topic.value: 0 for topic in EVENT_TOPICS})
    """<topic: messages, with duplicates>"""
    repeats: dict[str, int] = field(default_factory=lambda: {topic.value: 0 for topic in EVENT_TOPICS})
    events: dict[str, int] = field(default_factory=lambda: {kind.type: 0 for kind in SimulatedEventType})
    """<type: distinct events>"""
    late: int = 0
    """Messages that arrived more than 3 s after their event time, with duplicates."""
    latest_ms: int = 0
    gmv: int = 0
    """Σ amount of `order_paid`."""
    refunds: int = 0
    ad_cost: int = 0
    promotions: int = 0
    sold: SimulatedSales | None = None
    """Sales of the promotion; None without one."""

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.messages.values()) + self.promotions

    def count(self, rows: EventColumns) -> None:
        """Count sent rows."""
        distinct = ~rows.repeat
        per_kind = np.bincount(rows.kind[distinct], minlength=len(SimulatedEventType)).tolist()
        repeated = np.bincount(rows.kind[rows.repeat], minlength=len(SimulatedEventType)).tolist()
        for kind in SimulatedEventType:
            self.events[kind.type] += per_kind[kind]
            self.repeats[kind.topic.value] += repeated[kind]
            self.messages[kind.topic.value] += per_kind[kind] + repeated[kind]
        lateness = rows.arrival - rows.ts
        self.late += int((lateness > LATENCY_MAX_MS).sum())
        self.latest_ms = max(self.latest_ms, int(lateness.max(initial=0)))
        self.gmv += int(rows.value[distinct & (rows.kind == SimulatedEventType.ORDER_PAID)].sum())
        self.refunds += int(rows.value[distinct & (rows.kind == SimulatedEventType.ORDER_REFUNDED)].sum())
        self.ad_cost += int(rows.value[distinct & (rows.kind == SimulatedEventType.AD_CLICK)].sum())
        if self.sold is not None:
            self.sold.count(rows)
