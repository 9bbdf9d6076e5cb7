"""`salepulse kpis --compare`: the numbers beside those of another time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.commands.running import iso
from streams.commands.output import print_table, tell, tell_rest
from streams.compare import Against, Difference, differ, differences

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.view.compared import Compared, ComparedItem

MAIN_KPIS = ("gmv", "net_gmv", "orders_paid", "aov", "visitors", "conversion_rate")
"""What a table of several values has room for; JSON has everything."""


def compared_facts(compared: Compared, against: Against, *, one: bool) -> dict[str, Any]:
    """The comparison in the API's shape."""
    from streams.serve.compare import compared_answer

    now = compared.now
    facts: dict[str, Any] = {"as_of": now.as_of_ms, "window": now.window.value, "scope": now.scope.value}
    return facts | {"promotion": now.promotion} | compared_answer(compared, against, one=one)


def print_compared(compared: Compared, against: Against, settings: Settings, *, one: bool) -> None:
    """As tables."""
    now, at = compared.now, compared.at
    tell(f"as of {iso(now.as_of_ms)}, window {now.window}, scope {now.scope}, money in {settings.currency}")
    if at is not None:
        whose = f", promotion {at.promotion}" if at.promotion else ""
        tell(f"compared with {against.value}, as of {iso(at.as_of_ms)}{whose}")
    else:
        tell(f"compared with {against.value}, each by its own clock")
    exponent = settings.money_exponent
    if one:
        _print_one(compared.items[0], exponent)
        return
    tell_rest(len(compared.items), now.count)
    rows = [(item.now.value, *(_main(item, name, exponent) for name in MAIN_KPIS)) for item in compared.items]
    print_table((now.scope.value, *MAIN_KPIS), rows, right=range(1, len(MAIN_KPIS) + 1), styles=("bold",))


def _print_one(item: ComparedItem, exponent: int) -> None:
    from streams.formatting import number

    then = item.then.values if item.then is not None else {}
    rows = []
    for name, apart in differences(item.now.values, then).items():
        numbers = (item.now.values[name], then.get(name), apart.difference)
        shown = [number(name, held, currency_exponent=exponent) for held in numbers]
        rows.append((name, *shown, change(apart)))
    print_table(
        ("name", "now", "then", "difference", "change"), rows, right=(1, 2, 3, 4), styles=("", "bold", "dim", "", "")
    )


def _main(item: ComparedItem, name: str, exponent: int) -> str:
    """A number now, and how it has changed."""
    from streams.formatting import number

    now = item.now.values[name]
    shown = number(name, now, currency_exponent=exponent)
    apart = differ(now, item.then.values[name]) if item.then is not None else Difference(None, None)
    return shown if apart.ratio is None else f"{shown} ({change(apart)})"


def change(apart: Difference) -> str:
    """By how much of what was then a number has changed; a dash where that cannot be said.

    >>> change(differ(6, 4)), change(differ(3, 4)), change(differ(3, 0))
    ('+50.0 %', '-25.0 %', '–')
    """
    if apart.ratio is None or apart.ratio < 0:
        return "–"
    return f"{apart.ratio - 1:+.1%}".replace("%", " %")
