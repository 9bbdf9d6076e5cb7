"""Correlate breaches, so that one incident sends one page, and two incidents send two.

1. **Data faults** inhibit the business alerts that they can account for (`data_faults`), until three minutes after
   their end: the numbers of that time are wrong, too. Alerts that were reported before the fault continue. Sequential
   tests continue during a fault, and learn nothing; then its evidence is discarded.
2. **A silent topic** is one incident, not one for each of its producers.
3. **Roots**: of the other breaches, those page that none explains (`explanation`, `roots`). A root that has ended
   explains for the rule's `inhibit_for` what began in its time, because some detectors clear later than others.

A root continues the page of the root that it succeeds. When the last root of an incident ends, the evidence that
sequential tests gathered meanwhile is discarded, so that it causes no page afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerts.correlation.candidates import Candidate
from alerts.correlation.data_faults import inhibit_by_data_faults, inhibit_by_silent_topics, remember_faults
from alerts.correlation.extents import extent_of
from alerts.correlation.memory import ActiveIncident, CorrelationMemory
from alerts.correlation.reporting import breached_finding, finding_sort_key
from alerts.correlation.roots import choose_roots, inhibited
from alerts.detection.detector import Breach, RevenueRate
from alerts.detection.schedule import EffectiveRule
from alerts.findings import Finding


@dataclass(frozen=True, slots=True)
class CorrelationResult:
    """The findings, most severe first, and the incidents that have ended since the last evaluation."""

    findings: list[Finding]
    ended_incidents: dict[str, ActiveIncident]
    """# incident key"""


def correlate(
    breaches: Sequence[Breach],
    rules: Mapping[str, EffectiveRule],
    memory: CorrelationMemory,
    revenue: RevenueRate,
    as_of_ms: int,
    silent_topics: frozenset[str] = frozenset(),
) -> CorrelationResult:
    """Correlate breaches, given in the order of the rule file, and update the memory."""
    memory.expire(as_of_ms)
    remember_faults(breaches, rules, silent_topics, memory, as_of_ms)
    cases = [_candidate(breach, rules[breach.rule], memory, revenue, as_of_ms) for breach in breaches]
    cases = inhibit_by_data_faults(cases, memory)
    cases = inhibit_by_silent_topics(cases, memory, silent_topics)
    roots = choose_roots(cases, rules, memory, as_of_ms)
    cases = [inhibited(case, roots) if case.is_root else case for case in cases]
    ended = _update_active_incidents(cases, rules, memory)
    findings = [
        breached_finding(case, roots.continues.get(case.series), memory.reported, revenue, as_of_ms) for case in cases
    ]
    memory.roots |= {case.series: case.extent for case in cases if case.is_root and not case.breach.is_tracking_loss}
    memory.reported = {finding.series: finding.severity for finding in findings if finding.inhibited_by is None}
    memory.inhibited = {case.series: case.inhibited_by for case in cases if case.inhibited_by is not None}
    memory.continues = {finding.series: finding.continues for finding in findings if finding.continues is not None}
    return CorrelationResult(sorted(findings, key=finding_sort_key), ended)


def _candidate(
    breach: Breach, effective: EffectiveRule, memory: CorrelationMemory, revenue: RevenueRate, as_of_ms: int
) -> Candidate:
    extent = extent_of(effective.rule, breach, revenue, as_of_ms)
    return Candidate(breach, effective, extent.after(memory.roots.get(extent.series)), breach.reason)


def _update_active_incidents(
    cases: Sequence[Candidate], rules: Mapping[str, EffectiveRule], memory: CorrelationMemory
) -> dict[str, ActiveIncident]:
    """Update the incidents' roots; return the incidents that have ended, except those of disabled rules."""
    active: dict[str, ActiveIncident] = {}
    for case in cases:
        if not case.is_root or not case.rule.incident or case.breach.since_ms is None or case.breach.is_tracking_loss:
            continue
        key = case.incident_key
        known = [earlier.since_ms for earlier in (memory.active.get(key), active.get(key)) if earlier is not None]
        active[key] = ActiveIncident(case.series, min([case.breach.since_ms, *known]))
    before, memory.active = memory.active, active
    return {
        key: incident
        for key, incident in before.items()
        if key not in active and incident.root.rule in rules and rules[incident.root.rule].enabled
    }
