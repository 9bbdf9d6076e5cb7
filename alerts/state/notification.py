"""Notification decisions: which receivers to notify of an alert, or the reason to notify none.

Each alert's log has the receivers that believe it fires. A receiver is notified once per incident,
again when the severity increases or the route repeats, and once when the incident ends, even if it was silenced or
acknowledged meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from alerts.findings import SEVERITY_ORDER, Condition, Severity
from alerts.state.alert import AlertState, Status
from alerts.state.notices import Notice, NoticeKind, WithdrawnNotice
from alerts.state.notification_log import (
    SUPPRESSED,
    NotificationLog,
    NotificationStatus,
    NotifiedReceiver,
    WaitingNotice,
)
from alerts.state.policy import Route, Routing
from alerts.state.silences import Silence, find_silence


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

    log: NotificationLog
    """The alert's log once the notices are queued."""
    notices: tuple[Notice, ...] = ()
    withdrawn: tuple[WithdrawnNotice, ...] = ()
    """Queued notices that these replace."""


def decide_notification(
    alert: AlertState, context: NotificationContext, now_ms: int, *, digest_ms: int = 0
) -> NotificationDecision:
    """Decide which receivers to notify now. `digest_ms`: see `Timing`."""
    match alert.status:
        case Status.FIRING:
            return _firing(alert, context, now_ms, digest_ms)
        case Status.RESOLVED:
            return _resolved(alert, context, now_ms, digest_ms)
        case _:
            inhibited_by = alert.finding.inhibited_by if alert.finding.condition is Condition.INHIBITED else None
            status = NotificationStatus.PENDING if inhibited_by is None else NotificationStatus.INHIBITED
            return NotificationDecision(_logged(alert, status, str(inhibited_by or "")))


def _logged(
    alert: AlertState, status: NotificationStatus, suppressed_by: str = "", *, unsuppressed_at: int | None = None
) -> NotificationLog:
    return replace(alert.log, status=status, suppressed_by=suppressed_by, unsuppressed_at=unsuppressed_at)


def _firing(alert: AlertState, context: NotificationContext, now_ms: int, digest_ms: int) -> NotificationDecision:
    log = alert.log
    unsuppressed_at = now_ms if log.status in SUPPRESSED and not log.notified else log.unsuppressed_at

    def without_notices(status: NotificationStatus, by: str = "") -> NotificationDecision:
        at = log.unsuppressed_at if status in SUPPRESSED else unsuppressed_at
        return NotificationDecision(_logged(alert, status, by, unsuppressed_at=at))

    if alert.finding.condition is Condition.INHIBITED:
        return without_notices(NotificationStatus.INHIBITED, str(alert.finding.inhibited_by or ""))
    if silence := find_silence(context.silences, alert.labels, now_ms, context.running):
        return without_notices(NotificationStatus.SILENCED, silence.id)
    route = context.routing.route(alert.labels)
    if route is None or not route.escalation:
        return without_notices(NotificationStatus.NO_ROUTE)
    if alert.severity is Severity.INFO and not route.sends_notes:
        return without_notices(NotificationStatus.NOTE)
    if alert.acknowledged and log.ack is not None:
        return without_notices(NotificationStatus.ACKNOWLEDGED, log.ack.by)

    def due_from(unsuppressed_at: int | None) -> dict[str, NoticeKind]:
        if alert.clear_ms is not None:
            return {}
        since_ms = max(alert.worse_ms or alert.fired_ms or now_ms, unsuppressed_at or 0)
        return _due_receivers(alert, route, since_ms, now_ms)

    # quiet hours delay only a notification that is due
    if context.routing.in_quiet_hours(alert.severity, now_ms) and due_from(log.unsuppressed_at):
        return without_notices(NotificationStatus.QUIET_HOURS)
    due = due_from(unsuppressed_at)
    if not due:
        return without_notices(NotificationStatus.UNCHANGED)
    due_ms = _due_ms(alert, route.group_wait_ms, digest_ms, now_ms)
    notified = {entry.receiver: entry for entry in log.notified}
    notices: list[Notice] = []
    withdrawn: list[WithdrawnNotice] = []
    for receiver, kind in due.items():
        before = notified.get(receiver)
        replaced = None if before is None else before.waiting_at(now_ms)
        if replaced is not None:
            withdrawn.append(WithdrawnNotice(receiver, replaced.id, replaced.due_ms))
        is_first = before is None or (replaced is not None and replaced.is_first)
        if is_first and kind is not NoticeKind.ESCALATED:
            kind = NoticeKind.FIRING
        in_digest = bool(digest_ms) and due_ms > now_ms
        digest = f"{alert.series.rule}-{due_ms}" if in_digest else ""
        if before is not None and not is_first:
            digest = before.digest
        notice = _notice(alert, receiver, kind, now_ms, due_ms, digest)
        notices.append(notice)
        waiting = WaitingNotice(notice.id, due_ms, is_first) if in_digest else None
        times = 1 if before is None else before.times + 1
        notified[receiver] = NotifiedReceiver(
            receiver, alert.severity, now_ms, times, stage=alert.finding.stage, waiting=waiting, digest=digest
        )
    return NotificationDecision(
        replace(
            _logged(alert, NotificationStatus.NOTIFIED, unsuppressed_at=unsuppressed_at),
            notified=tuple(notified.values()),
        ),
        tuple(notices),
        tuple(withdrawn),
    )


