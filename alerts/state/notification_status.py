"""Why an alert notifies a receiver or does not."""

from __future__ import annotations

from enum import StrEnum


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
    NEVER_NOTIFIED = "never_notified"
    """It ended, and no receiver knows that it fired."""


SUPPRESSED = frozenset(
    {
        NotificationStatus.INHIBITED,
        NotificationStatus.SILENCED,
        NotificationStatus.QUIET_HOURS,
        NotificationStatus.NO_ROUTE,
    }
)
"""Statuses that suppress a notification that would be due."""
