"""The course of a sale, for the chart of its rehearsal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from alerts.detection.panes import CellPanes
from alerts.detection.series import WHOLE_SHOP
from streams.panes.counters import COUNTER_IDS

DRAWN = ("product_views", "orders_created")
MINUTE_S = 60


@dataclass(slots=True)
class SaleTimeline:
    """Counters of the whole shop by minute, independent of the evaluation interval."""

    by_minute: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in DRAWN})
    """# counter: {minute since the epoch: count}; minutes without events are absent"""
    minutes: range = range(0)
    """First and last observed minute, since the epoch."""

    def take(self, panes: CellPanes) -> None:
        """Add a range that follows the previous ones."""
        if WHOLE_SHOP not in panes.labels or panes.end_s <= panes.start_s:
            return
        first = self.minutes.start if self.minutes else panes.start_s // MINUTE_S
        self.minutes = range(first, -(-panes.end_s // MINUTE_S))
        cells = panes.cells.between(panes.start_s, panes.end_s).of_row(panes.labels.index(WHOLE_SHOP)).coarsen(MINUTE_S)
        for name, counts in self.by_minute.items():
            mine = cells.counters == COUNTER_IDS[name]
            minutes, amounts = (cells.panes[mine] // MINUTE_S).tolist(), cells.amounts[mine].tolist()
            counts.update(dict(zip(minutes, amounts, strict=True)))

    def step(self, most: int) -> int:
        """Minutes per point, for at most this many points."""
        return max(1, -(-len(self.minutes) // most))

    def points(self, name: str, step: int) -> list[tuple[float, float]]:
        """(middle in minutes since the epoch, average per minute) of each `step` minutes."""
        counts = self.by_minute[name]
        parts = (self.minutes[place : place + step] for place in range(0, len(self.minutes), step))
        return [((part.start + part.stop) / 2, sum(counts[minute] for minute in part) / len(part)) for part in parts]
