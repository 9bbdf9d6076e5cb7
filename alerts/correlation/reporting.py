"""The findings of candidates, of breaches without a loss, and of series that are not breached."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.correlation.candidates import Candidate
from alerts.correlation.presentation import chart, describe_no_loss, measure_of
from alerts.detection.detector import Breach, RevenueRate
from alerts.findings import SEVERITY_ORDER, Finding, FindingReason, Series, Severity
from alerts.rules.detect import Direction, SequentialDetector
from alerts.rules.rule import Rule

CRITICAL_AFTER_MS = 60_000
"""How long a partial loss must last before `critical_from` applies."""
_TRACKING_TITLE = "Tracking is lost: orders without their clicks"
_TOTAL = 0.1
"""Share of the expected value up to which everything is lost."""


def finding_sort_key(finding: Finding) -> tuple[int, int, float, str]:
    """Sort key: roots before inhibited, then by severity, then by loss."""
    return (
        int(finding.inhibited_by is not None),
        SEVERITY_ORDER[finding.severity],
        -float(finding.money_per_minute or 0),
        str(finding.series),
    )


def breached_finding(
    candidate: Candidate,
    predecessor: Series | None,
    reported: Mapping[Series, Severity],
    revenue: RevenueRate,
    as_of_ms: int,
) -> Finding:
    """Return the finding of a candidate; `predecessor` is the root whose page it continues."""
    breach, rule = candidate.breach, candidate.rule
    money = breach.money_per_minute
    return Finding(
        series=candidate.series,
        reason=candidate.reason,
        severity=_severity(candidate, predecessor, reported, revenue, as_of_ms),
        category=candidate.category,
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
        inhibited_by=candidate.inhibited_by,
        continues=predecessor,
        incident=candidate.incident_key,
        title=_TRACKING_TITLE if breach.is_tracking_loss else breach.title or rule.title,
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
    candidate: Candidate,
    predecessor: Series | None,
    reported: Mapping[Series, Severity],
    revenue: RevenueRate,
    as_of_ms: int,
) -> Severity:
    """The rule's severity, or critical by its loss; a reported incident never becomes less severe."""
    breach, effective = candidate.breach, candidate.effective
    by_loss = effective.severity_of_loss(breach.money_per_minute, revenue.gmv_per_minute)
    if by_loss is Severity.CRITICAL and not _is_established(breach, as_of_ms):
        by_loss = effective.severity
    if breach.is_tracking_loss or breach.may_come:
        by_loss = effective.severity
    severity = breach.severity or by_loss
    before = (reported.get(series, severity) for series in (candidate.series, predecessor) if series is not None)
    return min(severity, *before, key=SEVERITY_ORDER.__getitem__)


def no_loss_finding(rule: Rule, breach: Breach, as_of_ms: int) -> Finding:
    """Return the finding of a breach without a loss, which is never notified."""
    measure, detect = measure_of(rule.detect), rule.detect
    rise = isinstance(detect, SequentialDetector) and detect.direction is Direction.RISE
    title, reason = describe_no_loss(measure, breach, rise=rise)
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
        measure=measure,
        rate=breach.rate,
        incident=rule.incident_key,
        title=title,
        summary=reason,
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
