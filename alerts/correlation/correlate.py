"""Correlate breaches, so that one incident sends one page.

The steps, in order:

1. **Data faults** inhibit business rules on the same topics, until three minutes after the fault: the numbers of that
   time are wrong, too. Alerts that were reported before the fault continue.
2. **Causes** inhibit the incidents that their rule lists in `causes`, until ten minutes after.
3. **Whole and parts**, for each rule: a breach of the whole shop inhibits its parts, unless one part explains it
   (`contributors.find_explaining_part`) and inhibits the whole.
4. **One incident, many rules**: the first reported rule of an `incident` inhibits the others. Another value of its
   dimension is a separate incident, unless both are parts of a watched whole and started within five minutes. A breach
   of the whole shop becomes the root if it costs 1.5 times as much as the part, or if neither cost is known.

A root continues the page of the root that it succeeds. Inhibitions of 3 and 4 last for the rule's `inhibit_for` after
their root has cleared, because some detectors clear later than others. When an incident ends, the evidence that
sequential tests gathered meanwhile is discarded, so that it causes no page afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from alerts.correlation.candidates import (
    ActiveIncident,
    Candidate,
    CorrelationMemory,
    ExpiringSeries,
    SeriesMemory,
    root_series,
)
from alerts.correlation.presentation import chart, explain_note, measure_of
from alerts.detection.detector import Breach, RevenueRate
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import WHOLE_SHOP
from alerts.findings import (
    SAME_INCIDENT_WITHIN_MS,
    SEVERITY_ORDER,
    Category,
    Finding,
    FindingReason,
    Series,
    Severity,
    siblings,
)
from alerts.rules.detect import SilenceDetector
from alerts.rules.rule import Rule, RuleScope
from consumers.topics import EVENT_TOPICS, Topic

INHIBIT_AFTER_FAULT_MS = 180_000
"""How long a data fault inhibits after its end."""
INHIBIT_AFTER_ROOT_MS = 600_000
"""How long the root of an incident inhibits the incidents it causes, and can be succeeded, after its end."""
CRITICAL_AFTER_MS = 60_000
"""How long a partial loss must last before `critical_from` applies."""
_TOTAL = 0.1
"""Share of the expected value up to which everything is lost."""
_TAKEOVER_LOSS_RATIO = 1.5
"""Loss of the whole shop, relative to that of a part, above which the whole becomes the root."""


@dataclass(frozen=True, slots=True)
class CorrelationResult:
    """The findings, most severe first, and the incidents that have ended since the last evaluation."""

    findings: list[Finding]
    ended_incidents: dict[str, ActiveIncident]
    """# incident key"""


def is_inhibited_by(case: Candidate, to: Series, by_series: Mapping[Series, Candidate]) -> bool:
    """Whether a candidate is inhibited by a series, directly or in a chain."""
    return not case.is_root and root_series(case, by_series) == to


def _find_predecessors(
    cases: Sequence[Candidate], rules: Mapping[str, EffectiveRule], memory: CorrelationMemory
) -> dict[Series, Series]:
    """Return {root: its predecessor}, where the predecessor is now inhibited by the root, or clear.

    A clear series is not succeeded by another value of its dimension: that is a separate incident.
    """
    by_series = {case.series: case for case in cases}
    reported = memory.reported()
    predecessors: dict[Series, Series] = {}
    for case in cases:
        if not case.is_root:
            continue
        series, incident_key = case.series, case.rule.incident_key
        if series in memory.series and (before := memory.series[series].continues) is not None:
            predecessors[series] = before
        if series in reported or not case.rule.incident:
            continue
        for other in reported:
            other_case = by_series.get(other)
            if (
                (not siblings(series, other) if other_case is None else is_inhibited_by(other_case, series, by_series))
                and other.rule in rules
                and rules[other.rule].rule.incident_key == incident_key
            ):
                predecessors[series] = other
                break
        else:
            recent = memory.incident(incident_key).recent_root
            if recent is None or recent.series == series or recent.series in by_series:
                continue
            if not siblings(series, recent.series):
                predecessors[series] = recent.series
    return predecessors


