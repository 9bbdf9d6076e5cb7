"""Notification decisions: which receivers to notify of an alert, or why none.

Each alert stores the receivers that believe it fires (`NotifiedReceiver`). A receiver is notified once per incident,
again when the severity increases or the route repeats, and once when the incident ends, even if it was silenced or
acknowledged meanwhile.
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
    """Kind of a notice."""

    FIRING = "firing"
    ESCALATED = "escalated"
    """The alert was not acknowledged before the next escalation step."""
    WORSE = "worse"
    """The severity increased."""
    UPDATED = "updated"
    """Another alert of the same incident took over the page."""
    REMINDER = "reminder"
    """The alert still fires."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification of one alert to one receiver, with a snapshot of the alert."""

    id: str
    """Idempotency key: the same for all attempts."""
    receiver: str
    kind: NoticeKind
    alert: Alert
    created_ms: int
    due_ms: int
    """Earliest time to send."""
    failures: int = 0
    """Number of failed attempts."""
    alone: bool = False
    """Send it ungrouped: the receiver refused a group that contained it."""

    @property
    def critical(self) -> bool:
        return self.alert.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class NotificationContext:
    """Inputs of the decision that all alerts share."""

    routing: Routing
    silences: Sequence[Silence] = ()
    running: Collection[str] = ()
    """Ids of running promotions."""


@dataclass(frozen=True, slots=True)
class NotificationDecision:
    """The decision about one alert."""

    reason: NotificationStatus
    by: str = ""
    notices: tuple[Notice, ...] = ()
    notified: tuple[NotifiedReceiver, ...] = ()
    """The alert's `notified` once the notices are queued."""
    unsuppressed_at: int | None = None
    """The alert's new `unsuppressed_at`."""


def decide_notification(alert: Alert, context: NotificationContext, now_ms: int) -> NotificationDecision:
    """Decide which receivers to notify now."""
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
    ):  # quiet hours delay only a notification that is due
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
    """Return {receiver: kind} of the notifications due now, before suppression. Escalation counts from `since_ms`."""
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
            elif notified.at_ms < (alert.transferred_at or 0):  # it knows the alert that this one continues
                due.setdefault(receiver, NoticeKind.UPDATED)
            elif notified.at_ms < (alert.fired_ms or 0) or _is_repeat_due(
                route, notified, now_ms
            ):  # it was not notified of the end
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
