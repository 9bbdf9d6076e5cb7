"""What a promotion sold, by its own clock: the curve that a monitor must come to. Counted as the contract says:
events that carry its id, from the minute that it starts in, to the second that it ends in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from streams.simulate.columns import EventColumns, Ints, SimulatedEventType
from streams.simulate.config import SimulationConfig

FINE_BELOW_MS = 2 * 3_600_000
"""Promotions shorter than this are told second by second, others minute by minute."""


@dataclass(slots=True)
class SimulatedSales:
    """Net GMV of one promotion, so far. Money is minor units."""

    promotion_id: str
    starts_ms: int
    """Rounded down to the minute, as window `promotion` is."""
    ends_ms: int
    """Rounded down to the second."""
    step_ms: int
    gmv: int = 0
    refunds: int = 0
    net_gmv: list[int] = field(default_factory=list)
    """# [step]: net GMV of the events in `[starts_ms + step * step_ms, + step_ms)`, each once"""

    @classmethod
    def of(cls, config: SimulationConfig) -> Self | None:
        """Nothing sold yet; None for a run without promotion."""
        plan = config.promotion
        if plan is None:
            return None
        begins, ends = config.at(plan.phases[0].begins), config.at(plan.phases[-1].ends)
        starts_ms, ends_ms = begins - begins % 60_000, ends - ends % 1000
        step_ms = 1000 if ends_ms - starts_ms < FINE_BELOW_MS else 60_000
        steps = -(-(ends_ms - starts_ms) // step_ms)
        return cls(plan.promotion_id, starts_ms, ends_ms, step_ms, net_gmv=[0] * steps)

    def count(self, rows: EventColumns) -> None:
        """Adds rows that are sent, without repeats."""
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

    def curve(self) -> list[tuple[float, int]]:
        """(minutes since the start, net GMV until then), from (0, 0) to the end."""
        minutes = np.minimum(np.arange(len(self.net_gmv) + 1) * self.step_ms, self.ends_ms - self.starts_ms) / 60_000
        until = [0, *np.cumsum(np.asarray(self.net_gmv, dtype=np.int64)).tolist()]
        return list(zip(minutes.tolist(), until, strict=True))
