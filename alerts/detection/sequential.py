"""Detector of sequential rules on counters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alerts.detection.contributors import DimensionBreakdown, contributors, find_explaining_part
from alerts.detection.detector import Breach, Observation, RevenueRate, SeriesCounts
from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import WHOLE_SHOP, SeriesIndex, to_label, to_labels
from alerts.findings import SAME_INCIDENT_WITHIN_MS, EventRate, ExpectedRange, FindingReason, Series, siblings
from alerts.rules.detect import AnyDetector, Direction, SequentialDetector
from alerts.rules.rule import LossMethod, Rule, RuleScope
from alerts.statistics.arrays import Bools, Floats, Ints, ratio
from alerts.statistics.baseline import MinutePart
from alerts.statistics.sequential import (
    SequentialParameters,
    SequentialState,
    SequentialStep,
    log_seconds_between_alarms,
)
from streams.panes.counters import Unit

evaluated_first = False


@dataclass(slots=True)
class SequentialMemory:
    """Memory of one sequential rule."""

    state: SequentialState
    places: SeriesIndex = field(default_factory=lambda: SeriesIndex.from_labels([WHOLE_SHOP]))
    """The series by array index."""
    watched: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Which series are in the rule's scopes; the whole shop is always tracked."""
    explaining_part: ScopeValue | None = None
    """The part that explains an alarm of the whole shop, while the alarm lasts."""

    @classmethod
    def of(cls, detect: SequentialDetector) -> SequentialMemory:
        """Create an empty memory."""
        return cls(SequentialState.of(detect.lag))


def signature(rule: Rule) -> str:
    """Identify the counters, delay and direction."""
    detect = _config(rule.detect)
    return f"sequential {','.join(detect.count)}|{','.join(detect.per)}|{detect.lag}|{detect.direction}"


def new_memory(rule: Rule) -> SequentialMemory:
    """Create an empty memory."""
    return SequentialMemory.of(_config(rule.detect))


def sequential_parameters(detect: SequentialDetector) -> SequentialParameters:
    """The parameters of the test."""
    return SequentialParameters(
        detect.direction is Direction.RISE, detect.least_effect, detect.least_sample, detect.least_baseline
    )


