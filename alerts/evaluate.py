"""Evaluate all rules at one as-of. Health checks and silences come first: they show which numbers are reliable."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

import numpy as np

from alerts.correlation.correlate import correlate, faulty_topics, unbreached_finding
from alerts.detection import health, sequential, silence, thresholds
from alerts.detection.breach import Breach
from alerts.detection.health import HealthMemory
from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.schedule import EffectiveRule, effective_rule, promoted_skus
from alerts.detection.sequential import SequentialMemory
from alerts.detection.series import WHOLE_SHOP
from alerts.detection.silence import SilenceMemory
from alerts.detection.thresholds import ThresholdMemory
from alerts.findings import Evaluation, Finding, FindingReason, Series
from alerts.memory import EvaluationMemory, RuleMemory
from alerts.rules.detect import (
    ChangeDetector,
    HealthCheckDetector,
    SequentialDetector,
    SilenceDetector,
    ThresholdDetector,
)
from alerts.rules.rule import Rule, Rules, RuleScope
from consumers.topics import EVENT_TOPICS

STEP_S = 10
"""Length of the steps in which a backlog of panes is evaluated live."""
MAX_BACKLOG_PER_SECOND_S = 60
"""Maximum backlog for which silence detectors read every second; in longer steps, the last event would hide the first
seconds of silence."""


def evaluate(
    rules: Rules,
    snapshot: DetectionInputs,
    memory: EvaluationMemory,
    watched: Collection[Series] = (),
    *,
    step_s: int = STEP_S,
) -> tuple[Evaluation, EvaluationMemory]:
    """Evaluate the rules; return the findings and the new memory.

    `memory` is consumed. Each `watched` series gets a finding of any condition. `step_s` may be longer for recordings
    of years.
    """
    at_ms = snapshot.as_of_ms
    effective_rules = {rule.name: effective_rule(rule, snapshot.promotions, at_ms) for rule in rules.rules}
    _reset_changed_memories(rules, memory)
    skus = promoted_skus(snapshot.promotions, at_ms)
    steps = _steps(snapshot.panes, memory.evaluated_until_s, step_s)
    piled_up = sum(end_s - start_s for start_s, end_s in steps) > MAX_BACKLOG_PER_SECOND_S
    fine = steps if piled_up else _steps(snapshot.panes, memory.evaluated_until_s, 1)
    row_of = {label: row for row, label in enumerate(snapshot.panes.labels)}
    _add_revenue(memory, snapshot.panes, row_of, steps)
    found: dict[str, list[Breach]] = {}
    for name, current in effective_rules.items():
        found[name] = (
            list(_health_and_silence_breaches(memory, current, snapshot, row_of, fine)) if current.enabled else []
        )
    faults = [one for judged in found.values() for one in judged]
    silent_topics = _silent_topics(rules, memory)
    budgets = _budgets(rules)
    faulty = {*faulty_topics(faults, effective_rules, silent_topics), *memory.correlation.topic_faults}
    for name, current in effective_rules.items():
        frozen = bool(faulty & {str(topic) for topic in current.rule.topics})
        rule_memory = memory.rules[name]
        detect = current.detect
        if isinstance(rule_memory, SequentialMemory) and isinstance(detect, SequentialDetector):
            # A detector also learns while its rule does not apply.
            sequential.observe(
                rule_memory,
                current.rule,
                detect,
                snapshot.panes,
                row_of,
                steps,
                budget=budgets[name],
                frozen=frozen,
                skus=skus,
            )
            found[name] = (
                list(sequential.breaches(rule_memory, current.rule, detect, memory.revenue)) if current.enabled else []
            )
        elif isinstance(rule_memory, ThresholdMemory) and current.enabled:
            found[name] = list(thresholds.breaches(rule_memory, current, snapshot, skus, frozen=frozen))
    judged = [one for rule in rules.rules for one in found[rule.name]]
    findings = correlate(judged, effective_rules, memory.correlation, memory.revenue, at_ms, silent_topics)
    _discard_explained(memory, effective_rules)
    findings += _findings_of_watched(watched, findings, effective_rules, memory, at_ms)
    if steps:
        memory.evaluated_until_s = steps[-1][1]
    return Evaluation(
        at_ms,
        tuple(findings),
        tuple(_undecided_counts(effective_rules, memory)),
        tuple(_decided_counts(effective_rules, memory)),
    ), memory


def _discard_explained(memory: EvaluationMemory, effective_rules: Mapping[str, EffectiveRule]) -> None:
    """Let ended incidents explain the evidence of sequential tests for the same incident."""
    for incident_key, (teller, since_ms) in memory.correlation.ended_incidents.items():
        for name, current in effective_rules.items():
            rule_memory = memory.rules[name]
            if isinstance(rule_memory, SequentialMemory) and current.rule.incident_key == incident_key:
                sequential.discard_explained(rule_memory, current.rule, teller, since_ms)


def _steps(panes: Panes, evaluated_until_s: int | None, step_s: int) -> list[tuple[int, int]]:
    start = panes.start_s if evaluated_until_s is None else max(evaluated_until_s, panes.start_s)
    edges = [*range(start, panes.end_s, step_s), panes.end_s]
    return list(pairwise(edges)) if panes.end_s > start else []


def _add_revenue(
    memory: EvaluationMemory, panes: Panes, row_of: Mapping[ScopeValue, int], steps: list[tuple[int, int]]
) -> None:
    """Add the revenue of the whole shop."""
    if WHOLE_SHOP not in row_of:
        return
    row = np.array([row_of[WHOLE_SHOP]])
    for start_s, end_s in steps:
        gmv, paid = (float(panes.counts((name,), row, start_s, end_s)[0]) for name in ("gmv", "orders_paid"))
        memory.revenue.add(gmv, paid, end_s - start_s)


def _reset_changed_memories(rules: Rules, memory: EvaluationMemory) -> None:
    """Create missing memories; replace those of changed detectors."""
    for rule in rules.rules:
        made_for = _signature(rule)
        if memory.signatures.get(rule.name) != made_for:
            memory.rules[rule.name] = _new_memory(rule)
            memory.signatures[rule.name] = made_for
    names = {rule.name for rule in rules.rules}
    memory.rules = {name: rule_memory for name, rule_memory in memory.rules.items() if name in names}
    memory.signatures = {name: made for name, made in memory.signatures.items() if name in names}


def _signature(rule: Rule) -> str:
    match rule.detect:
        case SequentialDetector() as detect:
            return f"sequential {sequential.signature(detect)}"
        case SilenceDetector(count=count):
            return f"silence {','.join(count)} {RuleScope.SOURCE in rule.for_each}"
        case ThresholdDetector(value=value, window=window):
            return f"threshold {value} {window}"
        case ChangeDetector(value=value, window=window, direction=direction):
            return f"change {value} {window} {direction}"
        case HealthCheckDetector(check=check):
            return f"fact {check}"


def _new_memory(rule: Rule) -> RuleMemory:
    match rule.detect:
        case SequentialDetector() as detect:
            return SequentialMemory.of(detect)
        case SilenceDetector():
            return SilenceMemory()
        case HealthCheckDetector():
            return HealthMemory()
    return ThresholdMemory()


def _budgets(rules: Rules) -> dict[str, float]:
    """False alarms per day of each sequential rule."""
    weights = {
        one.name: one.detect.weight for one in rules.rules if isinstance(one.detect, SequentialDetector) and one.enabled
    }
    total = sum(weights.values())
    shares = {name: rules.budget.false_pages_per_day * weight / total for name, weight in weights.items()}
    return {one.name: shares.get(one.name, rules.budget.false_pages_per_day) for one in rules.rules}


def _health_and_silence_breaches(
    memory: EvaluationMemory,
    current: EffectiveRule,
    snapshot: DetectionInputs,
    row_of: Mapping[ScopeValue, int],
    steps: list[tuple[int, int]],
) -> Iterator[Breach]:
    """Breaches of health checks and silence rules."""
    rule_memory = memory.rules[current.rule.name]
    if isinstance(rule_memory, HealthMemory):
        yield from health.breaches(rule_memory, current, snapshot)
    elif isinstance(rule_memory, SilenceMemory) and isinstance(current.detect, SilenceDetector):
        silence.observe(rule_memory, current.rule, current.detect, snapshot.panes, row_of, steps)
        yield from silence.breaches(rule_memory, current.rule, current.detect, memory.revenue)


def _silent_topics(rules: Rules, memory: EvaluationMemory) -> frozenset[str]:
    """Topics without any active producer."""
    found: set[str] = set()
    for rule in rules.rules:
        rule_memory = memory.rules[rule.name]
        if isinstance(rule_memory, SilenceMemory) and RuleScope.SOURCE in rule.for_each:
            found |= {str(topic) for topic in EVENT_TOPICS if not silence.has_active_source(rule_memory, str(topic))}
    return frozenset(found)


def _findings_of_watched(
    watched: Collection[Series],
    findings: list[Finding],
    effective_rules: Mapping[str, EffectiveRule],
    memory: EvaluationMemory,
    at_ms: int,
) -> list[Finding]:
    """Findings of watched series that are not breached, except those of removed rules."""
    told = {finding.series for finding in findings}
    found = []
    for series in sorted(set(watched) - told, key=str):
        if (current := effective_rules.get(series.rule)) is not None:
            reason, value = _status(current, memory, series)
            found.append(unbreached_finding(current.rule, series, reason, current.severity, at_ms, value))
    return found


def _status(current: EffectiveRule, memory: EvaluationMemory, series: Series) -> tuple[FindingReason, float | None]:
    """The reason why a series is not breached, and its value."""
    if not current.enabled:
        return FindingReason.NOT_IN_FORCE, None
    rule_memory, detect = memory.rules[series.rule], current.detect
    label = _label(series)
    if isinstance(rule_memory, SequentialMemory) and isinstance(detect, SequentialDetector):
        return sequential.status(rule_memory, detect, label), sequential.current_value(rule_memory, label)
    if isinstance(rule_memory, SilenceMemory) and isinstance(detect, SilenceDetector):
        return silence.status(rule_memory, detect, label), None
    if isinstance(rule_memory, ThresholdMemory):
        return thresholds.status(rule_memory, label), thresholds.current_value(rule_memory, label)
    assert isinstance(rule_memory, HealthMemory)
    return health.status(rule_memory, series.labels), health.current_value(rule_memory, series.labels)


def _label(series: Series) -> ScopeValue:
    labels = dict(series.labels)
    if not labels:
        return WHOLE_SHOP
    if "source" in labels:
        return "source", f"{labels.get('topic', '')}/{labels['source']}"
    return series.labels[0]


def _decided_counts(
    effective_rules: Mapping[str, EffectiveRule], memory: EvaluationMemory
) -> Iterator[tuple[str, int]]:
    """Number of evaluated series of each rule in force."""
    for name, current in effective_rules.items():
        rule_memory, detect = memory.rules[name], current.detect
        if not current.enabled:
            continue
        if isinstance(rule_memory, SequentialMemory) and isinstance(detect, SequentialDetector):
            many = int(rule_memory.watched.sum()) - sum(sequential.undecided_counts(rule_memory, detect))
        elif isinstance(rule_memory, SilenceMemory) and isinstance(detect, SilenceDetector):
            many = silence.ready_count(rule_memory, detect)
        elif isinstance(rule_memory, ThresholdMemory):
            many = int((rule_memory.seen & rule_memory.judged).sum())
        else:
            assert isinstance(rule_memory, HealthMemory)
            many = len(rule_memory.seen)
        if many:
            yield name, many


def _undecided_counts(
    effective_rules: Mapping[str, EffectiveRule], memory: EvaluationMemory
) -> Iterator[tuple[str, FindingReason, int]]:
    for name, current in effective_rules.items():
        rule_memory, detect = memory.rules[name], current.detect
        if not current.enabled:
            continue
        if isinstance(rule_memory, SequentialMemory) and isinstance(detect, SequentialDetector):
            learning, few = sequential.undecided_counts(rule_memory, detect)
            yield from (
                (name, why, many)
                for why, many in ((FindingReason.LEARNING, learning), (FindingReason.TOO_FEW, few))
                if many
            )
        elif isinstance(rule_memory, ThresholdMemory) and len(rule_memory.seen):
            missing = int((rule_memory.seen & ~rule_memory.known).sum())
            if missing:
                yield name, FindingReason.NO_DATA, missing
