"""Numbers, money, durations and times as people write them: no exponents, no minor units, few decimals."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from alerts.shop import ShopInfo
from consumers.times import format_duration
from streams.panes.counters import Unit

UNKNOWN = "unknown"
_PRECISE_DURATION_MS = 10_000
"""Shorter durations have decimals."""
_MS_BY_UNIT = {Unit.MILLISECONDS: 1.0, Unit.SECONDS: 1000.0, Unit.MINUTES: 60_000.0, Unit.HOURS: 3_600_000.0}
_LEAST_PERCENT = 0.01


def format_count(value: float) -> str:
    """A number with three significant digits, at most two decimals, and thousands separators.

    >>> format_count(1_234_567.8), format_count(41.26), format_count(0.5), format_count(2)
    ('1,234,568', '41.3', '0.5', '2')
    """
    if not math.isfinite(value):
        return UNKNOWN
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:,.{min(max(2 - magnitude, 0), 2)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def format_ratio(value: float) -> str:
    """A ratio in per cent.

    >>> format_ratio(0.0213), format_ratio(0.5), format_ratio(0.00003), format_ratio(0)
    ('2.13 %', '50 %', 'less than 0.01 %', '0 %')
    """
    percent = 100 * value
    if 0 < percent < _LEAST_PERCENT:
        return f"less than {_LEAST_PERCENT} %"
    return f"{format_count(percent)} %" if math.isfinite(percent) else UNKNOWN


def format_money(minor: float, shop: ShopInfo) -> str:
    """An amount in the currency's units, from minor units; with decimals only below 100.

    >>> [format_money(minor, ShopInfo()) for minor in (1_234_567, 153, 2900, 0.3)]
    ['CNY 12,346', 'CNY 1.53', 'CNY 29', 'less than CNY 0.01']
    """
    if not math.isfinite(minor):
        return UNKNOWN
    if 0 < minor < 1:
        return f"less than {format_money(1, shop)}"
    major = minor / 10**shop.currency_exponent
    decimals = 0 if abs(major) >= 100 or major == round(major) else min(shop.currency_exponent, 3)
    return f"{shop.currency} {major:,.{decimals}f}"


def format_estimate(minor: float, shop: ShopInfo) -> str:
    """An estimated amount: three significant digits.

    >>> format_estimate(1_234_567, ShopInfo()), format_estimate(1_999, ShopInfo())
    ('CNY 12,300', 'CNY 20')
    """
    if not math.isfinite(minor):
        return UNKNOWN
    unit = 10.0**shop.currency_exponent
    magnitude = math.floor(math.log10(abs(minor) / unit)) if minor else 0
    return format_money(round(minor / unit, min(2 - magnitude, 0)) * unit, shop)


def format_length(length_ms: float) -> str:
    """A duration, in its two largest units.

    >>> format_length(130_000), format_length(2_500), format_length(3_060_000), format_length(350)
    ('2 min 10 s', '2.5 s', '51 min', '0.35 s')
    """
    if not math.isfinite(length_ms):
        return UNKNOWN
    if abs(length_ms) < _PRECISE_DURATION_MS:
        return f"{format_count(length_ms / 1000)} s"
    return f"-{format_duration(-length_ms)}" if length_ms < 0 else format_duration(length_ms)


def format_amount(value: float | None, unit: Unit, shop: ShopInfo) -> str:
    """A number in its unit."""
    if value is None:
        return UNKNOWN
    if unit is Unit.RATIO:
        return format_ratio(value)
    if unit is Unit.MONEY:
        return format_money(value, shop)
    return format_length(value * _MS_BY_UNIT[unit]) if unit in _MS_BY_UNIT else format_count(value)


def format_time(at_ms: int, shop: ShopInfo, now_ms: int | None = None) -> str:
    """A time in the shop's time zone, without the date if it is today.

    >>> shop = ShopInfo(timezone="Asia/Shanghai")
    >>> format_time(1_794_326_592_000, shop, 1_794_326_700_000), format_time(1_794_326_592_000, shop)
    ('00:03:12', '2026-11-11 00:03:12')
    """
    zone = ZoneInfo(shop.timezone)
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    today = None if now_ms is None else datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"
