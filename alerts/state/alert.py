"""One alert: what is known of it between one evaluation and the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import xxhash

from alerts.findings import SEVERITY_ORDER, Finding, Series, Severity
from alerts.state.notification_status import NotificationStatus


def fingerprint(rule: str, labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits: the same for the same rule and labels, in whatever order, in every process.

    >>> fingerprint("silence", {"scope": "all"})
    '9bc62473cd39cef9'
    """
    return xxhash.xxh3_64_hexdigest(msgspec.json.encode([rule, sorted(labels.items())]))


class Status(StrEnum):
    """Where an alert stands. One that is not kept at all is inactive."""

    INACTIVE = "inactive"
    """Nothing is wrong."""
    PENDING = "pending"
    """Something is wrong, but not for long enough, or something else explains it."""
    FIRING = "firing"
    """Something is wrong, and people are to know."""
    RESOLVED = "resolved"
    """It was firing, and is over."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody is on it."""

    fired_ms: int
    """When the incident began to fire that it is about: another one is not acknowledged by it."""
    severity: Severity
    """How bad it was then: it calls again when it gets worse."""
    by: str
    at_ms: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class NotifiedReceiver:
    """What one receiver believes: that this fires."""

    receiver: str
    severity: Severity
    at_ms: int
    """When it was told last."""
    times: int = 1
    """How often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. Times are epoch ms."""

    fingerprint: str
    series: Series
    status: Status
    severity: Severity
    """The worst that it was in this incident."""
    since_ms: int
    """Since when it has this status."""
    incident: int = 0
    """How many times it has fired."""
    finding: Finding
    """The last one that says what is, or was, wrong."""
    reason: NotificationStatus = NotificationStatus.UNCHANGED
    """Why nobody is told now, or that somebody is."""
    by: str = ""
    """What that reason names: a silence's id, the alert that explains it, who acknowledged."""
    breached_ms: int | None = None
    """While pending: since when it has been breached at every evaluation; None: it is held back."""
    fired_ms: int | None = None
    """When its present or last incident began to fire."""
    worse_ms: int | None = None
    """When that incident reached its severity: steps of escalation count from here, or from `unsuppressed_at`."""
    unsuppressed_at: int | None = None
    """When what had kept people from hearing of it (a silence, quiet hours, another alert that told of it) went away
    while it fired and nobody knew of it; None: nothing had."""
    clear_ms: int | None = None
    """While firing: since when it has been clear at every evaluation."""
    resolved_ms: int | None = None
    over: str = ""
    """Once resolved: what ended it, a reason of the finding."""
    firings_ms: tuple[int, ...] = ()
    """When it began to fire lately: what flapping is judged by."""
    ack: Ack | None = None
    notified: tuple[NotifiedReceiver, ...] = ()
    """Whom a message that it fires was put on the way to, and none yet that it is over."""
    continues: Series | None = None
    """What people were told of before, of the same incident: this took its page over."""
    root_fingerprint: str = ""
    """Fingerprint of the alert that the page began with, where that is another one."""
    transferred_at: int | None = None
    """When a page last passed to it, or from it to another: what was said of it before is about what it was then."""
    worst: float | None = None
    """The value that was furthest from what was to be expected, of this incident."""
    lost: float | None = None
    """What this incident has cost so far, minor units; None: no money can be put to it."""
    now: float | None = None
    """Once it is right again: the value then."""

    @property
    def key(self) -> str:
        """What the incident is called wherever it must not be mistaken for another of the same alert."""
        return f"{self.fingerprint}-{self.fired_ms or 0}"

    @property
    def page(self) -> str:
        """What receivers know the incident by, whichever alert tells of it."""
        return self.root_fingerprint or self.fingerprint

    @property
    def labels(self) -> dict[str, str]:
        """What silences and routes are matched with."""
        common = {
            "rule": self.series.rule,
            "severity": self.severity.value,
            "alert_category": self.finding.category.value,
        }
        return dict(self.series.labels) | common

    @property
    def acknowledged(self) -> bool:
        """Whether somebody is on it, and it did not get worse since."""
        ack = self.ack
        return (
            ack is not None
            and ack.fired_ms == self.fired_ms
            and SEVERITY_ORDER[self.severity] >= SEVERITY_ORDER[ack.severity]
        )


def series_fingerprint(series: Series) -> str:
    """The fingerprint of the alert of a series."""
    return fingerprint(series.rule, dict(series.labels))


def worst(one: Severity, other: Severity) -> Severity:
    """The worse of two."""
    return min(one, other, key=SEVERITY_ORDER.__getitem__)


class ChangeKind(StrEnum):
    """What has changed."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    INACTIVE = "inactive"
    """It was pending and did not last, or its end is long ago: it is no longer kept."""
    SEVERITY = "severity"
    """It has become more severe."""
    ACKNOWLEDGED = "acknowledged"
    REASON = "reason"
    """Why nobody is told of it, or that somebody is."""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One change, with the alert after it."""

    at_ms: int
    kind: ChangeKind
    alert: Alert
