"""Why nobody is told of an alert right now, or why somebody is."""

from __future__ import annotations

from enum import StrEnum


class NotificationStatus(StrEnum):
    """What was decided about telling people of one alert."""

    NOTIFIED = "notified"
    """Somebody is told now."""
    UNCHANGED = "unchanged"
    """Everybody who should know of this state was told."""
    PENDING = "pending"
    """It has not been so for long enough."""
    INHIBITED = "inhibited"
    """Another alert explains it."""
    SILENCED = "silenced"
    """A silence matches it."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody is on it: nobody else is called."""
    QUIET_HOURS = "quiet_hours"
    """It is not critical, and people are not to be disturbed now."""
    FLAPPING = "flapping"
    """It was clear, but comes back so often that it is not called resolved yet."""
    NO_ROUTE = "no_route"
    """No route takes it."""
    NEVER_NOTIFIED = "never_notified"
    """It is over, and nobody had been told that it began."""


SUPPRESSED = frozenset(
    {
        NotificationStatus.INHIBITED,
        NotificationStatus.SILENCED,
        NotificationStatus.QUIET_HOURS,
        NotificationStatus.NO_ROUTE,
    }
)
"""People would be told, but for this."""
