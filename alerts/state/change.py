"""A change of an alert, as it is written to the topic `alerts` and shown to whoever follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerts.state.alert import Alert


class What(StrEnum):
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
class Change:
    """One change, with the alert after it."""

    at_ms: int
    what: What
    alert: Alert
