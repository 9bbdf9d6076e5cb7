"""Fact rules: what the monitor knows of itself in, what is wrong out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.breach import Judged
from alerts.detection.inputs import Fact, Snapshot
from alerts.detection.schedule import InForce
from alerts.detectors.threshold import beyond
from alerts.findings import Interval, Labels, Reason
from alerts.rules.detect import FactName, OfFact
from streams.panes.counters import Unit

_SECONDS = {FactName.AS_OF_AGE, FactName.LAG_AGE, FactName.SOURCE_AHEAD, FactName.WORKER_CLOCK}
_RATIOS = {FactName.REFUSED, FactName.REPEATED}


@dataclass(slots=True)
class FactMemory:
    """What one fact rule remembers."""

    since_ms: dict[Labels, int] = field(default_factory=dict)
    """Of what is wrong."""
    seen: dict[Labels, float] = field(default_factory=dict)
    """What was last told of, and its value."""


def judge(memory: FactMemory, now: InForce, snapshot: Snapshot) -> Iterator[Judged]:
    """What is wrong. Where nothing could be found out (no facts, or not a number), what was wrong still is."""
    detect = now.detect
    assert isinstance(detect, OfFact)
    if snapshot.facts is None:
        for labels in memory.since_ms:
            yield _judged(memory, now, detect, Fact(detect.fact, np.nan, labels))
        return
    facts = [fact for fact in snapshot.facts if fact.name is detect.fact]
    memory.seen = {fact.labels: fact.value for fact in facts}
    memory.since_ms = {labels: at for labels, at in memory.since_ms.items() if labels in memory.seen}
    if not facts:
        return
    wrong = beyond(
        np.array([fact.value for fact in facts], np.float64),
        np.array([fact.labels in memory.since_ms for fact in facts]),
        limit=detect.above,
        clear=detect.above if detect.clear is None else detect.clear,
        above=True,
    )
    for fact, is_wrong in zip(facts, wrong.tolist(), strict=True):
        if np.isnan(fact.value):
            if fact.labels in memory.since_ms:
                yield _judged(memory, now, detect, fact)
            continue
        if not is_wrong:
            memory.since_ms.pop(fact.labels, None)
            continue
        memory.since_ms.setdefault(fact.labels, snapshot.as_of_ms)
        yield _judged(memory, now, detect, fact)


def state_of(memory: FactMemory, labels: Labels) -> Reason:
    """Why what is not wrong is not."""
    if labels not in memory.seen:
        return Reason.GONE
    return Reason.NO_DATA if np.isnan(memory.seen[labels]) else Reason.WITHIN


def present(memory: FactMemory, labels: Labels) -> float | None:
    """The value that a series was last seen with."""
    value = memory.seen.get(labels, np.nan)
    return None if np.isnan(value) else value


def _judged(memory: FactMemory, now: InForce, detect: OfFact, fact: Fact) -> Judged:
    inside = fact.value <= detect.above
    clear = detect.above if detect.clear is None else detect.clear
    unit = Unit.SECONDS if detect.fact in _SECONDS else Unit.RATIO if detect.fact in _RATIOS else Unit.COUNT
    return Judged(
        rule=now.rule.name,
        label=("fact", detect.fact.value),
        labels=fact.labels,
        reason=Reason.BEYOND,
        unit=unit,
        value=None if np.isnan(fact.value) else fact.value,
        interval=Interval(None, clear if inside else detect.above),
        fired_beyond=detect.above if inside else None,
        since_ms=memory.since_ms[fact.labels],
    )
