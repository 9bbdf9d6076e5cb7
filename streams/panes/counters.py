"""The additive counters and distinct counts of the built-in model, and the resolutions of their panes."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import Unit as Unit


@dataclass(frozen=True, slots=True)
class Counter:
    """A sum of integers over events, independent of their order."""

    name: str
    counts: str
    """Description of what it counts."""
    unit: Unit = Unit.COUNT
    public: bool = True
    """Whether answers show it; else it is only part of a KPI's formula."""
    event_type: str = ""
    """The type of events that it counts; empty: it counts something else."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """An estimate of the number of distinct ids: error <= 2 %, or 1 if that is more."""

    name: str
    counts: str


COUNTERS = tuple(
    Counter(measure.name, measure.about, measure.unit, measure.public, measure.event_type)
    for measure in BUILT_IN.counters
)
"""By id, which is the index."""
DISTINCTS = tuple(Distinct(measure.name, measure.about) for measure in BUILT_IN.distincts)
"""By id, which is the index."""

COUNTER_IDS = {counter.name: i for i, counter in enumerate(COUNTERS)}
DISTINCT_IDS = {distinct.name: i for i, distinct in enumerate(DISTINCTS)}
N_COUNTERS = len(COUNTERS)

TYPE_COUNTERS = {counter.event_type: i for i, counter in enumerate(COUNTERS) if counter.event_type}
"""# <event type: counter that each event increments>"""


MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
HOUR_MS = 1000 * HOUR_S

COUNTERS_STEP_S = MappingProxyType({"s": 1, "m": MINUTE_S, "h": HOUR_S})
"""# <level: length of counters' panes, seconds>, finest first"""
DISTINCTS_STEP_S = MappingProxyType({"s": 10, "m": 10 * MINUTE_S, "h": HOUR_S})
COARSE_DISTINCTS_STEP_S = DISTINCTS_STEP_S["m"]
"""Finest resolution of distinct counts in dimensions with `coarse_distincts`."""
