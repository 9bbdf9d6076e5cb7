"""Which topics a number is made of: a fault of one of them explains what is odd about the number."""

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
    """The counters and distinct counts that a counter or KPI is made of; none for what rests on more than panes."""
    if name in _COUNTED:
        return (name,)
    return next((kpi.inputs for kpi in KPIS if kpi.name == name), ())


@cache
def topics_of(name: str) -> frozenset[Topic]:
    """The topics behind a counter or KPI; all event topics for what rests on more than panes (stock, shipping)."""
    found = frozenset(_COUNTED[counter] for counter in counters_of(name) if counter in _COUNTED)
    return found or frozenset(EVENT_TOPICS)
