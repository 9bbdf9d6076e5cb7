"""Parses and formats times in a time zone or as epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_MS = 1000


def parse_time_ms(text: str, timezone: str) -> int:
    """Epoch ms of `2026-11-11 00:00` (local time of the zone), `2026-11-11T00:00+08:00` or `1794326400000`.

    Raises ValueError with the problem and the fix, also for a local time that is skipped or repeated when clocks
    change.

    >>> parse_time_ms("2026-11-11 00:00", "Asia/Shanghai") == parse_time_ms("2026-11-10T16:00:00Z", "Europe/Paris")
    True
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdecimal():
        return _epoch_ms(stripped)
    try:
        then = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write local time such as 2026-11-11 00:00, ISO 8601 with an offset, or epoch ms"
        ) from None
    if then.tzinfo is None:
        then = _localized(text, then, ZoneInfo(timezone))
    try:
        return int(then.timestamp() * _MS)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is out of the range of times") from None


def format_local_time(at_ms: int, timezone: str) -> str:
    """Local time in a zone, to the minute, or to the second if it is not a full minute.

    >>> format_local_time(1_794_326_400_000, "Asia/Shanghai")
    '2026-11-11 00:00'
    """
    then = datetime.fromtimestamp(at_ms / _MS, UTC).astimezone(ZoneInfo(timezone))
    return then.strftime("%Y-%m-%d %H:%M" if at_ms % 60_000 == 0 else "%Y-%m-%d %H:%M:%S")


def _epoch_ms(digits: str) -> int:
    """Epoch ms; rejects times before May 1970, which can only be epoch seconds."""
    at_ms = int(digits[:20])
    if 0 < at_ms < 10**10:
        raise ValueError(f"{digits} is in 1970: write epoch milliseconds, which have 13 digits")
    return at_ms


def _localized(text: str, then: datetime, zone: ZoneInfo) -> datetime:
    first, second = then.replace(tzinfo=zone, fold=0), then.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    what = "happens twice" if back == then else "does not exist"
    raise ValueError(
        f"{text!r} {what} in {zone.key} because clocks change: write it with an offset, such as {first.isoformat()}"
        if back == then
        else f"{text!r} {what} in {zone.key} because clocks are put forward: write {back:%Y-%m-%d %H:%M} or "
        "another time"
    )
