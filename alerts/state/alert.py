"""The state of one alert between evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import xxhash

from alerts.findings import SEVERITY_ORDER, Finding, Series, Severity
from alerts.state.notification_status import NotificationStatus


def fingerprint(rule: str, labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits that identify a rule and labels of any order.

    >>> fingerprint("silence", {"scope": "all"})
    '9bc62473cd39cef9'
    """
    return xxhash.xxh3_64_hexdigest(msgspec.json.encode([rule, sorted(labels.items())]))


class Status(StrEnum):
    """State of an alert. An inactive alert is not stored."""

    INACTIVE = "inactive"
    """No condition is breached."""
    PENDING = "pending"
    """Breached for less than the rule's `for`, or inhibited."""
    FIRING = "firing"
    """Breached for at least the rule's `for`."""
    RESOLVED = "resolved"
    """It fired, and has ended."""


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


@dataclass(frozen=True, slots=True)
class NotifiedReceiver:
    """A receiver that was notified of a firing alert and not yet of its end."""

    receiver: str
    severity: Severity
    at_ms: int
    """Time of the last notification."""
    times: int = 1
    """Number of notifications."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The state of one alert. Times are epoch ms."""

    fingerprint: str
    series: Series
    status: Status
    severity: Severity
    """The highest severity of this incident."""
    since_ms: int
    """Time of the last status change."""
    incident: int = 0
    """Number of incidents so far."""
    finding: Finding
    """The last breached finding."""
    reason: NotificationStatus = NotificationStatus.UNCHANGED
    """Result of the last notification decision."""
    by: str = ""
    """The cause of that result: a silence id, the inhibiting alert or the acknowledging user."""
    breached_ms: int | None = None
    """While pending: start of the uninterrupted breach; None: inhibited."""
    fired_ms: int | None = None
    """Start of the current or last incident."""
    worse_ms: int | None = None
    """When the incident reached its severity; escalation counts from here or from `unsuppressed_at`."""
    unsuppressed_at: int | None = None
    """End of the suppression (silence, quiet hours, inhibition) that delayed the first notification; None: none was
    suppressed."""
    clear_ms: int | None = None
    """While firing: start of the uninterrupted clear period."""
    resolved_ms: int | None = None
    over: str = ""
    """Once resolved: the finding reason that ended the incident."""
    firings_ms: tuple[int, ...] = ()
    """Recent incident starts, to detect flapping."""
    ack: Ack | None = None
    notified: tuple[NotifiedReceiver, ...] = ()
    """Receivers to notify when the incident ends."""
    continues: Series | None = None
    """The alert whose page this one took over."""
    root_fingerprint: str = ""
    """Fingerprint of the alert that opened the page, if it is another one."""
    transferred_at: int | None = None
    """When a page was last transferred to or from this alert; earlier notifications describe the alert of that time."""
    worst: float | None = None
    """The incident's value furthest from its expected range."""
    lost: float | None = None
    """Revenue lost in this incident, minor units; None: not measurable."""
    now: float | None = None
    """The value when the incident ended."""

    @property
    def key(self) -> str:
        """Unique id of an incident of this alert."""
        return f"{self.fingerprint}-{self.fired_ms or 0}"

    @property
    def page(self) -> str:
        """Id of the page, shared by all alerts of one incident."""
        return self.root_fingerprint or self.fingerprint

    @property
    def labels(self) -> dict[str, str]:
        """The labels that silences and routes match."""
        common = {
            "rule": self.series.rule,
            "severity": self.severity.value,
            "alert_category": self.finding.category.value,
        }
        return dict(self.series.labels) | common

    @property
    def acknowledged(self) -> bool:
        """Whether the current incident is acknowledged at its current severity."""
        ack = self.ack
        return (
            ack is not None
            and ack.fired_ms == self.fired_ms
            and SEVERITY_ORDER[self.severity] >= SEVERITY_ORDER[ack.severity]
        )


def series_fingerprint(series: Series) -> str:
    """Return the fingerprint of a series' alert."""
    return fingerprint(series.rule, dict(series.labels))


def worst(one: Severity, other: Severity) -> Severity:
    """Return the more severe of two."""
    return min(one, other, key=SEVERITY_ORDER.__getitem__)


class ChangeKind(StrEnum):
    """Kind of an alert's change."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    INACTIVE = "inactive"
    """Pending ended without firing, or the retention of a resolved alert ended."""
    SEVERITY = "severity"
    """The severity increased."""
    ACKNOWLEDGED = "acknowledged"
    REASON = "reason"
    """The notification status changed."""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """A change of an alert, with the alert after it."""

    at_ms: int
    kind: ChangeKind
    alert: Alert
