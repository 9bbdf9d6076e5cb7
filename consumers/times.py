"""Times and durations as text, in the formats of every command, file, response and message."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def format_utc(at_ms: int) -> str:
    """ISO 8601 in UTC, to the second.

    >>> format_utc(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def format_utc_ms(at_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond.

    >>> format_utc_ms(1_794_355_200_007)
    '2026-11-11T00:00:00.007Z'
    """
    return f"{format_utc(at_ms)[:-1]}.{at_ms % 1000:03d}Z"


def format_duration(length_ms: float) -> str:
    """A duration in its two largest units.

    >>> format_duration(45_000), format_duration(3_725_000), format_duration(183_600_000)
    ('45 s', '1 h 2 min', '2 d 3 h')
    """
    seconds = max(0, round(length_ms / 1000))
    units = [("d", seconds // 86_400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((index for index, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


def format_rough_duration(length_ms: float) -> str:
    """A duration in one unit, rounded.

    >>> format_rough_duration(1_234_000), format_rough_duration(45_000), format_rough_duration(3 * 3_600_000)
    ('21 min', '45 s', '3 h')
    """
    seconds = round(length_ms / 1000)
    if seconds < 120:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 7_200 else f"{round(seconds / 3600)} h"


def format_setting_duration(seconds: float) -> str:
    """A duration as settings and rules take it: in the largest unit that leaves no fraction.

    >>> [format_setting_duration(seconds) for seconds in (900, 7200, 90, 2.5)]
    ['15m', '2h', '90s', '2.5s']
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def parse_duration(text: str) -> float:
    """Seconds of a number with its unit: the format of every rule, receiver, option and request.

    >>> parse_duration("90s"), parse_duration("1.5m"), parse_duration("2h"), parse_duration("500ms")
    (90.0, 90.0, 7200.0, 0.5)

    Raises ValueError if the text is not a duration.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration: write a number with its unit, such as 90s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS_S[match[2]]


def parse_time_ms(text: str, timezone: str) -> int:
    """Epoch ms of `2026-11-11 00:00` (local time of the zone), `2026-11-11T00:00+08:00` or `1794326400000`.

    Raises ValueError with the problem and the fix, also for a local time that is skipped or repeated when clocks
    change.

    >>> parse_time_ms("2026-11-11 00:00", "Asia/Shanghai") == parse_time_ms("2026-11-10T16:00:00Z", "Europe/Paris")
    True
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdecimal():
        at_ms = int(stripped[:20])
        if 0 < at_ms < 10**10:  # before May 1970: epoch seconds
            raise ValueError(f"{stripped} is in 1970: write epoch milliseconds, which have 13 digits")
        return at_ms
    try:
        moment = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write local time such as 2026-11-11 00:00, ISO 8601 with an offset, or epoch ms"
        ) from None
    if moment.tzinfo is None:
        moment = _localized(text, moment, ZoneInfo(timezone))
    try:
        return int(moment.timestamp() * 1000)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is out of the range of times") from None


def format_local_time(at_ms: int, timezone: str) -> str:
    """Local time in a zone, to the minute, or to the second if it is not a full minute.

    >>> format_local_time(1_794_326_400_000, "Asia/Shanghai")
    '2026-11-11 00:00'
    """
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    return moment.strftime("%Y-%m-%d %H:%M" if at_ms % 60_000 == 0 else "%Y-%m-%d %H:%M:%S")


def _localized(text: str, moment: datetime, zone: ZoneInfo) -> datetime:
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    valid = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if valid == moment:
        problem = (
            f"happens twice in {zone.key} because clocks change: write it with an offset, such as {first.isoformat()}"
        )
    else:
        problem = (
            f"does not exist in {zone.key} because clocks are put forward: write {valid:%Y-%m-%d %H:%M} or another time"
        )
    raise ValueError(f"{text!r} {problem}")
