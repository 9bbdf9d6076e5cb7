"""Output of `salepulse kpis --compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.times import format_utc
from streams.commands.output import print_note, print_remaining, print_table
from streams.view.compare_rules import ComparedNumber, ComparisonPeriod, differ, differences

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.view.comparer import ComparedAnswer, ComparedItem

MAIN_KPIS = ("gmv", "net_gmv", "orders_paid", "aov", "visitors", "conversion_rate")
"""Columns of a table of several values; JSON has every KPI."""


def compared_facts(compared: ComparedAnswer, against: ComparisonPeriod, *, one: bool) -> dict[str, Any]:
    """The comparison as the API returns it."""
    from streams.serve.compare import compared_answer

    now = compared.now
    facts: dict[str, Any] = {"as_of": now.as_of_ms, "window": now.window.value, "scope": now.scope.value}
    return facts | {"promotion": now.promotion} | compared_answer(compared, against, one=one)


def print_compared(compared: ComparedAnswer, against: ComparisonPeriod, settings: Settings, *, one: bool) -> None:
    """Print the comparison as tables."""
    now, at = compared.now, compared.at
    print_note(
        f"as of {format_utc(now.as_of_ms)}, window {now.window}, scope {now.scope}, money in {settings.currency}"
    )
    if at is not None:
        whose = f", promotion {at.promotion}" if at.promotion else ""
        print_note(f"compared with {against.value}, as of {format_utc(at.as_of_ms)}{whose}")
    else:
        print_note(f"compared with {against.value}, each promotion aligned at its start")
    exponent = settings.money_exponent
    if one:
        _print_one(compared.items[0], exponent)
        return
    print_remaining(len(compared.items), now.count)
    rows = [(item.now.value, *(_main(item, name, exponent) for name in MAIN_KPIS)) for item in compared.items]
    print_table((now.scope.value, *MAIN_KPIS), rows, right=range(1, len(MAIN_KPIS) + 1), styles=("bold",))


def _print_one(item: ComparedItem, exponent: int) -> None:
    from streams.model.formatting import format_kpi

    then = item.then.values if item.then is not None else {}
    rows = []
    for name, apart in differences(item.now.values, then).items():
        numbers = (item.now.values[name], then.get(name), apart.difference)
        shown = [format_kpi(name, held, currency_exponent=exponent) for held in numbers]
        rows.append((name, *shown, change(apart)))
    print_table(
        ("name", "now", "then", "difference", "change"), rows, right=(1, 2, 3, 4), styles=("", "bold", "dim", "", "")
    )


def _main(item: ComparedItem, name: str, exponent: int) -> str:
    """The current number and its relative change."""
    from streams.model.formatting import format_kpi

    now = item.now.values[name]
    shown = format_kpi(name, now, currency_exponent=exponent)
    apart = differ(now, item.then.values[name]) if item.then is not None else ComparedNumber(None, None)
    return shown if apart.ratio is None else f"{shown} ({change(apart)})"


def change(apart: ComparedNumber) -> str:
    """The relative change in per cent; a dash where it is undefined.

    >>> change(differ(6, 4)), change(differ(3, 4)), change(differ(3, 0))
    ('+50.0 %', '-25.0 %', '–')
    """
    if apart.ratio is None or apart.ratio < 0:
        return "–"
    from streams.model.formatting import format_percent

    return format_percent(apart.ratio - 1, "+.1")
