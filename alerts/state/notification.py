"""Whom to tell of an alert now, and why nobody else.

What receivers believe is part of the alert (`NotifiedReceiver`): somebody is told that it fires once an incident,
again when it
gets worse or a route says so; and everybody who was told that it fires is told when it is over, whatever became of
silences and acknowledgements meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from alerts.findings import SEVERITY_ORDER, Condition, Severity
from alerts.state.alert import Alert, NotifiedReceiver, Status
from alerts.state.notification_status import SUPPRESSED, NotificationStatus
from alerts.state.policy import Route, Routing
from alerts.state.silences import Silence, find_silence


class NoticeKind(StrEnum):
    """What a notice says."""

    FIRING = "firing"
    ESCALATED = "escalated"
    """Nobody has acknowledged it, so the next are called."""
    WORSE = "worse"
    """It has become more severe."""
    UPDATED = "updated"
    """It turned out to be more than was told: the same incident under another name."""
    REMINDER = "reminder"
    """It fires still."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that one receiver is to be told of one alert, as it was then."""

    id: str
    """The same however often it is sent."""
    receiver: str
    kind: NoticeKind
    alert: Alert
    created_ms: int
    due_ms: int
    """From when on it may be sent."""
    failures: int = 0
    """How many attempts have failed."""
    alone: bool = False
    """It was refused in company: it goes by itself now, so that it cannot hold others up."""

    @property
    def critical(self) -> bool:
        return self.alert.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class NotificationContext:
    """What is the same for all alerts at one moment."""

    routing: Routing
    silences: Sequence[Silence] = ()
    running: Collection[str] = ()
    """Ids of the promotions that run."""


@dataclass(frozen=True, slots=True)
class NotificationDecision:
    """What was decided about one alert."""

    reason: NotificationStatus
    by: str = ""
    notices: tuple[Notice, ...] = ()
    notified: tuple[NotifiedReceiver, ...] = ()
    """What receivers believe once the notices are on their way."""
    unsuppressed_at: int | None = None
    """The alert's `unsuppressed_at` from now on."""


def decide_notification(alert: Alert, context: NotificationContext, now_ms: int) -> NotificationDecision:
    """Whom to tell now."""
    match alert.status:
        case Status.FIRING:
            return _firing(alert, context, now_ms)
        case Status.RESOLVED:
            return _resolved(alert, context, now_ms)
        case _:
            held = alert.finding.inhibited_by if alert.finding.condition is Condition.INHIBITED else None
            if held is not None:
                return NotificationDecision(NotificationStatus.INHIBITED, str(held), notified=alert.notified)
            return NotificationDecision(NotificationStatus.PENDING, notified=alert.notified)


def _firing(alert: Alert, context: NotificationContext, now_ms: int) -> NotificationDecision:
    def without_notices(reason: NotificationStatus, by: str = "") -> NotificationDecision:
        return NotificationDecision(
            reason,
            by,
            notified=alert.notified,
            unsuppressed_at=alert.unsuppressed_at if reason in SUPPRESSED else unsuppressed_at,
        )

    def due_from(unsuppressed_at: int | None) -> dict[str, NoticeKind]:
        if route is None or alert.clear_ms is not None:
            return {}
        return _due_receivers(
            alert, route, max(alert.worse_ms or alert.fired_ms or now_ms, unsuppressed_at or 0), now_ms
        )

    unsuppressed_at = now_ms if alert.reason in SUPPRESSED and not alert.notified else alert.unsuppressed_at
    if alert.finding.condition is Condition.INHIBITED:
        return without_notices(NotificationStatus.INHIBITED, str(alert.finding.inhibited_by or ""))
    if silence := find_silence(context.silences, alert.labels, now_ms, context.running):
        return without_notices(NotificationStatus.SILENCED, silence.id)
    route = context.routing.route(alert.labels)
    if route is None or not route.escalation:
        return without_notices(NotificationStatus.NO_ROUTE)
    if alert.acknowledged and alert.ack is not None:
        return without_notices(NotificationStatus.ACKNOWLEDGED, alert.ack.by)
    if context.routing.in_quiet_hours(alert.severity, now_ms) and due_from(
        alert.unsuppressed_at
    ):  # they are not over yet
        return without_notices(NotificationStatus.QUIET_HOURS)
    due = due_from(unsuppressed_at)
    if not due:
        return without_notices(NotificationStatus.UNCHANGED)
    due_ms = now_ms if alert.severity is Severity.CRITICAL else now_ms + route.group_wait_ms
    held = {notified.receiver: notified for notified in alert.notified}
    notices = []
    for receiver, kind in due.items():
        before = held.get(receiver)
        times = 1 if before is None else before.times + 1
        held[receiver] = NotifiedReceiver(receiver, alert.severity, now_ms, times)
        notices.append(_notice(alert, receiver, kind, now_ms, due_ms))
    return NotificationDecision(
        NotificationStatus.NOTIFIED,
        notices=tuple(notices),
        notified=tuple(held.values()),
        unsuppressed_at=unsuppressed_at,
    )