def _due_ms(alert: AlertState, group_wait_ms: int, digest_ms: int, now_ms: int) -> int:
    """When a notice is due: critical ones at once, those of a digest together."""
    if alert.severity is Severity.CRITICAL:
        return now_ms
    return now_ms - now_ms % digest_ms + digest_ms if digest_ms else now_ms + group_wait_ms


def _due_receivers(alert: AlertState, route: Route, since_ms: int, now_ms: int) -> dict[str, NoticeKind]:
    """Return {receiver: kind} of the notifications due now, before suppression. Escalation counts from `since_ms`."""
    notified_by_name = {notified.receiver: notified for notified in alert.log.notified}
    due: dict[str, NoticeKind] = {}
    for index, step in enumerate(route.escalation):
        if now_ms - since_ms < step.after_ms:
            break
        for receiver in step.receivers:
            notified = notified_by_name.get(receiver)
            if notified is None:
                due.setdefault(receiver, NoticeKind.ESCALATED if index else NoticeKind.FIRING)
            elif SEVERITY_ORDER[alert.severity] < SEVERITY_ORDER[notified.severity]:
                due.setdefault(receiver, NoticeKind.WORSE)
            # it knows the alert that this one continues, or the former stage
            elif notified.at_ms < (alert.log.transferred_at or 0) or alert.finding.stage > notified.stage:
                due.setdefault(receiver, NoticeKind.UPDATED)
            # a receiver last notified before `fired_ms` was not notified of the former end
            elif notified.at_ms < (alert.fired_ms or 0) or _is_repeat_due(route, notified, now_ms):
                due.setdefault(receiver, NoticeKind.REMINDER)
    return due


def _is_repeat_due(route: Route, notified: NotifiedReceiver, now_ms: int) -> bool:
    return route.repeat_interval_ms is not None and now_ms - notified.at_ms >= route.repeat_interval_ms


def _resolved(alert: AlertState, context: NotificationContext, now_ms: int, digest_ms: int) -> NotificationDecision:
    log = alert.log
    if not log.notified:
        known = alert.since_ms < now_ms and log.status in (NotificationStatus.NOTIFIED, NotificationStatus.UNCHANGED)
        status = NotificationStatus.UNCHANGED if known else NotificationStatus.NEVER_NOTIFIED
        return NotificationDecision(_logged(alert, status))
    if context.routing.in_quiet_hours(alert.severity, now_ms):
        return NotificationDecision(_logged(alert, NotificationStatus.QUIET_HOURS))
    route = context.routing.route(alert.labels)
    due_ms = _due_ms(alert, 0 if route is None else route.group_wait_ms, digest_ms, now_ms)
    waiting = {entry.receiver: entry.waiting_at(now_ms) for entry in log.notified}
    digests = {entry.receiver: entry.digest for entry in log.notified}
    return NotificationDecision(
        replace(_logged(alert, NotificationStatus.NOTIFIED), notified=()),
        tuple(
            _notice(alert, receiver, NoticeKind.RESOLVED, now_ms, due_ms, digests[receiver])
            for receiver, notice in waiting.items()
            if notice is None or not notice.is_first
        ),
        tuple(
            WithdrawnNotice(receiver, notice.id, notice.due_ms)
            for receiver, notice in waiting.items()
            if notice is not None
        ),
    )


def _notice(alert: AlertState, receiver: str, kind: NoticeKind, now_ms: int, due_ms: int, digest: str) -> Notice:
    notice_id = f"{alert.key}:{kind}:{alert.severity}:{now_ms}:{receiver}"
    log = replace(alert.log, status=NotificationStatus.NOTIFIED, suppressed_by="", notified=())
    alert = replace(alert, firings_ms=(), log=log)
    return Notice(
        id=notice_id, receiver=receiver, kind=kind, alert=alert, created_ms=now_ms, due_ms=due_ms, digest=digest
    )
