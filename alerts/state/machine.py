"""The states of one alert, and how an evaluation changes them. Notifications are decided in `notification`.

inactive ──breached──▶ pending ──for long enough──▶ firing ──clear for long enough──▶ resolved ──▶ forgotten
                          │                            ▲                                  │
                          └──ok──▶ inactive            └────────── breached ──────────────┘
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from alerts.findings import MAX_EXPLAINED, Condition, Finding, FindingReason, Series
from alerts.state.alert import AlertState, Status, series_fingerprint, worst
from alerts.state.notification_log import NotificationLog, NotificationStatus
from alerts.state.policy import Timing

RESOLVED_RETENTION_MS = 24 * 3_600_000
"""Retention of resolved alerts."""

_MAX_LOSS_GAP_MS = 60_000
"""A finding's loss rate extends back to the previous finding, but no further than this."""

_RESOLVE_IMMEDIATELY = frozenset({FindingReason.NOT_IN_FORCE, FindingReason.GONE, FindingReason.STALE})
"""Reasons that end an alert without waiting for `keep_firing_for`: the series is no longer evaluated."""


def series_with_pending_successor(findings: Iterable[Finding], firing: Container[Series]) -> frozenset[Series]:
    """Series whose successor is breached but does not fire yet, because its rule's `for` has not passed."""
    return frozenset(
        finding.continues
        for finding in findings
        if finding.continues is not None and finding.condition is Condition.BREACHED and finding.series not in firing
    )


def advance(
    alert: AlertState | None, finding: Finding, timing: Timing, now_ms: int, *, has_pending_successor: bool = False
) -> AlertState | None:
    """Return the alert after an evaluation; None: inactive.

    `has_pending_successor` (see `series_with_pending_successor`) delays the end, so that the successor can take over
    the page.
    """
    match finding.condition:
        case Condition.BREACHED:
            return _breached(alert, finding, timing, now_ms)
        case Condition.INHIBITED:
            return _inhibited(alert, finding, now_ms)
        case Condition.OK:
            return _ok(alert, finding, timing, now_ms, has_pending_successor)
        case Condition.UNKNOWN:
            return alert


def is_flapping(alert: AlertState, timing: Timing, now_ms: int) -> bool:
    """Whether the alert fired so often that a clear condition is not enough to resolve it."""
    recent = [at for at in alert.firings_ms if at > now_ms - timing.flap_window_ms]
    return 0 < timing.flap_count <= len(recent)


def required_clear_ms(alert: AlertState, timing: Timing, now_ms: int) -> int:
    """How long a firing alert must be clear before it resolves."""
    return max(timing.clear_ms, timing.flap_hold_ms) if is_flapping(alert, timing, now_ms) else timing.clear_ms


def is_expired(alert: AlertState, now_ms: int) -> bool:
    """Whether the retention of a resolved alert has ended."""
    return (
        alert.status is Status.RESOLVED and not alert.log.notified and now_ms - alert.since_ms >= RESOLVED_RETENTION_MS
    )


def _breached(alert: AlertState | None, finding: Finding, timing: Timing, now_ms: int) -> AlertState:
    if alert is None or alert.status in (Status.INACTIVE, Status.RESOLVED):
        alert = _pending(alert, finding, now_ms)
    if alert.status is Status.FIRING:
        severity = worst(alert.severity, finding.severity)
        worse_ms = alert.worse_ms if severity is alert.severity else now_ms
        worst_value, lost = _worst_and_loss(alert, finding)
        return replace(
            alert,
            finding=_with_explained_before(finding, alert.finding),
            clear_ms=None,
            severity=severity,
            worse_ms=worse_ms,
            worst=worst_value,
            lost=lost,
        )
    breached_ms = now_ms if alert.breached_ms is None else alert.breached_ms
    alert = replace(alert, finding=finding, breached_ms=breached_ms, severity=finding.severity)
    return _fire(alert, timing, now_ms) if now_ms - breached_ms >= timing.for_ms else alert


def _inhibited(alert: AlertState | None, finding: Finding, now_ms: int) -> AlertState:
    """Neither start nor end the alert; `for` starts again when the inhibition ends."""
    if alert is None or alert.status in (Status.INACTIVE, Status.RESOLVED):
        alert = _pending(alert, finding, now_ms)
    if alert.status is Status.PENDING:
        return replace(alert, finding=finding, breached_ms=None, severity=finding.severity)
    return replace(alert, finding=finding, clear_ms=None)


