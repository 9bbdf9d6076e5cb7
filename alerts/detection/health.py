"""Detector of rules on health checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.detector import Breach, Observation, SeriesCounts
from alerts.detection.inputs import HealthReading
from alerts.detection.schedule import EffectiveRule
from alerts.findings import ExpectedRange, FindingReason, Labels, Series
from alerts.rules.detect import AnyDetector, HealthCheck, HealthCheckDetector
from alerts.rules.rule import Rule
from alerts.statistics.limits import breached_with_hysteresis
from streams.panes.counters import Unit

evaluated_first = True
_SECONDS = {
    HealthCheck.AS_OF_AGE,
    HealthCheck.LAG_AGE,
    HealthCheck.SOURCE_AHEAD,
    HealthCheck.SOURCE_LATE,
    HealthCheck.WORKER_CLOCK,
}
_ONLY_IF_WRONG = {
    HealthCheck.SOURCE_AHEAD,
    HealthCheck.SOURCE_LATE,
    HealthCheck.WORKER_CLOCK,
    HealthCheck.INCOMPLETE,
    HealthCheck.HORIZON,
}
"""Checks without a reading while nothing is wrong."""
_RATIOS = {HealthCheck.REFUSED, HealthCheck.REPEATED}


@dataclass(slots=True)
class HealthMemory:
    """Memory of one health rule."""

    since_ms: dict[Labels, int] = field(default_factory=dict)
    """Start of each breach."""
    seen: dict[Labels, float] = field(default_factory=dict)
    """The last reading of each series."""


def signature(rule: Rule) -> str:
    """Identify the health check."""
    return f"fact {_config(rule.detect).check}"


def new_memory(rule: Rule) -> HealthMemory:
    """Create an empty memory."""
    return HealthMemory()


def observe(memory: HealthMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Do nothing: the memory changes with the breaches."""


def breaches(memory: HealthMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the breaches. Without a reading, the previous breaches continue."""
    detect, inputs = _config(effective.detect), observation.inputs
    if inputs.health_readings is None:
        for labels in memory.since_ms:
            yield _breach(memory, effective, detect, HealthReading(detect.check, np.nan, labels))
        return
    readings = [reading for reading in inputs.health_readings if reading.name is detect.check]
    memory.seen = {reading.labels: reading.value for reading in readings}
    memory.since_ms = {labels: since_ms for labels, since_ms in memory.since_ms.items() if labels in memory.seen}
    if not readings:
        return
    breached = breached_with_hysteresis(
        np.array([reading.value for reading in readings], np.float64),
        np.array([reading.labels in memory.since_ms for reading in readings]),
        limit=detect.above,
        clear=detect.above if detect.clear is None else detect.clear,
        above=True,
    )
    for reading, is_breached in zip(readings, breached.tolist(), strict=True):
        if np.isnan(reading.value):
            if reading.labels in memory.since_ms:
                yield _breach(memory, effective, detect, reading)
            continue
        if not is_breached:
            memory.since_ms.pop(reading.labels, None)
            continue
        memory.since_ms.setdefault(reading.labels, inputs.as_of_ms)
        yield _breach(memory, effective, detect, reading)


def status(memory: HealthMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached, and its last reading."""
    value = memory.seen.get(series.labels)
    if value is None:
        return FindingReason.GONE, None
    return (FindingReason.NO_DATA, None) if np.isnan(value) else (FindingReason.WITHIN, value)


def counts(memory: HealthMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the series with a reading; those that could be a breach and are unknown are NO_DATA."""
    detect = _config(effective.detect)
    unknown = sum(bool(np.isnan(value)) for value in memory.seen.values())
    is_complete = not memory.seen and detect.check in _ONLY_IF_WRONG
    return SeriesCounts(
        len(memory.seen) - unknown,
        {FindingReason.NO_DATA: unknown},
        lacks="" if is_complete or (memory.seen and not unknown) else f"no reading of {detect.check}",
        is_complete_without_series=is_complete,
    )


def _config(detect: AnyDetector) -> HealthCheckDetector:
    assert isinstance(detect, HealthCheckDetector)
    return detect


def unit_of_check(check: HealthCheck) -> Unit:
    """The unit of a health check's readings."""
    return Unit.SECONDS if check in _SECONDS else Unit.RATIO if check in _RATIOS else Unit.COUNT


def _breach(
    memory: HealthMemory, effective: EffectiveRule, detect: HealthCheckDetector, reading: HealthReading
) -> Breach:
    inside = reading.value <= detect.above
    clear = detect.above if detect.clear is None else detect.clear
    return Breach(
        rule=effective.rule.name,
        label=("fact", detect.check.value),
        labels=reading.labels,
        reason=FindingReason.BEYOND,
        unit=unit_of_check(detect.check),
        value=None if np.isnan(reading.value) else reading.value,
        interval=ExpectedRange(None, clear if inside else detect.above),
        fired_beyond=detect.above if inside else None,
        since_ms=memory.since_ms[reading.labels],
    )
