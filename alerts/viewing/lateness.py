"""The lateness of each producer's events, learned from when they arrive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.inputs import HealthReading
from alerts.detection.panes import CellPanes
from alerts.findings import Labels
from alerts.rules.detect import HealthCheck
from alerts.statistics.arrays import Floats
from alerts.viewing.arrivals import LATE_S, MOST_LATE_S
from alerts.viewing.horizon import SETTLE_S
from consumers.contract.events import TOPIC_BY_EVENT_TYPE
from consumers.topics import EVENT_TOPICS, Topic
from streams.panes.counters import TYPE_COUNTERS
from streams.panes.keys import N_IDS

_HALF_LIFE_S = 60.0
_QUIET_S, _STEADY = 15, 60.0
"""A producer that sends nothing for so long, after so many recent events, may be late."""
_WIDE_S = 120
"""Late events have so long to show how late they are."""
_LEAST_LATE = 10.0
"""Least number of recent late events."""
_LEAST_SHARE = 0.2
"""Least share of late events among the recent ones: some stragglers are not a late producer."""
_TOPIC_OF_COUNTER = np.full(N_IDS, -1)
for _kind, _counter in TYPE_COUNTERS.items():
    _TOPIC_OF_COUNTER[_counter] = EVENT_TOPICS.index(TOPIC_BY_EVENT_TYPE[_kind])


@dataclass(slots=True)
class RecentLateness:
    """Recent arrivals of each producer, and of each topic's events without a producer."""

    not_in_as_of: Collection[Topic] = ()
    """Topics whose events are expected to be late."""
    _sums: dict[Labels, Floats] = field(default_factory=lambda: defaultdict(lambda: np.zeros(3)))
    """# labels: exponential sums of (events, late events, seconds that these were late)"""
    _quiet_s: dict[Labels, int] = field(default_factory=lambda: defaultdict(int))
    """# labels of steady producers that send nothing: time since the last arrival"""
    _wide_for_s: int = 0
    """How long events may still arrive for seconds far back."""

    def take(self, panes: CellPanes) -> None:
        """Add the arrivals of an evaluation, if they are known."""
        if panes.arrived is None:
            return
        dt_s = panes.end_s - panes.start_s
        for labels, sums in self._sums.items():
            sums *= 0.5 ** (dt_s / _HALF_LIFE_S)
            if sums[0] >= _STEADY or labels in self._quiet_s:
                self._quiet_s[labels] += dt_s
        for labels, sums in _arrivals(panes) if len(panes.arrived.keys) else ():
            if dict(labels)["topic"] not in self.not_in_as_of:
                self._sums[labels] += sums
                self._quiet_s.pop(labels, None)
        for labels in [labels for labels, sums in self._sums.items() if sums[0] < 1e-3]:
            del self._sums[labels]
            self._quiet_s.pop(labels, None)
        is_late = any(reading.value >= LATE_S / 2 for reading in self.readings())
        is_quiet = any(_QUIET_S <= quiet_s < MOST_LATE_S for quiet_s in self._quiet_s.values())
        self._wide_for_s = _WIDE_S if is_late or is_quiet else max(0, self._wide_for_s - dt_s)

    def seconds_to_read_again(self) -> int:
        """How far back events may arrive: farther while a producer sends nothing, or is late by half of the usual
        range."""
        return MOST_LATE_S if self._wide_for_s else LATE_S

    def readings(self) -> Iterator[HealthReading]:
        """Mean seconds from an event to its arrival, of the producers whose events are late."""
        for labels, (events, late, late_s) in sorted(self._sums.items()):
            if late >= max(_LEAST_LATE, _LEAST_SHARE * events):
                yield HealthReading(HealthCheck.SOURCE_LATE, float(late_s / late), labels)


def _arrivals(panes: CellPanes) -> Iterator[tuple[Labels, Floats]]:
    """(labels, (events, late events, seconds late)) by producer, and by topic for events without one."""
    assert panes.arrived is not None
    cells = panes.arrived
    topics, seconds = _TOPIC_OF_COUNTER[cells.counters], cells.panes
    by_row = np.zeros((len(panes.labels), len(EVENT_TOPICS), 3))
    arrived_s = panes.end_s + SETTLE_S - (panes.end_s - panes.start_s) / 2
    is_late = seconds < panes.start_s
    amounts = cells.amounts.astype(np.float64)
    numbers = np.stack((amounts, amounts * is_late, amounts * is_late * (arrived_s - seconds)), axis=1)
    known = topics >= 0
    np.add.at(by_row, (cells.rows[known], topics[known]), numbers[known])
    unnamed = np.zeros((len(EVENT_TOPICS), 3))
    for row, (scope, value) in enumerate(panes.labels):
        if scope == "all":
            unnamed += by_row[row]
        elif scope == "source":
            topic, _, source = value.partition("/")
            sums = by_row[row].sum(axis=0)
            unnamed[EVENT_TOPICS.index(Topic(topic))] -= sums
            if sums.any():
                yield (("source", source), ("topic", topic)), sums
    for topic, sums in zip(EVENT_TOPICS, unnamed, strict=True):
        if (sums > 0).any():
            yield (("topic", topic.value),), sums