def _update_active_incidents(
    cases: Sequence[Candidate], rules: Mapping[str, EffectiveRule], memory: CorrelationMemory, as_of_ms: int
) -> dict[str, ActiveIncident]:
    """Update the incidents' roots; return the incidents that have ended, except those of disabled rules."""
    active: dict[str, ActiveIncident] = {}
    for case in cases:
        if not case.is_root or not case.rule.incident:
            continue
        incident_key, since_ms = case.rule.incident_key, case.breach.since_ms
        incident = memory.incident(incident_key)
        incident.recent_root = ExpiringSeries(case.series, as_of_ms + INHIBIT_AFTER_ROOT_MS)
        if since_ms is not None:
            known = [earlier.since_ms for earlier in (incident.active, active.get(incident_key)) if earlier is not None]
            active[incident_key] = ActiveIncident(case.series, min([since_ms, *known]))
    ended = {
        incident_key: incident.active
        for incident_key, incident in memory.incidents.items()
        if incident.active is not None
        and incident_key not in active
        and incident.active.root.rule in rules
        and rules[incident.active.root.rule].enabled
    }
    for incident_key, incident in memory.incidents.items():
        incident.active = active.get(incident_key)
    return ended


def faulty_topics(
    breaches: Sequence[Breach], rules: Mapping[str, EffectiveRule], silent_topics: frozenset[str]
) -> dict[str, Series]:
    """Return {topic: the data fault that makes it unreliable}. `silent_topics` have no active producer, which is not a
    fault of a single producer."""
    faults: dict[str, Series] = {}
    for breach in breaches:
        rule = rules[breach.rule].rule
        if rule.category is not Category.DATA:
            continue
        labels = dict(breach.labels)
        if "source" in labels and labels.get("topic") in silent_topics:
            continue
        topics: Collection[str] = (labels["topic"],) if "topic" in labels else EVENT_TOPICS
        if rule.explains is not None:
            topics = rule.explains
        for topic in topics:
            faults.setdefault(str(topic), Series(breach.rule, breach.labels))
    return faults


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
    for topic, fault in faulty_topics(breaches, rules, silent_topics).items():
        memory.topic_faults[topic] = ExpiringSeries(fault, as_of_ms + INHIBIT_AFTER_FAULT_MS)
    cases = [
        Candidate(breach, rules[breach.rule], Series(breach.rule, breach.labels), breach.reason) for breach in breaches
    ]
    cases = _inhibit_by_silent_topic([_inhibit_by_data_fault(case, memory) for case in cases], memory, silent_topics)
    cases = _inhibit_by_cause(cases, memory, as_of_ms)
    cases = _inhibit_whole_or_parts(cases, memory)
    _drop_circular_inhibitions(cases, memory)
    cases = _inhibit_within_incident(cases, memory, as_of_ms)
    cases = _inhibit_after_incident(cases, memory, as_of_ms)
    predecessors = _find_predecessors(cases, rules, memory)
    ended = _update_active_incidents(cases, rules, memory, as_of_ms)
    reported = memory.reported()
    findings = [_finding(case, predecessors.get(case.series), reported, revenue, as_of_ms) for case in cases]
    memory.series = {  # in the order of the rule file
        finding.series: SeriesMemory(
            reported=finding.severity if finding.inhibited_by is None else None,
            continues=finding.continues,
            inhibited_by=memory.inhibition(finding.series),
        )
        for finding in findings
    } | {
        series: SeriesMemory(inhibited_by=series_memory.inhibited_by)
        for series, series_memory in memory.series.items()
        if series not in {finding.series for finding in findings}
    }
    return CorrelationResult(sorted(findings, key=finding_sort_key), ended)


def finding_sort_key(finding: Finding) -> tuple[int, int, float, str]:
    """Sort key: roots before inhibited, then by severity, then by loss."""
    return (
        int(finding.inhibited_by is not None),
        SEVERITY_ORDER[finding.severity],
        -float(finding.money_per_minute or 0),
        str(finding.series),
    )


def _inhibit_by_data_fault(case: Candidate, memory: CorrelationMemory) -> Candidate:
    rule = case.rule
    if rule.category is Category.DATA or memory.is_reported(case.series):
        return case
    for topic in sorted(rule.topics):
        if topic in memory.topic_faults:
            return case.inhibited(FindingReason.DATA_FAULT, memory.topic_faults[topic].series)
    return case


def _inhibit_by_silent_topic(
    cases: Sequence[Candidate], memory: CorrelationMemory, silent_topics: frozenset[str]
) -> list[Candidate]:
    """A silent topic is one incident, not one for each of its producers."""
    inhibited: dict[Series, Series] = {}
    for topic in silent_topics:
        of_topic = [case for case in cases if case.is_root and {"source", "topic"} <= dict(case.series.labels).keys()]
        of_topic = [case for case in of_topic if dict(case.series.labels)["topic"] == topic]
        whole = (case for case in cases if case.is_root and _is_silence_of(case, topic))
        reported = (case for case in of_topic if memory.is_reported(case.series))
        leader = next(whole, None) or next(reported, None) or next(iter(of_topic), None)
        if leader is not None:
            others = (case.series for case in of_topic if case is not leader and not memory.is_reported(case.series))
            inhibited |= dict.fromkeys(others, leader.series)
    return [
        case.inhibited(FindingReason.SAME_INCIDENT, inhibited[case.series]) if case.series in inhibited else case
        for case in cases
    ]


