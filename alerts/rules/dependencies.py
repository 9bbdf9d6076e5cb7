"""Which topics a number is made of: a fault of one of them explains what is odd about the number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class _RecordedNames(Mapping[str, int]):
    """Sums that remember which of them a formula asks for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getitem__(self, name: str) -> int:
        self.names.append(name)
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@cache
def counters_of(name: str) -> tuple[str, ...]:
    """The counters and distinct counts that a counter or KPI is made of; none for what rests on more than panes."""
    if name in _COUNTED:
        return (name,)
    for kpi in KPIS:
        if kpi.name == name:
            asked = _RecordedNames()
            kpi.compute(asked)
            return tuple(dict.fromkeys(asked.names))
    return ()


@cache
def topics_of(name: str) -> frozenset[Topic]:
    """The topics behind a counter or KPI; all event topics for what rests on more than panes (stock, shipping)."""
    found = frozenset(_COUNTED[counter] for counter in counters_of(name) if counter in _COUNTED)
    return found or frozenset(EVENT_TOPICS)