def _ok(
    alert: AlertState | None, finding: Finding, timing: Timing, now_ms: int, has_pending_successor: bool
) -> AlertState | None:
    if alert is None:
        return None
    if alert.status is Status.PENDING:
        return _inactive(alert, now_ms)
    if alert.status is not Status.FIRING:
        return alert
    clear_ms = now_ms if alert.clear_ms is None else alert.clear_ms
    is_over = finding.reason in _RESOLVE_IMMEDIATELY or now_ms - clear_ms >= required_clear_ms(alert, timing, now_ms)
    if is_over and not has_pending_successor:
        return replace(
            alert,
            status=Status.RESOLVED,
            since_ms=now_ms,
            clear_ms=None,
            resolved_ms=now_ms,
            over=finding.reason.value,
            now=finding.value,
            log=replace(alert.log, ack=None),
        )
    return replace(alert, clear_ms=clear_ms)


def _worst_and_loss(alert: AlertState, finding: Finding) -> tuple[float | None, float | None]:
    """Return (worst value, total loss) including one more finding."""
    since_ms = alert.finding.as_of_ms
    if alert.clear_ms is None:
        since_ms = max(since_ms, finding.as_of_ms - _MAX_LOSS_GAP_MS)
    else:  # the gap was clear and cost nothing
        since_ms = max(since_ms, finding.as_of_ms if finding.since_ms is None else finding.since_ms)
    added_loss = _added_loss(alert.finding, finding, since_ms)
    lost = alert.lost if added_loss is None else (alert.lost or 0.0) + added_loss
    usual = finding.expected
    if usual is None and finding.interval is not None:
        usual = finding.interval.low if finding.interval.high is None else finding.interval.high
    if finding.value is None or (
        alert.worst is not None and usual is not None and abs(finding.value - usual) <= abs(alert.worst - usual)
    ):
        return alert.worst, lost
    return finding.value, lost


def _with_explained_before(finding: Finding, before: Finding) -> Finding:
    """Return the finding with the series that the incident has explained so far."""
    if not before.explains:
        return finding
    explains = tuple(dict.fromkeys((*before.explains, *finding.explains)))[:MAX_EXPLAINED]
    return replace(finding, explains=explains)


def _added_loss(before: Finding, finding: Finding, since_ms: int) -> float | None:
    """Loss since the previous finding: as the detector measured it, else at the finding's rate."""
    if finding.money_lost is None:
        return _loss_since(finding, since_ms)
    same = before.since_ms == finding.since_ms
    return float(finding.money_lost - ((before.money_lost or 0) if same else 0))


def _loss_since(finding: Finding, since_ms: int | None) -> float | None:
    """Loss since a moment at the finding's rate."""
    if finding.money_per_minute is None or finding.is_forecast:
        return None
    since_ms = finding.as_of_ms if since_ms is None else since_ms
    return finding.money_per_minute * max(0, finding.as_of_ms - since_ms) / 60_000


def _pending(alert: AlertState | None, finding: Finding, now_ms: int) -> AlertState:
    if alert is None:
        return AlertState(
            fingerprint=series_fingerprint(finding.series),
            series=finding.series,
            status=Status.PENDING,
            severity=finding.severity,
            since_ms=now_ms,
            finding=finding,
            log=NotificationLog(status=NotificationStatus.PENDING),
        )
    return replace(alert, status=Status.PENDING, since_ms=now_ms, severity=finding.severity, finding=finding)


def _inactive(alert: AlertState, now_ms: int) -> AlertState | None:
    """Return the alert as resolved if it has fired before, else None."""
    if alert.incident == 0:
        return None
    return replace(alert, status=Status.RESOLVED, since_ms=alert.resolved_ms or now_ms, breached_ms=None)


def _fire(alert: AlertState, timing: Timing, now_ms: int) -> AlertState:
    recent = tuple(at for at in alert.firings_ms if at > now_ms - timing.flap_window_ms)
    return replace(
        alert,
        status=Status.FIRING,
        since_ms=now_ms,
        incident=alert.incident + 1,
        fired_ms=now_ms,
        worse_ms=now_ms,
        breached_ms=None,
        clear_ms=None,
        resolved_ms=None,
        over="",
        worst=alert.finding.value,
        lost=_loss_since(alert.finding, alert.finding.since_ms)
        if alert.finding.money_lost is None
        else float(alert.finding.money_lost),
        now=None,
        firings_ms=(*recent, now_ms)[-max(timing.flap_count, 1) :],
        log=alert.log.at_new_incident(),
    )
