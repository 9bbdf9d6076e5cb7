"""Evaluate all rules at one as-of. Health checks and silences come first: they show which numbers are reliable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np

from alerts.correlation.correlate import correlate
from alerts.correlation.data_faults import (
    LOSSY,
    UNRELIABLE,
    blinding_faults,
    is_tracking_fault,
    remember_faults,
    topics_at_fault,
)
from alerts.correlation.explained import with_explained
from alerts.correlation.explanation import PART_ONSET_TOLERANCE_MS
from alerts.correlation.memory import ActiveIncident, DataFault
from alerts.correlation.reporting import no_loss_finding, unbreached_finding
from alerts.detection import health, sequential, shares, silence, stock, thresholds
from alerts.detection.detector import Breach, Detector, Observation
from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.rule_status import disabled_status, rule_status
from alerts.detection.schedule import EffectiveRule, effective_rule, promoted_skus
from alerts.detection.sequential import SequentialMemory
from alerts.detection.series import WHOLE_SHOP
from alerts.detection.silence import SilenceMemory
from alerts.findings import Evaluation, Finding, FindingReason, Series
from alerts.memory import EvaluationMemory
from alerts.rule_states import RuleStatus
from alerts.rules.detect import (
    ChangeDetector,
    HealthCheckDetector,
    SequentialDetector,
    ShareDetector,
    SilenceDetector,
    StockDetector,
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
    inputs: DetectionInputs,
    memory: EvaluationMemory,
    watched: Collection[Series] = (),
    *,
    step_s: int = STEP_S,
) -> tuple[Evaluation, EvaluationMemory]:
    """Evaluate the rules; return the findings and the new memory.

    `memory` is modified; do not use it again. Each `watched` series gets a finding, whatever its condition. `step_s`
    (seconds) may be longer for recordings that span years.
    """
    at_ms = inputs.as_of_ms
    effective_rules = {rule.name: effective_rule(rule, inputs.promotions, at_ms) for rule in rules.rules}
    _reset_changed_memories(rules, memory)
    _discard_faulty(memory.correlation.expire(at_ms), memory, effective_rules)
    steps = _steps(inputs.panes, memory.evaluated_until_s, step_s)
    has_backlog = sum(end_s - start_s for start_s, end_s in steps) > MAX_BACKLOG_PER_SECOND_S
    fine = steps if has_backlog else _steps(inputs.panes, memory.evaluated_until_s, 1)
    row_of = {label: row for row, label in enumerate(inputs.panes.labels)}
    _add_revenue(memory, inputs.panes, row_of, steps)
    observation = Observation(
        inputs,
        row_of,
        steps,
        fine,
        promoted_skus(inputs.promotions, at_ms, inputs.best_sellers),
        memory.revenue,
        budgets_of(rules),
        open_incidents=tuple(
            (effective_rules[series.rule].rule, series.labels)
            for series in memory.correlation.reported
            if series.rule in effective_rules
        ),
    )
    breaches_by_rule = _breaches(effective_rules, memory, observation, first=True)
    silent_topics = _silent_topics(rules, memory)
    remember_faults(chain(*breaches_by_rule.values()), effective_rules, silent_topics, memory.correlation, at_ms)
    observation = replace(
        observation,
        unreliable_topics=topics_at_fault(memory.correlation, at_least=UNRELIABLE),
        lossy_topics=topics_at_fault(memory.correlation, at_least=LOSSY),
    )
    breaches_by_rule |= _breaches(effective_rules, memory, observation, first=False)
    found = [breach for rule in rules.rules for breach in breaches_by_rule[rule.name] if not breach.is_suspected]
    without_loss = [breach for breach in found if breach.has_no_loss and not is_tracking_fault(breach, at_ms)]
    breaches = [breach for breach in found if not breach.has_no_loss or is_tracking_fault(breach, at_ms)]
    correlated = correlate(breaches, effective_rules, memory.correlation, memory.revenue, at_ms, silent_topics)
    _discard_explained(correlated.ended_incidents, memory, effective_rules)
    for series in correlated.released:
        if isinstance(rule_memory := memory.rules[series.rule], SequentialMemory):
            sequential.discard(rule_memory, series)
    findings = correlated.findings
    findings += [no_loss_finding(effective_rules[breach.rule].rule, breach, at_ms) for breach in without_loss]
    findings += _findings_of_watched(watched, findings, effective_rules, memory, at_ms)
    if steps:
        memory.evaluated_until_s = steps[-1][1]
    statuses = _rule_statuses(effective_rules, memory, findings)
    return Evaluation(at_ms, tuple(with_explained(findings)), statuses), memory


def _rule_statuses(
    effective_rules: Mapping[str, EffectiveRule], memory: EvaluationMemory, findings: Collection[Finding]
) -> tuple[RuleStatus, ...]:
    findings_by_rule: dict[str, list[Finding]] = {name: [] for name in effective_rules}
    for finding in findings:
        findings_by_rule[finding.series.rule].append(finding)
    at_limit = memory.rules_at_limit()
    return tuple(
        rule_status(
            effective,
            _detector(effective.rule).counts(memory.rules[name], effective),
            findings_by_rule[name],
            blinding_faults(effective.rule, memory.correlation),
            is_at_limit=name in at_limit,
        )
        if effective.enabled
        else disabled_status(effective.rule)
        for name, effective in effective_rules.items()
    )


_DETECTORS: Mapping[type, Detector] = {
    SequentialDetector: sequential,
    SilenceDetector: silence,
    ShareDetector: shares,
    ThresholdDetector: thresholds,
    ChangeDetector: thresholds,
    StockDetector: stock,
    HealthCheckDetector: health,
}


def _detector(rule: Rule) -> Detector:
    return _DETECTORS[type(rule.detect)]


def _breaches(
    effective_rules: Mapping[str, EffectiveRule], memory: EvaluationMemory, observation: Observation, *, first: bool
) -> dict[str, list[Breach]]:
    """Breaches by rule, of the detectors that are evaluated first, or of the others."""
    breaches_by_rule = {}
    for name, effective in effective_rules.items():
        detector, rule_memory = _detector(effective.rule), memory.rules[name]
        if detector.evaluated_first is first:
            detector.observe(rule_memory, effective, observation)
            breaches_by_rule[name] = (
                list(detector.breaches(rule_memory, effective, observation)) if effective.enabled else []
            )
    return breaches_by_rule


def _discard_explained(
    ended_incidents: Mapping[str, ActiveIncident],
    memory: EvaluationMemory,
    effective_rules: Mapping[str, EffectiveRule],
) -> None:
    """Discard the evidence of sequential tests that an ended incident explains."""
    for incident_key, ended in ended_incidents.items():
        for name, effective in effective_rules.items():
            rule_memory = memory.rules[name]
            if isinstance(rule_memory, SequentialMemory) and effective.rule.incident_key == incident_key:
                sequential.discard_explained(rule_memory, effective.rule, ended.root, ended.since_ms)


def _discard_faulty(
    ended_faults: Mapping[Series, DataFault], memory: EvaluationMemory, effective_rules: Mapping[str, EffectiveRule]
) -> None:
    """Discard the evidence that sequential tests gathered during a data fault, except of reported alerts and of what
    they explain. A fall that lasts is detected again. Of faults that lose little the numbers are learned."""
    correlation = memory.correlation
    explained = (series for series, by in correlation.inhibited.items() if by not in ended_faults)
    kept = {*correlation.reported, *explained}
    for fault in (fault for fault in ended_faults.values() if fault.share >= LOSSY):
        for name, effective in effective_rules.items():
            rule_memory, topics = memory.rules[name], {str(topic) for topic in effective.rule.topics}
            if isinstance(rule_memory, SequentialMemory) and not topics.isdisjoint(fault.topics):
                sequential.discard_faulty(rule_memory, effective.rule, kept, fault.since_ms - PART_ONSET_TOLERANCE_MS)


def _steps(panes: Panes, evaluated_until_s: int | None, step_s: int) -> list[tuple[int, int]]:
    start = panes.start_s if evaluated_until_s is None else max(evaluated_until_s, panes.start_s)
    edges = [*range(start, panes.end_s, step_s), panes.end_s]
    return list(pairwise(edges)) if panes.end_s > start else []


def _add_revenue(
    memory: EvaluationMemory, panes: Panes, row_of: Mapping[ScopeValue, int], steps: list[tuple[int, int]]
) -> None:
    """Add the revenue of the whole shop in these steps to the memory."""
    if WHOLE_SHOP not in row_of:
        return
    row = np.array([row_of[WHOLE_SHOP]])
    for start_s, end_s in steps:
        gmv, paid = (float(panes.counts((name,), row, start_s, end_s)[0]) for name in ("gmv", "orders_paid"))
        memory.revenue.add(gmv, paid, end_s - start_s)
    if steps:
        gmv, paid = (float(panes.corrections((name,), row)[0]) for name in ("gmv", "orders_paid"))
        memory.revenue.add(gmv, paid, 0.0)


def _reset_changed_memories(rules: Rules, memory: EvaluationMemory) -> None:
    """Create missing memories; replace those of changed detectors."""
    for rule in rules.rules:
        signature = _detector(rule).signature(rule)
        if memory.signatures.get(rule.name) != signature:
            memory.rules[rule.name] = _detector(rule).new_memory(rule)
            memory.signatures[rule.name] = signature
    names = {rule.name for rule in rules.rules}
    memory.rules = {name: rule_memory for name, rule_memory in memory.rules.items() if name in names}
    memory.signatures = {name: text for name, text in memory.signatures.items() if name in names}


def budgets_of(rules: Rules) -> dict[str, float]:
    """False alarms per day of each sequential rule."""
    weights = {
        rule.name: rule.detect.weight
        for rule in rules.rules
        if isinstance(rule.detect, SequentialDetector) and rule.enabled
    }
    total = sum(weights.values())
    shares = {name: rules.budget.false_pages_per_day * weight / total for name, weight in weights.items()}
    return {rule.name: shares.get(rule.name, rules.budget.false_pages_per_day) for rule in rules.rules}


def _silent_topics(rules: Rules, memory: EvaluationMemory) -> frozenset[str]:
    """Topics without any active producer."""
    topics: set[str] = set()
    for rule in rules.rules:
        rule_memory = memory.rules[rule.name]
        if isinstance(rule_memory, SilenceMemory) and RuleScope.SOURCE in rule.for_each:
            topics |= {str(topic) for topic in EVENT_TOPICS if not silence.has_active_source(rule_memory, str(topic))}
    return frozenset(topics)


def _findings_of_watched(
    watched: Collection[Series],
    findings: list[Finding],
    effective_rules: Mapping[str, EffectiveRule],
    memory: EvaluationMemory,
    at_ms: int,
) -> list[Finding]:
    """Findings of watched series that are not breached, except those of removed rules."""
    reported = {finding.series for finding in findings}
    unbreached = []
    for series in sorted(set(watched) - reported, key=str):
        if (effective := effective_rules.get(series.rule)) is None:
            continue
        reason, value = FindingReason.NOT_IN_FORCE, None
        if effective.enabled:
            reason, value = _detector(effective.rule).status(memory.rules[series.rule], effective, series)
        unbreached.append(unbreached_finding(effective.rule, series, reason, effective.severity, at_ms, value))
    return unbreached
