"""Weekly intervals."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from alerts.state.silences import WeeklyInterval

NIGHT = WeeklyInterval(days=(4,), start_minute=22 * 60, end_minute=6 * 60, timezone="Asia/Shanghai")
"""From Friday 22:00 to Saturday 06:00."""


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "covered"),
    [
        ("2026-11-13T21:59:59", False),
        ("2026-11-13T22:00", True),
        ("2026-11-14T05:59:59", True),
        ("2026-11-14T06:00", False),
        ("2026-11-13T05:00", False),  # Friday morning belongs to Thursday night
        ("2026-11-14T23:00", False),
    ],
)
def test_an_interval_over_midnight_belongs_to_its_first_day(moment: str, covered: bool) -> None:
    assert NIGHT.covers(at(moment)) is covered


def test_equal_start_and_end_are_a_whole_day() -> None:
    sunday = WeeklyInterval(days=(6,), start_minute=0, end_minute=0)
    assert sunday.covers(at("2026-11-15T00:00", "UTC"))
    assert sunday.covers(at("2026-11-15T23:59", "UTC"))
    assert not sunday.covers(at("2026-11-16T00:00", "UTC"))


def test_an_interval_follows_local_time_over_summer_time() -> None:
    hours = WeeklyInterval(start_minute=2 * 60, end_minute=4 * 60, timezone="Europe/Berlin")
    assert hours.covers(at("2026-03-29T03:30", "Europe/Berlin"))  # 02:00 to 03:00 did not exist
    assert not hours.covers(at("2026-03-29T04:00", "Europe/Berlin"))
