"""Detector of silence rules on counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.detector import Breach, Observation, SeriesCounts
from alerts.detection.panes import ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import SeriesIndex, to_label, to_labels
from alerts.findings import FindingReason, Series
from alerts.rules.detect import AnyDetector, SilenceDetector
from alerts.rules.rule import LossMethod, Rule, RuleScope
from alerts.statistics.arrays import Bools
from alerts.statistics.silence import SilenceState
from streams.panes.counters import COUNTER_IDS, Unit

evaluated_first = True


@dataclass(slots=True)
class SilenceMemory:
    """Memory of one silence rule."""

    silences: SilenceState = field(default_factory=SilenceState)
    places: SeriesIndex = field(default_factory=SeriesIndex)
    """The series by array index."""
    until_s: int = 0
    """End of the observed seconds."""


def signature(rule: Rule) -> str:
    """Identify the counters and whether the series are sources."""
    return f"silence {','.join(_config(rule.detect).count)} {RuleScope.SOURCE in rule.for_each}"


def new_memory(rule: Rule) -> SilenceMemory:
    """Create an empty memory."""
    return SilenceMemory()


def observe(memory: SilenceMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Observe panes while the rule applies."""
    if not effective.enabled:
        return
    rule, detect, panes = effective.rule, _config(effective.detect), observation.inputs.panes
    for scope, value in panes.labels:
        if scope in rule.for_each and (not rule.values or value in rule.values):
            memory.places.add((scope, value))
    memory.silences.fit(len(memory.places))
    rows = memory.places.rows(observation.row_of)
    counters = tuple(COUNTER_IDS) if RuleScope.SOURCE in rule.for_each else detect.count
    for start_s, end_s in observation.fine_steps:
        count, early = panes.counts(counters, rows, start_s, end_s), np.zeros(len(rows))
        if end_s == observation.fine_steps[-1][1]:  # when a late event arrived within the steps is not known
            count += panes.corrections(counters, rows)
            early = panes.early(counters, rows)
        memory.silences.step(count, end_s - start_s, early)
        memory.until_s = end_s


def breaches(memory: SilenceMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the silent series."""
    rule, detect, revenue = effective.rule, _config(effective.detect), observation.revenue
    silences, shares = memory.silences, _shares(memory)
    for index in np.flatnonzero(_silent(memory, detect)).tolist():
        label = memory.places.labels[index]
        is_all_lost = rule.money is LossMethod.ALL_OF_IT and np.isfinite(revenue.gmv_per_minute)
        yield Breach(
            rule=rule.name,
            label=label,
            labels=to_labels(label),
            reason=FindingReason.SILENT,
            unit=Unit.COUNT,
            value=0.0,
            expected=float(silences.missed[index]),
            since_ms=round((memory.until_s - float(silences.quiet_s[index])) * 1000),
            money_per_minute=revenue.gmv_per_minute if is_all_lost else None,
            share=shares.get(label),
        )


def status(memory: SilenceMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached; a silence has no value."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None:
        return FindingReason.GONE, None
    known = _is_known(memory, _config(effective.detect))[index]
    return FindingReason.WITHIN if known else FindingReason.LEARNING, None


def counts(memory: SilenceMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the series with enough events to detect silence; the others are LEARNING."""
    detect = _config(effective.detect)
    known, total = _is_known(memory, detect), memory.silences.total
    learning = int((~known).sum())
    most = float(total[~known].max(initial=0.0))
    lacks = f"{most:,.0f} of {2 * detect.least_expected:,.0f} events" if learning else ""
    return SeriesCounts(int(known.sum()), {FindingReason.LEARNING: learning}, lacks)


def _shares(memory: SilenceMemory) -> dict[ScopeValue, float]:
    """The usual share of each source of its topic's events."""
    rates = {
        label: float(memory.silences.rate[index]) for label, index in memory.places.of.items() if label[0] == "source"
    }
    of_topic: dict[str, float] = defaultdict(float)
    for (_, value), rate in rates.items():
        of_topic[value.partition("/")[0]] += rate
    return {label: rate / of_topic[label[1].partition("/")[0]] for label, rate in rates.items() if rate > 0}


def has_active_source(memory: SilenceMemory, topic: str) -> bool:
    """Whether any source of a topic is active."""
    indexes = [index for label, index in memory.places.of.items() if label[1].startswith(topic + "/")]
    return bool((memory.silences.quiet_s[indexes] == 0).any()) if indexes else False


def _config(detect: AnyDetector) -> SilenceDetector:
    assert isinstance(detect, SilenceDetector)
    return detect


def _is_known(memory: SilenceMemory, detect: SilenceDetector) -> Bools:
    result: Bools = memory.silences.total >= 2 * detect.least_expected
    return result


def _silent(memory: SilenceMemory, detect: SilenceDetector) -> Bools:
    return memory.silences.silent(after_s=detect.after, least_expected=detect.least_expected)