def _is_silence_of(case: Candidate, topic: str) -> bool:
    """Whether the candidate reports the silence of a whole topic."""
    return (
        isinstance(case.effective.detect, SilenceDetector)
        and not case.series.labels
        and Topic(topic) in case.rule.topics
    )


def _inhibit_by_cause(cases: Sequence[Candidate], memory: CorrelationMemory, as_of_ms: int) -> list[Candidate]:
    """Inhibit incidents caused by an incident of another kind."""
    for case in cases:
        if case.is_root:
            for incident_key in case.rule.causes:
                memory.incident(incident_key).inhibited_by = ExpiringSeries(
                    case.series, as_of_ms + INHIBIT_AFTER_ROOT_MS
                )
    correlated = []
    for case in cases:
        cause = memory.incident(case.rule.incident_key).inhibited_by
        if case.is_root and cause is not None and not memory.is_reported(case.series):
            case = case.inhibited(FindingReason.SAME_INCIDENT, cause.series)
        correlated.append(case)
    return correlated


def _inhibit_whole_or_parts(cases: Sequence[Candidate], memory: CorrelationMemory) -> list[Candidate]:
    """Let the whole inhibit its parts, or one part inhibit the rest. A reported whole stays the root: what remains when
    an incident ends is noise that falls to some part."""
    wholes = {case.breach.rule: case for case in cases if case.breach.label == WHOLE_SHOP}
    correlated = []
    for case in cases:
        whole = wholes.get(case.breach.rule)
        if whole is None or not case.is_root:
            correlated.append(case)
            continue
        part = None if memory.is_reported(whole.series) else whole.breach.explained_by
        root = Series(case.breach.rule, ((part[0], part[1]),)) if part else whole.series
        if case.series == root:
            correlated.append(case)
        elif case is whole:
            correlated.append(case.inhibited(FindingReason.CHILD, root))
        else:
            correlated.append(case.inhibited(FindingReason.SAME_INCIDENT if part else FindingReason.PARENT, root))
    return correlated


def _drop_circular_inhibitions(cases: Sequence[Candidate], memory: CorrelationMemory) -> None:
    """Drop an inhibition whose root is now inhibited by the same series; otherwise neither would be reported."""
    by_series = {case.series: case for case in cases}
    for series, series_memory in memory.series.items():
        root = None if series_memory.inhibited_by is None else by_series.get(series_memory.inhibited_by.series)
        if root is not None and is_inhibited_by(root, series, by_series):
            series_memory.inhibited_by = None


def _inhibit_within_incident(cases: Sequence[Candidate], memory: CorrelationMemory, as_of_ms: int) -> list[Candidate]:
    """Let one rule inhibit the other rules of its incident."""
    families: dict[str, list[Candidate]] = {}
    for case in cases:
        if case.is_root and case.rule.incident and memory.inhibition(case.series) is None:
            families.setdefault(case.rule.incident_key, []).append(case)
    inhibited: dict[Series, Series] = {}
    leaders: dict[str, Series] = {}
    for incident_key, members in families.items():
        before = memory.incident(incident_key).leader
        first = next((case for case in members if case.series == before), members[0])
        leader = _incident_root(first, members)
        leaders[incident_key] = leader.series
        inhibited |= {
            case.series: leader.series for case in members if not _is_separate_incident(case, leader, as_of_ms)
        }
    for incident_key, incident in memory.incidents.items():
        incident.leader = leaders.get(incident_key)
    return [
        case.inhibited(FindingReason.SAME_INCIDENT, inhibited[case.series]) if case.series in inhibited else case
        for case in cases
    ]


def _inhibit_after_incident(cases: Sequence[Candidate], memory: CorrelationMemory, as_of_ms: int) -> list[Candidate]:
    """Continue recent inhibitions whose root has cleared, and remember the current ones.

    Only an active root extends an inhibition, which then ends after the rule's `inhibit_for`.
    """
    correlated = []
    for case in cases:
        inhibition = memory.inhibition(case.series)
        if case.is_root and inhibition is not None and not memory.is_reported(case.series):
            case = case.inhibited(FindingReason.SAME_INCIDENT, inhibition.series)
        correlated.append(case)
    by_series = {case.series: case for case in correlated}
    for case in correlated:
        root = by_series.get(root_series(case, by_series))
        inhibited = not case.is_root and case.reason is not FindingReason.DATA_FAULT
        if inhibited and root is not None and root.is_root:
            until_ms = as_of_ms + round(case.rule.inhibit_for * 1000)
            memory.series.setdefault(case.series, SeriesMemory()).inhibited_by = ExpiringSeries(root.series, until_ms)
    return correlated


