"""Formats numbers for people."""

from __future__ import annotations

from collections.abc import Mapping

from streams.dictionary.types import Unit
from streams.model.kpis import UNITS, Number

NULL_TEXT = "–"


def format_kpi(name: str, value: Number, *, currency_exponent: int, units: Mapping[str, Unit] = UNITS) -> str:
    """Format a counter or KPI for a table: money in major units, shares in per cent, a dash for null.

    >>> format_kpi("gmv", 1234567, currency_exponent=2), format_number("order_rate", 0.813, currency_exponent=2)
    ('12,345.67', '81.3 %')
    """
    if value is None:
        return NULL_TEXT
    unit = units.get(name, Unit.RATIO)
    if unit is Unit.MONEY:
        return format_money(value, currency_exponent)
    if unit is Unit.RATIO and (name.endswith(("_rate", "_share")) or name == "ctr" or name.startswith("target_")):
        return format_percent(value, ".1")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def format_money(minor: float, currency_exponent: int) -> str:
    """Minor units as major units.

    >>> format_money(1_234_567, 2)
    '12,345.67'
    """
    return f"{minor / 10**currency_exponent:,.{currency_exponent}f}"


def format_percent(ratio: float, form: str = ".0") -> str:
    """A ratio in per cent; `form`: sign and digits.

    >>> format_percent(0.813), format_percent(0.125, "+.1")
    ('81 %', '+12.5 %')
    """
    return f"{ratio:{form}%}".replace("%", " %")


def format_compact(value: float) -> str:
    """Format a large number compactly.

    >>> format_compact(950), format_compact(12_345), format_compact(1_234_567)
    ('950', '12.3k', '1.23M')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1000 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:,.0f}"
