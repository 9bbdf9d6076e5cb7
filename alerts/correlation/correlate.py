"""Correlate breaches, so that one incident sends one page, and two incidents send two.

1. **Data faults** inhibit the business alerts that they can account for (`data_faults`), until three minutes after
   their end: the numbers of that time are wrong, too. Alerts that were reported before the fault continue. Sequential
   tests continue during a fault, and learn nothing; then its evidence is discarded.
2. **A silent topic** is one incident, not one for each of its producers.
3. **Sold-out SKUs** inhibit falls of orders that are no larger than their share of the orders (`sold_out`).
4. **Roots**: of the other breaches, those page that none explains (`explanation`, `roots`). A root that has ended
   explains for the rule's `inhibit_for` what began in its time, because some detectors clear later than others.

A root continues the page of the root that it succeeds. A breach that outlives the incident that explained it is no
root: its test starts again, because evidence of one incident is none of another. When the last root of an incident
ends, the evidence that sequential tests gathered meanwhile is discarded, so that it causes no page afterwards.
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
from alerts.correlation.sold_out import inhibit_by_sold_out
from alerts.detection.detector import Breach, RevenueRate
from alerts.detection.schedule import EffectiveRule
from alerts.findings import Finding, Series


@dataclass(frozen=True, slots=True)
class CorrelationResult:
    """The findings, most severe first, and the incidents that have ended since the last evaluation."""

    findings: list[Finding]
    ended_incidents: dict[str, ActiveIncident]
    """# incident key"""
    released: frozenset[Series] = frozenset()
    """Breaches that outlive the incident that explained them: what lasts is to be detected again."""


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
    candidates = [_candidate(breach, rules[breach.rule], memory, revenue, as_of_ms) for breach in breaches]
    candidates = inhibit_by_data_faults(candidates, memory)
    candidates = inhibit_by_silent_topics(candidates, memory, silent_topics)
    candidates = inhibit_by_sold_out(candidates, memory)
    roots = choose_roots(candidates, rules, memory, as_of_ms)
    candidates = [inhibited(candidate, roots) if candidate.is_root else candidate for candidate in candidates]
    ended = _update_active_incidents(candidates, rules, memory)
    findings = [
        breached_finding(candidate, roots.continues.get(candidate.series), memory.reported, revenue, as_of_ms)
        for candidate in candidates
    ]
    memory.roots |= {
        candidate.series: candidate.extent
        for candidate in candidates
        if candidate.is_root and not candidate.breach.is_tracking_loss
    }
    memory.reported = {finding.series: finding.severity for finding in findings if finding.inhibited_by is None}
    memory.inhibited = {
        candidate.series: candidate.inhibited_by
        for candidate in candidates
        if candidate.inhibited_by is not None and candidate.series not in roots.released
    }
    memory.continues = {finding.series: finding.continues for finding in findings if finding.continues is not None}
    return CorrelationResult(sorted(findings, key=finding_sort_key), ended, frozenset(roots.released))


def _candidate(
    breach: Breach, effective: EffectiveRule, memory: CorrelationMemory, revenue: RevenueRate, as_of_ms: int
) -> Candidate:
    extent = extent_of(effective.rule, breach, revenue, as_of_ms)
    return Candidate(breach, effective, extent.after(memory.roots.get(extent.series)), breach.reason)


def _update_active_incidents(
    candidates: Sequence[Candidate], rules: Mapping[str, EffectiveRule], memory: CorrelationMemory
) -> dict[str, ActiveIncident]:
    """Update the incidents' roots; return the incidents that have ended, except those of disabled rules."""
    active: dict[str, ActiveIncident] = {}
    for candidate in candidates:
        if (
            not candidate.is_root
            or not candidate.rule.incident
            or candidate.breach.since_ms is None
            or candidate.breach.is_tracking_loss
        ):
            continue
        key = candidate.incident_key
        known = [earlier.since_ms for earlier in (memory.active.get(key), active.get(key)) if earlier is not None]
        active[key] = ActiveIncident(candidate.series, min([candidate.breach.since_ms, *known]))
    before, memory.active = memory.active, active
    return {
        key: incident
        for key, incident in before.items()
        if key not in active and incident.root.rule in rules and rules[incident.root.rule].enabled
    }