def _incident_root(first: Candidate, members: Sequence[Candidate]) -> Candidate:
    """The first candidate, unless it is a part and the whole shop loses far more, or neither loss is known."""
    if not first.breach.labels:
        return first
    return next((case for case in members if not case.breach.labels and _costs_more(case, first)), first)


def _costs_more(whole: Candidate, part: Candidate) -> bool:
    whole_loss, part_loss = whole.breach.money_per_minute, part.breach.money_per_minute
    return (whole_loss is None and part_loss is None) or (whole_loss or 0.0) > (part_loss or 0.0) * _TAKEOVER_LOSS_RATIO


def _is_separate_incident(case: Candidate, leader: Candidate, as_of_ms: int) -> bool:
    if case.series == leader.series:
        return True
    if not siblings(case.series, leader.series):
        return False
    of_a_whole = RuleScope.ALL in case.rule.for_each
    return not of_a_whole or abs(case.since_ms(as_of_ms) - leader.since_ms(as_of_ms)) >= SAME_INCIDENT_WITHIN_MS


def _finding(
    case: Candidate,
    predecessor: Series | None,
    reported: Mapping[Series, Severity],
    revenue: RevenueRate,
    as_of_ms: int,
) -> Finding:
    breach, rule = case.breach, case.rule
    money = breach.money_per_minute
    return Finding(
        series=case.series,
        reason=case.reason,
        severity=_severity(case, predecessor, reported, revenue, as_of_ms),
        category=rule.category,
        as_of_ms=as_of_ms,
        since_ms=breach.since_ms,
        unit=breach.unit,
        value=breach.value,
        expected=breach.expected,
        interval=breach.interval,
        fired_beyond=breach.fired_beyond,
        measure=measure_of(rule.detect),
        rate=breach.rate,
        money_per_minute=None if money is None else round(money),
        money_lost=None if breach.money_lost is None else round(breach.money_lost),
        is_forecast=breach.is_forecast,
        stage=breach.stage,
        contributors=breach.contributors,
        inhibited_by=case.inhibited_by,
        continues=predecessor,
        incident=rule.incident_key,
        title=breach.title or rule.title,
        summary=breach.numbers,
        runbook=rule.runbook,
        chart=chart(rule, breach, as_of_ms),
    )


def _is_established(breach: Breach, as_of_ms: int) -> bool:
    """Whether a loss has lasted a minute, or is almost total."""
    value, expected = breach.value, breach.expected
    is_total = value is not None and expected is not None and value <= _TOTAL * expected
    return is_total or breach.since_ms is None or as_of_ms - breach.since_ms >= CRITICAL_AFTER_MS


def _severity(
    case: Candidate,
    predecessor: Series | None,
    reported: Mapping[Series, Severity],
    revenue: RevenueRate,
    as_of_ms: int,
) -> Severity:
    """The rule's severity, or critical by its loss; a reported incident never becomes less severe."""
    breach, effective = case.breach, case.effective
    by_loss = effective.severity_of_loss(breach.money_per_minute, revenue.gmv_per_minute)
    if by_loss is Severity.CRITICAL and not _is_established(breach, as_of_ms):
        by_loss = effective.severity
    severity = breach.severity or by_loss
    before = (reported.get(series, severity) for series in (case.series, predecessor) if series is not None)
    return min(severity, *before, key=SEVERITY_ORDER.__getitem__)


def note_finding(rule: Rule, breach: Breach, as_of_ms: int) -> Finding:
    """Return the finding of a note, which is never notified."""
    return Finding(
        series=Series(breach.rule, breach.labels),
        reason=FindingReason.NOTHING_LOST,
        severity=Severity.INFO,
        category=rule.category,
        as_of_ms=as_of_ms,
        since_ms=breach.since_ms,
        unit=breach.unit,
        value=breach.value,
        expected=breach.expected,
        interval=breach.interval,
        measure=measure_of(rule.detect),
        rate=breach.rate,
        incident=rule.incident_key,
        title=rule.title,
        summary=explain_note(breach),
        runbook=rule.runbook,
        chart=chart(rule, breach, as_of_ms),
    )


def unbreached_finding(
    rule: Rule, series: Series, reason: FindingReason, severity: Severity, as_of_ms: int, value: float | None
) -> Finding:
    """Return a finding of a series that is not breached, with its measured value."""
    return Finding(
        series=series,
        reason=reason,
        severity=severity,
        category=rule.category,
        as_of_ms=as_of_ms,
        value=value,
        incident=rule.incident_key,
        title=rule.title,
        runbook=rule.runbook,
    )
