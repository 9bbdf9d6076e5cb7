"""The state of one alert between evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
import xxhash

from alerts.findings import SEVERITY_ORDER, Finding, Series, Severity
from alerts.state.notification_log import NotificationLog


def fingerprint(rule: str, labels: Mapping[str, str]) -> str:
    """Identify a rule and its labels, in any order, by 16 hexadecimal digits.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """The condition of one alert, with its notification log. Times are epoch ms."""

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
    breached_ms: int | None = None
    """While pending: start of the uninterrupted breach; None: inhibited."""
    fired_ms: int | None = None
    """Start of the current or last incident."""
    worse_ms: int | None = None
    """When the incident reached its severity; escalation counts from here or from `log.unsuppressed_at`."""
    clear_ms: int | None = None
    """While firing: start of the uninterrupted clear period."""
    resolved_ms: int | None = None
    over: str = ""
    """Once resolved: the finding reason that ended the incident."""
    firings_ms: tuple[int, ...] = ()
    """Recent incident starts, to detect flapping."""
    worst: float | None = None
    """The incident's value furthest from its expected range."""
    lost: float | None = None
    """Revenue lost in this incident, minor units; None: not measurable."""
    now: float | None = None
    """The value when the incident ended."""
    log: NotificationLog = field(default_factory=NotificationLog)

    @property
    def key(self) -> str:
        """Unique id of an incident of this alert."""
        return f"{self.fingerprint}-{self.fired_ms or 0}"

    @property
    def page(self) -> str:
        """Id of the page, shared by all alerts of one incident."""
        return self.log.root_fingerprint or self.fingerprint

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
        ack = self.log.ack
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
    alert: AlertState
