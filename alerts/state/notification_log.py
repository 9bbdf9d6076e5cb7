"""The notification log of an alert: its receivers, its page, and the result of the last decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from alerts.findings import Series, Severity


class NotificationStatus(StrEnum):
    """Result of the notification decision of one alert."""

    NOTIFIED = "notified"
    """A notification is being sent."""
    UNCHANGED = "unchanged"
    """All receivers know this state."""
    PENDING = "pending"
    """The rule's `for` has not passed."""
    INHIBITED = "inhibited"
    """Another alert explains it."""
    SILENCED = "silenced"
    """A silence matches it."""
    ACKNOWLEDGED = "acknowledged"
    """The incident is acknowledged."""
    QUIET_HOURS = "quiet_hours"
    """It is not critical, and quiet hours are active."""
    FLAPPING = "flapping"
    """It is clear, but fired too often recently to be resolved yet."""
    NO_ROUTE = "no_route"
    """No route matches it."""
    NOTE = "note"
    """Its severity is info, and its route does not match on `severity`."""
    NEVER_NOTIFIED = "never_notified"
    """It ended, and no receiver knows that it fired."""


WITHDRAWN_BEFORE_MS = 2000
"""How long before it is due a notice is withdrawn at the latest: an evaluation takes time until it is written."""
SUPPRESSED = frozenset(
    {
        NotificationStatus.INHIBITED,
        NotificationStatus.SILENCED,
        NotificationStatus.QUIET_HOURS,
        NotificationStatus.NO_ROUTE,
    }
)
"""Statuses that suppress a notification that would be due."""


@dataclass(frozen=True, slots=True)
class WaitingNotice:
    """A notice in a digest that is not due yet, and can still be withdrawn."""

    id: str
    due_ms: int
    is_first: bool
    """Whether the receiver does not know the alert yet."""


@dataclass(frozen=True, slots=True)
class NotifiedReceiver:
    """A receiver that was notified of a firing alert and not yet of its end."""

    receiver: str
    severity: Severity
    at_ms: int
    """Time of the last notification."""
    times: int = 1
    """Number of notifications."""
    stage: int = 0
    """Stage of the incident at the last notification."""
    waiting: WaitingNotice | None = None
    digest: str = ""
    """The digest that reported the alert; empty: none."""

    def waiting_at(self, now_ms: int) -> WaitingNotice | None:
        """The last notice, while it can be withdrawn before it is due."""
        is_waiting = self.waiting is not None and self.waiting.due_ms > now_ms + WITHDRAWN_BEFORE_MS
        return self.waiting if is_waiting else None


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement of one incident."""

    fired_ms: int
    """Start of the acknowledged incident; the acknowledgement does not apply to later incidents."""
    severity: Severity
    """Severity at that time; a more severe alert notifies again."""
    by: str
    at_ms: int
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationLog:
    """The receivers notified of an alert, the page it belongs to, and the last decision. Times are epoch ms."""

    status: NotificationStatus = NotificationStatus.UNCHANGED
    """Result of the last notification decision."""
    suppressed_by: str = ""
    """The cause of that result: a silence id, the inhibiting alert or the acknowledging user."""
    unsuppressed_at: int | None = None
    """End of the suppression (silence, quiet hours, inhibition) that delayed the first notification; None: none was
    suppressed."""
    notified: tuple[NotifiedReceiver, ...] = ()
    """Receivers to notify when the incident ends."""
    ack: Ack | None = None
    continues: Series | None = None
    """The alert whose page this one took over."""
    root_fingerprint: str = ""
    """Fingerprint of the alert that opened the page, if it is another one."""
    transferred_at: int | None = None
    """When a page was last transferred to or from this alert; earlier notifications describe the alert of that time."""

    def at_new_incident(self) -> NotificationLog:
        """The log when the alert fires again: it keeps its page if receivers were not notified of the last end."""
        if self.notified:
            return replace(self, unsuppressed_at=None, ack=None)
        return NotificationLog(status=self.status, suppressed_by=self.suppressed_by)
