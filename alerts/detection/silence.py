"""Detector of silence rules on counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.breach import Breach
from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.revenue import RevenueRate
from alerts.detection.series import SeriesIndex, to_labels
from alerts.detectors.arrays import Bools
from alerts.detectors.silence import SilenceState
from alerts.findings import FindingReason
from alerts.rules.detect import SilenceDetector
from alerts.rules.rule import LossMethod, Rule, RuleScope
from streams.panes.counters import COUNTER_IDS, Unit


@dataclass(slots=True)
class SilenceMemory:
    """Memory of one silence rule."""

    silences: SilenceState = field(default_factory=SilenceState)
    places: SeriesIndex = field(default_factory=SeriesIndex)
    until_s: int = 0


def observe(
    memory: SilenceMemory,
    rule: Rule,
    detect: SilenceDetector,
    panes: Panes,
    row_of: Mapping[ScopeValue, int],
    steps: Iterable[tuple[int, int]],
) -> None:
    """Observe panes; `row_of` gives the row of each label."""
    for scope, value in panes.labels:
        if scope in rule.for_each and (not rule.values or value in rule.values):
            memory.places.add((scope, value))
    memory.silences.fit(len(memory.places))
    rows = memory.places.rows(row_of)
    counters = tuple(COUNTER_IDS) if RuleScope.SOURCE in rule.for_each else detect.count
    for start_s, end_s in steps:
        memory.silences.step(panes.counts(counters, rows, start_s, end_s), end_s - start_s)
        memory.until_s = end_s


def breaches(memory: SilenceMemory, rule: Rule, detect: SilenceDetector, revenue: RevenueRate) -> Iterator[Breach]:
    """Yield the silent series."""
    silences = memory.silences
    for place in np.flatnonzero(_silent(memory, detect)).tolist():
        label = memory.places.labels[place]
        whole = rule.money is LossMethod.ALL_OF_IT and np.isfinite(revenue.gmv_per_minute)
        yield Breach(
            rule=rule.name,
            label=label,
            labels=to_labels(label),
            reason=FindingReason.SILENT,
            unit=Unit.COUNT,
            value=0.0,
            expected=float(silences.missed[place]),
            since_ms=round((memory.until_s - float(silences.quiet_s[place])) * 1000),
            money_per_minute=revenue.gmv_per_minute if whole else None,
        )


def status(memory: SilenceMemory, detect: SilenceDetector, label: ScopeValue) -> FindingReason:
    """The reason why a series is not breached."""
    place = memory.places.of.get(label)
    if place is None:
        return FindingReason.GONE
    return FindingReason.WITHIN if _is_known(memory, detect)[place] else FindingReason.LEARNING


def ready_count(memory: SilenceMemory, detect: SilenceDetector) -> int:
    """Number of series with enough events to detect silence."""
    return int(_is_known(memory, detect).sum())


def has_active_source(memory: SilenceMemory, topic: str) -> bool:
    """Whether any source of a topic is active."""
    mine = [place for label, place in memory.places.of.items() if label[1].startswith(topic + "/")]
    return bool((memory.silences.quiet_s[mine] == 0).any()) if mine else False


def _is_known(memory: SilenceMemory, detect: SilenceDetector) -> Bools:
    answer: Bools = memory.silences.total >= 2 * detect.least_expected
    return answer


def _silent(memory: SilenceMemory, detect: SilenceDetector) -> Bools:
    return memory.silences.silent(after_s=detect.after, least_expected=detect.least_expected)