def observe(memory: SequentialMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Observe panes, also while the rule does not apply. Unreliable counters are not used."""
    rule, detect, panes, skus = effective.rule, _config(effective.detect), observation.inputs.panes, observation.skus
    series, state = memory.places, memory.state
    scopes = frozenset(rule.for_each)
    for label in panes.labels:
        if label[0] in scopes and label not in series.of and _is_watched(rule, label, skus):
            series.add(label)
    size = len(series)
    state.fit(size)
    memory.watched = series.mask([label[0] in scopes and _is_watched(rule, label, skus) for label in series.labels])
    rows = series.rows(observation.row_of)
    is_parent = np.zeros(size, np.bool_)
    is_parent[0] = True
    threshold = log_seconds_between_alarms(observation.budgets[rule.name], is_parent)
    parameters, is_frozen = sequential_parameters(detect), np.full(size, observation.is_frozen(rule))
    for start_s, end_s in _coalesced_steps(memory, detect, panes, rows, observation.steps):
        count, per, gmv = (panes.counts(names, rows, start_s, end_s) for names in (detect.count, detect.per, ("gmv",)))
        if start_s == observation.steps[0][0]:  # late events count when they arrive
            for sums, names in ((count, detect.count), (per, detect.per), (gmv, ("gmv",))):
                sums += panes.corrections(names, rows)
        state.step(SequentialStep(end_s, end_s - start_s, count, per, gmv, is_frozen), parameters, threshold)


def _coalesced_steps(
    memory: SequentialMemory, detect: SequentialDetector, panes: Panes, rows: Ints, steps: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """The steps, coalesced into one while no `per` event has occurred, which changes no result."""
    if len(steps) < 2 or memory.state.chain.held.any():
        return steps
    whole = steps[0][0], steps[-1][1]
    return steps if panes.counts(detect.per, rows, *whole).any() else [whole]


def _is_watched(rule: Rule, label: ScopeValue, skus: frozenset[str]) -> bool:
    """Whether the label is in the rule's scopes."""
    scope, value = label
    if rule.values and scope != RuleScope.ALL and value not in rule.values:
        return False
    return not (rule.promoted and scope == RuleScope.SKU and value not in skus)


def breaches(memory: SequentialMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the breaches."""
    rule, detect, revenue = effective.rule, _config(effective.detect), observation.revenue
    state = memory.state
    rise = detect.direction is Direction.RISE
    alarms = np.flatnonzero(state.alarm & memory.watched).tolist()
    if 0 not in alarms:
        memory.explaining_part = None
    for index in alarms:
        parts = _dimension_breakdowns(memory, rule) if index == 0 else {}
        breach = _breach(memory, rule, index, rise, revenue)
        if index == 0:
            memory.explaining_part = find_explaining_part(
                parts, least_effect=detect.least_effect, rise=rise, explaining_part=memory.explaining_part
            )
            breach = replace(breach, contributors=contributors(parts), explained_by=memory.explaining_part)
        yield breach
    if memory.explaining_part is not None and memory.places.of[memory.explaining_part] not in alarms:
        since_ms = int(state.since_s[0]) * 1000
        child = _breach(memory, rule, memory.places.of[memory.explaining_part], rise, revenue)
        yield replace(child, since_ms=since_ms)


def discard_explained(memory: SequentialMemory, rule: Rule, root: Series, since_ms: int) -> None:
    """Discard the evidence that an ended incident explains.

    A different value of its dimension, or a breach that started well before, is a separate incident.
    """
    own = [siblings(Series(rule.name, to_labels(label)), root) for label in memory.places.labels]
    memory.state.explain(~memory.places.mask(own), (since_ms - SAME_INCIDENT_WITHIN_MS) / 1000)


def counts(memory: SequentialMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the series; those with hardly any events are TOO_FEW."""
    detect = _config(effective.detect)
    waiting = memory.watched & ~memory.state.ready(sequential_parameters(detect))
    few = int((waiting & (memory.state.baseline.slow[:, MinutePart.COUNT] < 1)).sum())
    learning = int(waiting.sum()) - few
    return SeriesCounts(
        int(memory.watched.sum()) - learning - few,
        {FindingReason.LEARNING: learning, FindingReason.TOO_FEW: few},
        _lacks(memory, detect, waiting) if waiting.any() else "",
    )


def _lacks(memory: SequentialMemory, detect: SequentialDetector, waiting: Bools) -> str:
    """What the waiting series with most events lacks."""
    counted = float(memory.state.baseline.slow[waiting, MinutePart.COUNT].max())
    missing = []
    if counted < detect.least_baseline:
        missing.append(f"{counted:,.0f} of {detect.least_baseline:,.0f} {' and '.join(detect.count)} in the baseline")
    if (known_in_s := memory.state.lag_known_in_s()) > 0:
        missing.append(f"{math.ceil(known_in_s / 60)} min until the lag is known")
    return ", ".join(missing)


def status(memory: SequentialMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached, and its latest rate."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None:
        return FindingReason.GONE, None
    value = None
    if index < len(memory.state.recent):
        count, _, inputs = (float(x) for x in memory.state.recent[index])
        value = count / inputs if inputs > 0 else None
    if index >= len(memory.watched) or not memory.watched[index]:
        return FindingReason.GONE, value
    if memory.state.renewed[index]:
        return FindingReason.NEW_NORMAL, value
    ready = memory.state.ready(sequential_parameters(_config(effective.detect)))[index]
    return FindingReason.WITHIN if ready else FindingReason.LEARNING, value


def _config(detect: AnyDetector) -> SequentialDetector:
    assert isinstance(detect, SequentialDetector)
    return detect


def _breach(memory: SequentialMemory, rule: Rule, index: int, rise: bool, revenue: RevenueRate) -> Breach:
    state = memory.state
    count, expected, inputs = state.seen_of(index)
    level, phi = float(state.level[index]), float(state.phi[index])
    spread = 2 * float(np.sqrt(phi * max(expected, 1.0))) / inputs if inputs > 0 else 0.0
    change = count / expected if expected > 0 else 1.0
    input_rate = float(state.inputs[index])
    money = None
    if rule.money is LossMethod.SHORTFALL:
        money = 60 * float(state.baseline.gmv_per_input()[index]) * input_rate * max(0.0, 1 - change)
    elif rule.money is LossMethod.EXCESS:
        money = 60 * level * input_rate * max(0.0, change - 1) * revenue.aov
    elif rule.money is LossMethod.ALL_OF_IT:
        money = revenue.gmv_per_minute
    label = memory.places.labels[index]
    return Breach(
        rule=rule.name,
        label=label,
        labels=to_labels(label),
        reason=FindingReason.EVIDENCE,
        unit=Unit.RATIO,
        value=count / inputs if inputs > 0 else None,
        expected=level,
        interval=ExpectedRange(max(0.0, level - spread), level + spread),
        rate=_event_rate(count, expected, inputs, input_rate, spread),
        since_ms=int(state.since_s[index]) * 1000,
        money_per_minute=None if money is None or not np.isfinite(money) else money,
    )


def _event_rate(count: float, expected: float, inputs: float, input_rate: float, spread: float) -> EventRate | None:
    """Counted and expected events a minute, at the present rate of `per` events."""
    if inputs <= 0 or input_rate <= 0:
        return None
    minute = 60 * input_rate
    usual = expected / inputs
    return EventRate(
        minute * count / inputs, ExpectedRange(minute * max(0.0, usual - spread), minute * (usual + spread))
    )


def _dimension_breakdowns(memory: SequentialMemory, rule: Rule) -> Mapping[str, DimensionBreakdown]:
    """The whole shop by each scope of the rule: usual and recent values."""
    state = memory.state
    breakdowns: dict[str, DimensionBreakdown] = {}
    for scope in rule.for_each:
        if scope in (RuleScope.ALL, RuleScope.SKU):
            continue
        indexes = [i for i, label in enumerate(memory.places.labels) if label[0] == scope and memory.watched[i]]
        if len(indexes) < 2:
            continue
        slow, lately = state.baseline.slow[indexes], state.lately[indexes]
        breakdowns[scope] = DimensionBreakdown(
            labels=[memory.places.labels[i] for i in indexes],
            usual_share=_shares(slow[:, MinutePart.INPUT]),
            share=_shares(lately[:, 2]),
            usual_rate=ratio(slow[:, MinutePart.COUNT], slow[:, MinutePart.INPUT]),
            rate=ratio(lately[:, 0], lately[:, 2]),
            counted=lately[:, 0],
            expected=lately[:, 1],
        )
    return breakdowns


def _shares(amounts: Floats) -> Floats:
    total = amounts.sum()
    return amounts / total if total > 0 else amounts
