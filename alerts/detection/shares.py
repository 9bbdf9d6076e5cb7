"""Detector of sources that lose events, by their shares of their topics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.detector import Breach, Observation, SeriesCounts
from alerts.detection.panes import Panes
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import SeriesIndex, to_label, to_labels
from alerts.findings import FindingReason, Series
from alerts.rules.detect import AnyDetector, ShareDetector
from alerts.rules.rule import Rule, RuleScope
from alerts.statistics.arrays import Bools, Floats, Ints
from alerts.statistics.shares import ShareState
from streams.panes.counters import COUNTERS, TYPE_COUNTERS, Unit

evaluated_first = True
EVENT_COUNTERS = tuple(COUNTERS[counter].name for counter in TYPE_COUNTERS.values())
"""The counters of events; a source has no others."""


@dataclass(slots=True)
class ShareMemory:
    """Memory of one rule about shares."""

    state: ShareState = field(default_factory=ShareState)
    places: SeriesIndex = field(default_factory=SeriesIndex)
    """The sources by array index."""
    until_s: int = 0
    """End of the observed seconds."""


def signature(rule: Rule) -> str:
    """Identify the memory's content."""
    return "share"


def new_memory(rule: Rule) -> ShareMemory:
    """Create an empty memory."""
    return ShareMemory()


def observe(memory: ShareMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Observe what arrived, also while the rule does not apply. All sources are compared, also those without alerts."""
    detect, panes = _config(effective.detect), observation.inputs.panes
    for label in panes.labels:
        if label[0] == RuleScope.SOURCE:
            memory.places.add(label)
    memory.state.fit(len(memory.places))
    rows, topics = memory.places.rows(observation.row_of), _topics(memory)
    for start_s, end_s, count in _arrivals(panes, rows, observation):
        memory.state.step(
            count,
            topics,
            end_s=end_s,
            dt_s=end_s - start_s,
            least_effect=detect.least_effect,
            least_events=detect.least_baseline,
        )
        memory.until_s = end_s


def _arrivals(panes: Panes, rows: Ints, observation: Observation) -> Iterator[tuple[int, int, Floats]]:
    """(start, end, events that arrived), by step in a backlog, else at once."""
    steps = observation.steps
    if not steps:
        return
    start_s, end_s = steps[0][0], steps[-1][1]
    if len(observation.fine_steps) == end_s - start_s:  # no backlog
        yield start_s, end_s, panes.arrivals(EVENT_COUNTERS, rows)
        return
    for start_s, end_s in steps:
        yield start_s, end_s, panes.counts(EVENT_COUNTERS, rows, start_s, end_s)


def breaches(memory: ShareMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the sources that lose events. A loss that is too young for a page, or only likely, is `suspected`."""
    rule, detect, state = effective.rule, _config(effective.detect), memory.state
    shares = state.usual_share()
    for index in np.flatnonzero(state.suspected | state.found).tolist():
        label = memory.places.labels[index]
        if rule.values and label[1] not in rule.values:
            continue
        usual, fall = float(shares[index]), float(state.fall[index])
        kept = usual * (1 - fall)
        yield Breach(
            rule=rule.name,
            label=label,
            labels=to_labels(label),
            reason=FindingReason.EVIDENCE,
            unit=Unit.RATIO,
            value=kept / (kept + 1 - usual),
            expected=usual,
            since_ms=int(state.since_s[index]) * 1000,
            share=usual * fall,
            is_suspected=not state.found[index] or memory.until_s - float(state.since_s[index]) < detect.after,
        )


def status(memory: ShareMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a source is not breached, and its usual share."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None:
        return FindingReason.GONE, None
    usual = float(memory.state.usual_share()[index])
    known = _is_known(memory, effective)[index]
    return FindingReason.WITHIN if known else FindingReason.LEARNING, usual if np.isfinite(usual) else None


def counts(memory: ShareMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the sources with a known share; the only one of a topic has none."""
    known = _is_known(memory, effective)
    learning = int((~known).sum())
    lacks = "two sources of a topic, and ten minutes of their events" if learning else ""
    return SeriesCounts(int(known.sum()), {FindingReason.LEARNING: learning}, lacks)


def _is_known(memory: ShareMemory, effective: EffectiveRule) -> Bools:
    return memory.state.known(_config(effective.detect).least_baseline)


def _topics(memory: ShareMemory) -> Ints:
    """The number of each source's topic."""
    topics = [value.partition("/")[0] for _, value in memory.places.labels]
    numbers = {topic: number for number, topic in enumerate(dict.fromkeys(topics))}
    return np.array([numbers[topic] for topic in topics], np.int64)


def _config(detect: AnyDetector) -> ShareDetector:
    assert isinstance(detect, ShareDetector)
    return detect