def _due_receivers(alert: Alert, route: Route, since_ms: int, now_ms: int) -> dict[str, NoticeKind]:
    """Receivers that are to be told now if nothing speaks against it, each once, with what. `since_ms`: from when on
    the route's steps count."""
    held = {notified.receiver: notified for notified in alert.notified}
    due: dict[str, NoticeKind] = {}
    for place, step in enumerate(route.escalation):
        if now_ms - since_ms < step.after_ms:
            break
        for receiver in step.receivers:
            notified = held.get(receiver)
            if notified is None:
                due.setdefault(receiver, NoticeKind.ESCALATED if place else NoticeKind.FIRING)
            elif SEVERITY_ORDER[alert.severity] < SEVERITY_ORDER[notified.severity]:
                due.setdefault(receiver, NoticeKind.WORSE)
            elif notified.at_ms < (alert.transferred_at or 0):  # told of what this one continues
                due.setdefault(receiver, NoticeKind.UPDATED)
            elif notified.at_ms < (alert.fired_ms or 0) or _is_repeat_due(
                route, notified, now_ms
            ):  # its end was never told
                due.setdefault(receiver, NoticeKind.REMINDER)
    return due


def _is_repeat_due(route: Route, notified: NotifiedReceiver, now_ms: int) -> bool:
    return route.repeat_interval_ms is not None and now_ms - notified.at_ms >= route.repeat_interval_ms


def _resolved(alert: Alert, context: NotificationContext, now_ms: int) -> NotificationDecision:
    if not alert.notified:
        known = alert.since_ms < now_ms and alert.reason in (NotificationStatus.NOTIFIED, NotificationStatus.UNCHANGED)
        return NotificationDecision(NotificationStatus.UNCHANGED if known else NotificationStatus.NEVER_NOTIFIED)
    if context.routing.in_quiet_hours(alert.severity, now_ms):
        return NotificationDecision(NotificationStatus.QUIET_HOURS, notified=alert.notified)
    route = context.routing.route(alert.labels)
    group_wait_ms = 0 if alert.severity is Severity.CRITICAL or route is None else route.group_wait_ms
    notices = tuple(
        _notice(alert, notified.receiver, NoticeKind.RESOLVED, now_ms, now_ms + group_wait_ms)
        for notified in alert.notified
    )
    return NotificationDecision(NotificationStatus.NOTIFIED, notices=notices)


def _notice(alert: Alert, receiver: str, kind: NoticeKind, now_ms: int, due_ms: int) -> Notice:
    name = f"{alert.key}:{kind}:{alert.severity}:{now_ms}:{receiver}"
    notified = replace(alert, notified=(), firings_ms=(), reason=NotificationStatus.NOTIFIED, by="")
    return Notice(id=name, receiver=receiver, kind=kind, alert=notified, created_ms=now_ms, due_ms=due_ms)
