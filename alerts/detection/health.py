"""Detector of rules on health checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.breach import Breach
from alerts.detection.inputs import DetectionInputs, HealthReading
from alerts.detection.schedule import EffectiveRule
from alerts.detectors.threshold import breached_with_hysteresis
from alerts.findings import ExpectedRange, FindingReason, Labels
from alerts.rules.detect import HealthCheck, HealthCheckDetector
from streams.panes.counters import Unit

_SECONDS = {HealthCheck.AS_OF_AGE, HealthCheck.LAG_AGE, HealthCheck.SOURCE_AHEAD, HealthCheck.WORKER_CLOCK}
_RATIOS = {HealthCheck.REFUSED, HealthCheck.REPEATED}


@dataclass(slots=True)
class HealthMemory:
    """Memory of one health rule."""

    since_ms: dict[Labels, int] = field(default_factory=dict)
    """Start of each breach."""
    seen: dict[Labels, float] = field(default_factory=dict)
    """The last reading of each series."""


def breaches(memory: HealthMemory, effective: EffectiveRule, snapshot: DetectionInputs) -> Iterator[Breach]:
    """Yield the breaches. Without a reading, the previous breaches continue."""
    detect = effective.detect
    assert isinstance(detect, HealthCheckDetector)
    if snapshot.health_readings is None:
        for labels in memory.since_ms:
            yield _breach(memory, effective, detect, HealthReading(detect.check, np.nan, labels))
        return
    facts = [fact for fact in snapshot.health_readings if fact.name is detect.check]
    memory.seen = {fact.labels: fact.value for fact in facts}
    memory.since_ms = {labels: at for labels, at in memory.since_ms.items() if labels in memory.seen}
    if not facts:
        return
    wrong = breached_with_hysteresis(
        np.array([fact.value for fact in facts], np.float64),
        np.array([fact.labels in memory.since_ms for fact in facts]),
        limit=detect.above,
        clear=detect.above if detect.clear is None else detect.clear,
        above=True,
    )
    for fact, is_wrong in zip(facts, wrong.tolist(), strict=True):
        if np.isnan(fact.value):
            if fact.labels in memory.since_ms:
                yield _breach(memory, effective, detect, fact)
            continue
        if not is_wrong:
            memory.since_ms.pop(fact.labels, None)
            continue
        memory.since_ms.setdefault(fact.labels, snapshot.as_of_ms)
        yield _breach(memory, effective, detect, fact)


def status(memory: HealthMemory, labels: Labels) -> FindingReason:
    """The reason why a series is not breached."""
    if labels not in memory.seen:
        return FindingReason.GONE
    return FindingReason.NO_DATA if np.isnan(memory.seen[labels]) else FindingReason.WITHIN


def current_value(memory: HealthMemory, labels: Labels) -> float | None:
    """The last reading of a series."""
    value = memory.seen.get(labels, np.nan)
    return None if np.isnan(value) else value


def _breach(memory: HealthMemory, effective: EffectiveRule, detect: HealthCheckDetector, fact: HealthReading) -> Breach:
    inside = fact.value <= detect.above
    clear = detect.above if detect.clear is None else detect.clear
    unit = Unit.SECONDS if detect.check in _SECONDS else Unit.RATIO if detect.check in _RATIOS else Unit.COUNT
    return Breach(
        rule=effective.rule.name,
        label=("fact", detect.check.value),
        labels=fact.labels,
        reason=FindingReason.BEYOND,
        unit=unit,
        value=None if np.isnan(fact.value) else fact.value,
        interval=ExpectedRange(None, clear if inside else detect.above),
        fired_beyond=detect.above if inside else None,
        since_ms=memory.since_ms[fact.labels],
    )
