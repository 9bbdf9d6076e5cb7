"""The states of one alert: what one evaluation makes of it. Whom to tell is decided in `alerts.state.telling`.

inactive ──breached──▶ pending ──for long enough──▶ firing ──clear for long enough──▶ resolved ──▶ forgotten
                          │                            ▲                                  │
                          └──ok──▶ inactive            └────────── breached ──────────────┘
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from alerts.findings import Condition, Finding, Series
from alerts.findings import Reason as Cause
from alerts.state.alert import Alert, Status, fingerprint_of, worst
from alerts.state.policy import Timing
from alerts.state.reasons import Reason

FORGOTTEN_AFTER_MS = 24 * 3_600_000
"""How long one that is resolved is still shown."""

_MOST_UNSEEN_MS = 60_000
"""Between two findings the rate of the later one counts, for no longer than this: of more nothing is known."""

_AT_ONCE = frozenset({Cause.NOT_IN_FORCE, Cause.GONE, Cause.STALE})
"""Nothing is watched any more: waiting would say nothing new."""


def awaited(findings: Iterable[Finding], firing: Container[Series]) -> frozenset[Series]:
    """What something goes on with that does not fire yet: it must last for as long as its rule says first."""
    return frozenset(
        found.continues
        for found in findings
        if found.continues is not None and found.condition is Condition.BREACHED and found.series not in firing
    )


def advance(
    alert: Alert | None, finding: Finding, timing: Timing, now_ms: int, *, is_awaited: bool = False
) -> Alert | None:
    """The alert after an evaluation; None: it is inactive and there is nothing to remember. `is_awaited`: see
    `awaited`; it is not resolved then, so that its page is there to go on with."""
    match finding.condition:
        case Condition.BREACHED:
            return _breached(alert, finding, timing, now_ms)
        case Condition.HELD_BACK:
            return _held_back(alert, finding, now_ms)
        case Condition.OK:
            return _ok(alert, finding, timing, now_ms, is_awaited)
        case Condition.UNKNOWN:
            return alert


def flapping(alert: Alert, timing: Timing, now_ms: int) -> bool:
    """Whether it fired so often lately that being clear for a moment says nothing."""
    recent = [at for at in alert.firings_ms if at > now_ms - timing.flap_window_ms]
    return 0 < timing.flap_count <= len(recent)


def clear_needed_ms(alert: Alert, timing: Timing, now_ms: int) -> int:
    """How long a firing alert must be clear before it is resolved."""
    return max(timing.clear_ms, timing.flap_hold_ms) if flapping(alert, timing, now_ms) else timing.clear_ms


def forgotten(alert: Alert, now_ms: int) -> bool:
    """Whether one that is over need not be kept any longer."""
    return alert.status is Status.RESOLVED and not alert.told and now_ms - alert.since_ms >= FORGOTTEN_AFTER_MS


def _breached(alert: Alert | None, finding: Finding, timing: Timing, now_ms: int) -> Alert:
    if alert is None or alert.status in (Status.INACTIVE, Status.RESOLVED):
        alert = _pending(alert, finding, now_ms)
    if alert.status is Status.FIRING:
        severity = worst(alert.severity, finding.severity)
        worse_ms = alert.worse_ms if severity is alert.severity else now_ms
        worst_value, lost = _measured(alert, finding)
        return replace(
            alert,
            finding=finding,
            clear_ms=None,
            severity=severity,
            worse_ms=worse_ms,
            worst=worst_value,
            lost=lost,
        )
    breached_ms = now_ms if alert.breached_ms is None else alert.breached_ms
    alert = replace(alert, finding=finding, breached_ms=breached_ms, severity=finding.severity)
    return _fire(alert, timing, now_ms) if now_ms - breached_ms >= timing.for_ms else alert


def _held_back(alert: Alert | None, finding: Finding, now_ms: int) -> Alert:
    """It neither begins nor ends; once nothing explains it any more, it must last as long as any other."""
    if alert is None or alert.status in (Status.INACTIVE, Status.RESOLVED):
        alert = _pending(alert, finding, now_ms)
    if alert.status is Status.PENDING:
        return replace(alert, finding=finding, breached_ms=None, severity=finding.severity)
    return replace(alert, finding=finding, clear_ms=None)


def _ok(alert: Alert | None, finding: Finding, timing: Timing, now_ms: int, is_awaited: bool) -> Alert | None:
    if alert is None:
        return None
    if alert.status is Status.PENDING:
        return _inactive(alert, now_ms)
    if alert.status is not Status.FIRING:
        return alert
    clear_ms = now_ms if alert.clear_ms is None else alert.clear_ms
    over = finding.reason in _AT_ONCE or now_ms - clear_ms >= clear_needed_ms(alert, timing, now_ms)
    if over and not is_awaited:
        return replace(
            alert,
            status=Status.RESOLVED,
            since_ms=now_ms,
            clear_ms=None,
            resolved_ms=now_ms,
            over=finding.reason.value,
            now=finding.value,
            ack=None,
        )
    return replace(alert, clear_ms=clear_ms)


def _measured(alert: Alert, finding: Finding) -> tuple[float | None, float | None]:
    """(the worst value, what has been lost) with one finding more."""
    since_ms = alert.finding.as_of_ms
    if alert.clear_ms is None:
        since_ms = max(since_ms, finding.as_of_ms - _MOST_UNSEEN_MS)
    else:  # what lies between was right
        since_ms = max(since_ms, finding.as_of_ms if finding.since_ms is None else finding.since_ms)
    more = _lost(finding, since_ms)
    lost = alert.lost if more is None else (alert.lost or 0.0) + more
    usual = finding.expected
    if usual is None and finding.interval is not None:
        usual = finding.interval.low if finding.interval.high is None else finding.interval.high
    if finding.value is None or (
        alert.worst is not None and usual is not None and abs(finding.value - usual) <= abs(alert.worst - usual)
    ):
        return alert.worst, lost
    return finding.value, lost


def _lost(finding: Finding, since_ms: int | None) -> float | None:
    """What was lost from a moment up to a finding, at its rate."""
    if finding.money_per_minute is None:
        return None
    since_ms = finding.as_of_ms if since_ms is None else since_ms
    return finding.money_per_minute * max(0, finding.as_of_ms - since_ms) / 60_000


def _pending(alert: Alert | None, finding: Finding, now_ms: int) -> Alert:
    if alert is None:
        return Alert(
            fingerprint=fingerprint_of(finding.series),
            series=finding.series,
            status=Status.PENDING,
            severity=finding.severity,
            since_ms=now_ms,
            finding=finding,
            reason=Reason.PENDING,
        )
    return replace(alert, status=Status.PENDING, since_ms=now_ms, severity=finding.severity, finding=finding)


def _inactive(alert: Alert, now_ms: int) -> Alert | None:
    """What has fired is remembered as over; what has not is forgotten."""
    if alert.incident == 0:
        return None
    return replace(alert, status=Status.RESOLVED, since_ms=alert.resolved_ms or now_ms, breached_ms=None)


def _fire(alert: Alert, timing: Timing, now_ms: int) -> Alert:
    recent = tuple(at for at in alert.firings_ms if at > now_ms - timing.flap_window_ms)
    return replace(
        alert,
        status=Status.FIRING,
        since_ms=now_ms,
        incident=alert.incident + 1,
        fired_ms=now_ms,
        worse_ms=now_ms,
        free_ms=None,
        breached_ms=None,
        clear_ms=None,
        resolved_ms=None,
        over="",
        ack=None,
        continues=alert.continues if alert.told else None,  # a page whose end was never told goes on
        page_of=alert.page_of if alert.told else "",
        passed_ms=alert.passed_ms if alert.told else None,
        worst=alert.finding.value,
        lost=_lost(alert.finding, alert.finding.since_ms),
        now=None,
        firings_ms=(*recent, now_ms)[-max(timing.flap_count, 1) :],
    )
