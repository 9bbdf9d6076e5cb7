"""Moments as people write them: in the time of a place, or as epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_MS = 1000


def parse_time_ms(text: str, timezone: str) -> int:
    """Epoch ms of `2026-11-11 00:00` (local time of the zone), `2026-11-11T00:00+08:00` or `1794326400000`.

    Raises ValueError, whose text says what is wrong and what to write, also for a local time that does not exist or
    happens twice where clocks are changed.

    >>> moment_of("2026-11-11 00:00", "Asia/Shanghai") == moment_of("2026-11-10T16:00:00Z", "Europe/Paris")
    True
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdecimal():
        return _epoch_ms(stripped)
    try:
        then = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write local time such as 2026-11-11 00:00, ISO 8601 with an offset, or epoch ms"
        ) from None
    if then.tzinfo is None:
        then = _localized(text, then, ZoneInfo(timezone))
    try:
        return int(then.timestamp() * _MS)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is outside the times that can be reckoned with") from None


def format_local_time(at_ms: int, timezone: str) -> str:
    """A moment as the clocks of a place show it, to the second where it is not a full minute.

    >>> local(1_794_326_400_000, "Asia/Shanghai")
    '2026-11-11 00:00'
    """
    then = datetime.fromtimestamp(at_ms / _MS, UTC).astimezone(ZoneInfo(timezone))
    return then.strftime("%Y-%m-%d %H:%M" if at_ms % 60_000 == 0 else "%Y-%m-%d %H:%M:%S")


def _epoch_ms(digits: str) -> int:
    """Refuses what can only be seconds: every moment before May 1970."""
    at_ms = int(digits[:20])
    if 0 < at_ms < 10**10:
        raise ValueError(f"{digits} would be in 1970: write epoch milliseconds, which have 13 digits")
    return at_ms


def _localized(text: str, then: datetime, zone: ZoneInfo) -> datetime:
    first, second = then.replace(tzinfo=zone, fold=0), then.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    what = "happens twice" if back == then else "does not exist"
    raise ValueError(
        f"{text!r} {what} in {zone.key}, as clocks are changed: write it with an offset, such as {first.isoformat()}"
        if back == then
        else f"{text!r} {what} in {zone.key}, as clocks are put forward: write {back:%Y-%m-%d %H:%M} or another time"
    )
