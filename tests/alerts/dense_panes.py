"""Panes as an array, and a sale of them as it is seen live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import ScopeValue
from alerts.evaluate import STEP_S
from alerts.statistics.arrays import Floats, Ints
from consumers.contract.events import TOPIC_BY_EVENT_TYPE, Promotion
from consumers.topics import Topic
from streams.panes.counters import COUNTERS, TYPE_COUNTERS

SETTLE_S = 2
"""Margin before the as-of, for events in transit."""
IDLE_AFTER_S = 10
"""How long the as-of waits for an idle topic."""


@dataclass(frozen=True, slots=True)
class DensePanes:
    """Panes as an array."""

    start_s: int
    labels: Sequence[ScopeValue]
    counters: Sequence[str]
    """The counters that are not always 0."""
    table: npt.NDArray[np.int32]
    """# [second, row, counter]"""
    late: npt.NDArray[np.int32] | None = None
    """# [row, counter]: events of earlier seconds that arrived since the last evaluation"""
    _sums: dict[tuple[tuple[str, ...], int, int], Floats] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """# (counters, from, to): [row], and a 0 for row -1"""

    @property
    def end_s(self) -> int:
        """End of the last second, exclusive."""
        return self.start_s + len(self.table)

    def counts(self, counters: Sequence[str], rows: Ints, start_s: int, end_s: int) -> Floats:
        """See `Panes.counts`."""
        key = tuple(counters), start_s, end_s
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = np.zeros(len(self.labels) + 1)
            part = self.table[start_s - self.start_s : end_s - self.start_s]
            for name in key[0]:
                if name in self.counters:
                    column = part[:, :, self.counters.index(name)]
                    found[:-1] += column[0] if len(column) == 1 else column.sum(axis=0)
        sums: Floats = found[rows]
        return sums

    def corrections(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.corrections`."""
        sums = np.zeros(len(self.labels) + 1)
        if self.late is not None:
            sums[:-1] = self.late[:, [self.counters.index(name) for name in counters if name in self.counters]].sum(1)
        return sums[rows]

    def early(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.early`."""
        return np.zeros(len(rows))

    def arrivals(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.arrivals`."""
        return self.counts(counters, rows, self.start_s, self.end_s) + self.corrections(counters, rows)


def snapshots(
    panes: DensePanes, *, every_s: int = 2, seldom_until_s: int = 0, promotions: Mapping[str, Promotion]
) -> Iterator[DetectionInputs]:
    """Inputs of a sale as seen live: one every few seconds, up to the horizon.

    Until `seldom_until_s` there is one every 10 s only, as after a start. There are only panes, neither tables nor
    health readings.
    """
    last = _last_events(panes)
    taken = 0
    for now in [
        *range(STEP_S, seldom_until_s, STEP_S),
        *range(seldom_until_s + every_s, len(panes.table) + 1, every_s),
    ]:
        waits = [int(seconds[now - 1]) for seconds in last if now - seconds[now - 1] < IDLE_AFTER_S]
        until = min([*waits, now]) - SETTLE_S
        if until <= taken:
            continue
        part = DensePanes(panes.start_s + taken, panes.labels, panes.counters, panes.table[taken:until])
        taken = until
        yield DetectionInputs((panes.start_s + now) * 1000, part, promotions=promotions)


def _last_events(panes: DensePanes) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """For clicks and orders: at each second, the end of the last second with an event."""
    whole = panes.labels.index(("all", ""))
    found = []
    for topic in (Topic.CLICKS, Topic.ORDERS):
        names = {COUNTERS[place].name for kind, place in TYPE_COUNTERS.items() if TOPIC_BY_EVENT_TYPE[kind] is topic}
        columns = [i for i, name in enumerate(panes.counters) if name in names]
        some = panes.table[:, whole][:, columns].sum(axis=1) > 0
        found.append(np.maximum.accumulate(np.where(some, np.arange(1, len(some) + 1), 0)))
    return found
