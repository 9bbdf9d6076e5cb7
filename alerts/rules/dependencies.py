"""The topics that a number depends on: a fault of one of them explains an odd value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from consumers.contract.events import TOPIC_BY_EVENT_TYPE
from consumers.topics import EVENT_TOPICS, Topic
from streams.model.kpis import KPIS
from streams.panes.counters import COUNTERS, DISTINCTS, TYPE_COUNTERS

_BY_TYPE = {COUNTERS[place].name: TOPIC_BY_EVENT_TYPE[name] for name, place in TYPE_COUNTERS.items()}
_OTHERS = {
    **dict.fromkeys(("ad_cost", "dwell_ms", "dwell_events", "visitors", "sessions"), Topic.CLICKS),
    "returned_units": Topic.LOGISTICS,
}
_COUNTED: Mapping[str, Topic] = {
    name: _BY_TYPE.get(name) or _OTHERS.get(name, Topic.ORDERS)
    for name in [*(counter.name for counter in COUNTERS), *(distinct.name for distinct in DISTINCTS)]
}


@cache
def counters_of(name: str) -> tuple[str, ...]:
    """Return the counters and distinct counts of a counter or KPI; none if it depends on more than panes."""
    if name in _COUNTED:
        return (name,)
    return next((kpi.inputs for kpi in KPIS if kpi.name == name), ())


@cache
def topics_of(name: str) -> frozenset[Topic]:
    """Return the topics of a counter or KPI; all event topics if it depends on more than panes (stock, shipping)."""
    found = frozenset(_COUNTED[counter] for counter in counters_of(name) if counter in _COUNTED)
    return found or frozenset(EVENT_TOPICS)
