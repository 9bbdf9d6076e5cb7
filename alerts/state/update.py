"""Apply one evaluation to all alerts: new states, changes and notices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from alerts.findings import Condition, Evaluation, Finding, FindingReason, Series
from alerts.state.alert import AlertChange, AlertState, ChangeKind, Status, series_fingerprint
from alerts.state.machine import advance, is_expired, is_flapping, series_with_pending_successor
from alerts.state.notices import Notice, WithdrawnNotice
from alerts.state.notification import NotificationContext, decide_notification
from alerts.state.notification_log import WITHDRAWN_BEFORE_MS, Ack, NotificationLog, NotificationStatus
from alerts.state.policy import Timing

REWRITE_AFTER_MS = 10_000
"""Maximum age of the stored numbers of an otherwise unchanged alert."""

Alerts = Mapping[str, AlertState]
"""By fingerprint."""


@dataclass(frozen=True, slots=True)
class AlertStateUpdate:
    """The effects of an evaluation, to be written atomically: a partial write would lose or repeat a page."""

    updated_alerts: tuple[AlertState, ...] = ()
    """Alerts to store."""
    removed_fingerprints: tuple[str, ...] = ()
    """Fingerprints of alerts to delete."""
    changes: tuple[AlertChange, ...] = ()
    notices: tuple[Notice, ...] = ()
    withdrawn: tuple[WithdrawnNotice, ...] = ()
    """Queued notices to delete."""
    status_counts: Mapping[NotificationStatus, int] = field(default_factory=dict)
    """Number of alerts by notification status."""

    def is_too_late(self, now_ms: int) -> bool:
        """Whether a notice to delete may be sent before the update is written."""
        return any(notice.due_ms <= now_ms + WITHDRAWN_BEFORE_MS // 2 for notice in self.withdrawn)

    def apply_to(self, alerts: Alerts) -> dict[str, AlertState]:
        """Return the alerts after the update."""
        kept = {name: alert for name, alert in alerts.items() if name not in set(self.removed_fingerprints)}
        return kept | {alert.fingerprint: alert for alert in self.updated_alerts}


def without_waiting_notices(alerts: Alerts) -> dict[str, AlertState]:
    """The alerts as if all of their notices had been sent, so that none is withdrawn."""
    return {
        name: replace(
            alert, log=replace(alert.log, notified=tuple(replace(entry, waiting=None) for entry in alert.log.notified))
        )
        for name, alert in alerts.items()
    }


def watched(alerts: Alerts) -> frozenset[Series]:
    """Series that need a finding of any condition, because their alert has not ended."""
    return frozenset(alert.series for alert in alerts.values() if alert.status in (Status.PENDING, Status.FIRING))


def update_alerts(
    alerts: Alerts,
    evaluation: Evaluation,
    *,
    timing: Callable[[str], Timing],
    acks: Mapping[str, Ack],
    context: NotificationContext,
    now_ms: int,
) -> AlertStateUpdate:
    """Apply an evaluation. `timing` is by rule, `acks` by fingerprint.

    An alert of a watched series without a finding belongs to a removed rule, and ends.
    """
    findings = {series_fingerprint(finding.series): finding for finding in evaluation.findings}
    updated_alerts: list[AlertState] = []
    removed_fingerprints: list[str] = []
    changes: list[AlertChange] = []
    notices: list[Notice] = []
    withdrawn: list[WithdrawnNotice] = []
    status_counts: dict[NotificationStatus, int] = {}
    open_digests: set[tuple[str, str]] = set()
    firing = {alert.series for alert in alerts.values() if alert.status is Status.FIRING}
    with_pending_successor = {
        series_fingerprint(series) for series in series_with_pending_successor(evaluation.findings, firing)
    }
    advanced = {
        name: _with_ack(
            _next_state(
                alerts.get(name),
                findings.get(name),
                evaluation.as_of_ms,
                timing,
                now_ms,
                has_pending_successor=name in with_pending_successor,
            ),
            acks.get(name),
        )
        for name in [*alerts, *(name for name in findings if name not in alerts)]
    }
    breached = {name for name, finding in findings.items() if finding.condition is Condition.BREACHED}
    for name, after in _transfer_pages(advanced, breached, now_ms).items():
        before = alerts.get(name)
        if after is None:
            if before is not None:
                removed_fingerprints.append(name)
                changes.append(
                    AlertChange(now_ms, ChangeKind.INACTIVE, replace(before, status=Status.INACTIVE, since_ms=now_ms))
                )
            continue
        decision = decide_notification(after, context, now_ms, digest_ms=timing(after.series.rule).digest_ms)
        log = decision.log
        if log.status is NotificationStatus.UNCHANGED and after.clear_ms is not None and _flaps(after, timing, now_ms):
            log = replace(log, status=NotificationStatus.FLAPPING)
        after = replace(after, log=log)
        notices += decision.notices
        open_digests |= {(entry.receiver, entry.digest) for entry in log.notified if entry.digest}
        withdrawn += decision.withdrawn
        status_counts[log.status] = status_counts.get(log.status, 0) + 1
        alert_changes = list(_changes(before, after, now_ms))
        changes += alert_changes
        if alert_changes or _needs_write(before, after):
            updated_alerts.append(after)
    return AlertStateUpdate(
        tuple(updated_alerts),
        tuple(removed_fingerprints),
        tuple(changes),
        tuple(replace(one, is_digest_open=(one.receiver, one.digest) in open_digests) for one in notices),
        tuple(withdrawn),
        status_counts,
    )


def _next_state(
    before: AlertState | None,
    finding: Finding | None,
    as_of_ms: int,
    timing: Callable[[str], Timing],
    now_ms: int,
    *,
    has_pending_successor: bool,
) -> AlertState | None:
    if before is None:
        assert finding is not None
        begins = finding.condition in (Condition.BREACHED, Condition.INHIBITED)
        return advance(None, finding, timing(finding.series.rule), now_ms) if begins else None
    if finding is None and before.status in (Status.PENDING, Status.FIRING):
        finding = replace(before.finding, reason=FindingReason.GONE, as_of_ms=as_of_ms, inhibited_by=None)
    if finding is not None:
        return advance(before, finding, timing(before.series.rule), now_ms, has_pending_successor=has_pending_successor)
    return None if is_expired(before, now_ms) else before


def _transfer_pages(
    advanced: Mapping[str, AlertState | None], breached: Collection[str], now_ms: int
) -> dict[str, AlertState | None]:
    """Transfer pages between alerts of one incident, with their notified receivers and acknowledgement: to the newly
    firing alert, or back to one that still fires. `breached`: fingerprints that are not inhibited."""
    transferred = dict(advanced)
    holders = {alert.page: name for name, alert in advanced.items() if alert is not None and alert.log.notified}
    for name, alert in advanced.items():
        if alert is None or alert.status is not Status.FIRING or alert.log.notified or name not in breached:
            continue
        continues = alert.finding.continues
        other = holders.get(alert.page) if continues is None else series_fingerprint(continues)
        holder = None if other is None or other in breached else transferred.get(other)
        if holder is None or not holder.log.notified:
            continue
        ack = holder.log.ack
        log = replace(
            alert.log,
            notified=holder.log.notified,
            ack=None if ack is None else replace(ack, fired_ms=alert.fired_ms or 0),
            continues=holder.series,
            root_fingerprint="" if holder.page == name else holder.page,
            transferred_at=now_ms,
        )
        transferred[name] = replace(alert, log=log)
        transferred[holder.fingerprint] = replace(
            holder, log=replace(holder.log, notified=(), ack=None, transferred_at=now_ms)
        )
    return transferred


def _with_ack(alert: AlertState | None, ack: Ack | None) -> AlertState | None:
    if alert is None or ack is None or alert.status is not Status.FIRING or ack.fired_ms != alert.fired_ms:
        return alert
    if ack.at_ms <= (alert.log.transferred_at or 0):
        return alert
    return replace(alert, log=replace(alert.log, ack=ack))


def _flaps(alert: AlertState, timing: Callable[[str], Timing], now_ms: int) -> bool:
    return is_flapping(alert, timing(alert.series.rule), now_ms)


def _changes(before: AlertState | None, after: AlertState, now_ms: int) -> Iterator[AlertChange]:
    if before is None or before.status is not after.status:
        yield AlertChange(now_ms, ChangeKind(after.status.value), after)
        return
    if before.fired_ms != after.fired_ms:
        yield AlertChange(now_ms, ChangeKind.FIRING, after)
    elif before.severity is not after.severity and after.status is Status.FIRING:
        yield AlertChange(now_ms, ChangeKind.SEVERITY, after)
    elif before.log.ack != after.log.ack and after.log.ack is not None:
        yield AlertChange(now_ms, ChangeKind.ACKNOWLEDGED, after)
    elif _is_reported_change(before.log, after.log):
        yield AlertChange(now_ms, ChangeKind.REASON, after)


def _is_reported_change(before: NotificationLog, after: NotificationLog) -> bool:
    """Whether to report a change of the notification status; notified to unchanged is routine."""
    if (before.status, before.suppressed_by) == (after.status, after.suppressed_by):
        return False
    return not (before.status is NotificationStatus.NOTIFIED and after.status is NotificationStatus.UNCHANGED)


def _needs_write(before: AlertState | None, after: AlertState) -> bool:
    """Whether the stored alert differs, or its numbers are too old."""
    if before is None:
        return True
    if replace(before, finding=after.finding, lost=after.lost) != after:
        return True
    return after.finding.as_of_ms - before.finding.as_of_ms >= REWRITE_AFTER_MS
