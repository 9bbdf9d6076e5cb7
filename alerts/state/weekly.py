"""Weekly intervals for quiet hours and scheduled silences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTES_A_DAY = 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyInterval:
    """A daily interval on some weekdays, in local time of a time zone.

    An end at or before the start is on the next day. `days` are those on which the interval starts; 0 is Monday. When
    clocks are set back, both occurrences of an hour belong to it.
    """

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    start_minute: int
    """Minutes after midnight."""
    end_minute: int
    """Minutes after midnight, exclusive. Equal to the start: a whole day."""
    timezone: str = "UTC"

    def __str__(self) -> str:
        days = " ".join(DAYS[day] for day in self.days)
        start, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in (self.start_minute, self.end_minute))
        return f"{days} {start}-{end} {self.timezone}"

    def covers(self, at_ms: int) -> bool:
        """Whether a moment (epoch ms) is inside the interval."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
        if self.start_minute < self.end_minute:
            return today in self.days and self.start_minute <= minute < self.end_minute
        begun_today = today in self.days and minute >= self.start_minute
        return begun_today or (yesterday in self.days and minute < self.end_minute)
