"""`salepulse kpis` and `salepulse definitions`: KPI values and the metric dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.times import format_utc
from streams.commands.incomplete import since_text
from streams.commands.options import AsJson, ClockOption, RedisUrl, Retain
from streams.commands.output import print_json, print_note, print_remaining, print_table
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.faults import near_miss
from streams.dictionary.names import ALL
from streams.model.formatting import NULL_TEXT, format_kpi, format_percent
from streams.model.windows import Window
from streams.settings import Settings
from streams.view.compare_rules import ComparedNumber, ComparisonPeriod, differ, differences

if TYPE_CHECKING:
    from streams.dictionary.types import Model, Unit
    from streams.model.kpis import Number
    from streams.view.comparer import ComparedAnswer, ComparedItem
    from streams.view.query import Answer

app = typer.Typer()

MAIN_KPIS = ("gmv", "orders_paid", "units", "aov", "visitors", "conversion_rate", "order_rate", "payment_rate")
"""Columns of a table of several values; JSON has every KPI."""
COMPARED_KPIS = ("gmv", "net_gmv", "orders_paid", "aov", "visitors", "conversion_rate")
"""Columns of a table of several values that are compared."""


@dataclass(frozen=True, slots=True)
class KpiOptions:
    """Parsed options of `kpis`."""

    window: Window
    scope: str
    value: str | None
    """None: all values of the scope."""
    as_of_ms: int | None
    promotion: str | None
    against: ComparisonPeriod | None


@dataclass(frozen=True, slots=True)
class FoundKpis:
    """The result of `kpis`."""

    answer: Answer
    compared: ComparedAnswer | None
    """Only if a comparison was requested."""
    since_ms: int | None
    """Event time of the first lost record."""
    units: Mapping[str, Unit]
    """Those of the model in force."""


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How numbers are printed."""

    units: Mapping[str, Unit]
    currency_exponent: int

    def text(self, name: str, number: Number) -> str:
        """A number for people."""
        return format_kpi(name, number, currency_exponent=self.currency_exponent, units=self.units)


@app.command()
def kpis(
    window: Annotated[Window, typer.Option(help="Time window that ends at the as-of.")] = Window.M5,
    scope: Annotated[str, typer.Option(help="Dimension to group by.")] = ALL,
    value: Annotated[str | None, typer.Option(help="One value of the scope, with every KPI.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Query the past: epoch ms or ISO 8601.")
    ] = None,
    promotion: Annotated[str | None, typer.Option(help="Promotion of the window and the baseline.")] = None,
    compare: Annotated[ComparisonPeriod | None, typer.Option(help="Compare with another period.")] = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    as_json: AsJson = False,
) -> None:
    """Show KPIs, computed from the panes in Redis.

    With --scope and without --value: one row for each value, by descending GMV.
    """
    settings = load_settings(Settings, redis_url=redis_url, clock=clock, retain=retain)
    with report_errors():
        if scope == ALL and value:
            raise UsageError(f"scope all has no values: omit --value {value!r}, or set --scope")
        options = KpiOptions(
            window,
            scope,
            "" if scope == ALL else value,
            None if as_of is None else parse_time("--as-of", as_of),
            promotion,
            compare,
        )
    found = run(_ask(settings, options))
    answer, compared, since_ms = found.answer, found.compared, found.since_ms
    style = NumberStyle(found.units, settings.money_exponent)
    if since_ms is not None:
        print_note(f"incomplete since {since_text(since_ms)}: records were lost before they were counted; run `doctor`")
    if as_json:
        print_json({**_facts(answer, compared, options), "incomplete_since": since_ms})
        return
    about = f"window {answer.window}, scope {answer.scope}, money in {settings.currency}"
    print_note(f"as of {format_utc(answer.as_of_ms)}, {about}")
    if compared is not None:
        _print_compared(compared, options, style)
    else:
        _print(answer, options, style)


@app.command()
def definitions(as_json: AsJson = False) -> None:
    """Show the metric dictionary: unit, formula and scopes of every counter and KPI."""
    from streams.serve.definitions import definitions as all_definitions

    dictionary = list(all_definitions())
    if as_json:
        print_json({"definitions": [definition.model_dump(mode="json") for definition in dictionary]})
        return
    print_table(
        ("name", "kind", "unit", "formula", "scopes"),
        [
            (
                definition.name,
                definition.kind,
                definition.unit,
                definition.formula,
                "all" if len(definition.scopes) == len(BUILT_IN.dimensions) else ", ".join(definition.scopes),
            )
            for definition in dictionary
        ],
        styles=("bold", "dim", "dim", "", "dim"),
    )
    scopes = ", ".join(BUILT_IN.dimensions)
    print_note(f"windows: {', '.join(Window)}; scopes: {scopes} (`all` above means every scope)")


def parse_time(flag: str, text: str) -> int:
    """Parse epoch ms, or ISO 8601 (in UTC without an offset), into epoch ms.

    >>> parse_time("--as-of", "1700000000000") == parse_time("--as-of", "2023-11-14T22:13:20Z")
    True
    """
    if text.isdecimal():
        return int(text)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{flag} {text!r}: write epoch milliseconds or ISO 8601, such as 2025-11-11T20:00:00+08:00"
        ) from None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


async def _ask(settings: Settings, options: KpiOptions) -> FoundKpis:
    """Query the panes in Redis."""
    from streams.panes.rows import RowIndex
    from streams.store.connection import Access, open_store
    from streams.store.reader import PaneReader
    from streams.store.reference_clock import server_time_ms
    from streams.view.comparer import Comparer
    from streams.view.query import KpiQuery, NotAnswerableError
    from streams.view.rolling import RollingView, ScopeQueries

    rows, query = RowIndex(), KpiQuery(options.window, options.scope, options.as_of_ms, options.promotion)
    try:
        async with open_store(settings, Access.READ) as (redis, keys):
            now_ms = int(await server_time_ms(redis, keys))
            view = RollingView(PaneReader(redis, keys, rows), rows, settings)
            await view.poll(now_ms)
            require_scope(options.scope, view.model)
            since_ms = view.state.incomplete_since_ms
            if options.against is not None:
                comparer = Comparer(view, now_ms, settings.timezone)
                if options.value is None:
                    compared = await comparer.every(query, options.against)
                else:
                    compared = await comparer.one(query, options.value, options.against)
                return FoundKpis(compared.now, compared, since_ms, view.model.units)
            if options.value is None:
                answer = await ScopeQueries(view, now_ms).every(query)
            else:
                answer = await view.one(query, options.value, now_ms)
            return FoundKpis(answer, None, since_ms, view.model.units)
    except NotAnswerableError as error:
        raise UsageError(str(error)) from error


def require_scope(scope: str, model: Model) -> None:
    """Raise UsageError if the model has no such dimension."""
    if scope not in model.dimensions:
        known = ", ".join(model.dimensions)
        raise UsageError(f"unknown scope {scope!r}; known: {known}{near_miss(scope, model.dimensions)}")


def _facts(answer: Answer, compared: ComparedAnswer | None, options: KpiOptions) -> dict[str, Any]:
    """The answer with the API's field names."""
    facts: dict[str, Any] = {"as_of": answer.as_of_ms, "window": answer.window.value, "scope": answer.scope}
    if compared is not None and options.against is not None:
        from streams.serve.kpis import compared_answer

        compared_facts = compared_answer(compared, options.against, one=options.value is not None)
        return facts | {"promotion": answer.promotion} | compared_facts
    if options.value is None:
        return facts | {
            "count": answer.count,
            "items": [{"value": item.value, "values": item.values} for item in answer.items],
        }
    return facts | {"value": options.value or None, "values": answer.items[0].values}


def _print(answer: Answer, options: KpiOptions, style: NumberStyle) -> None:
    if options.value is None:
        rows = [(item.value, *(style.text(name, item.values[name]) for name in MAIN_KPIS)) for item in answer.items]
        print_remaining(len(rows), answer.count)
        print_table((answer.scope, *MAIN_KPIS), rows, right=range(1, len(MAIN_KPIS) + 1), styles=("bold",))
    else:
        values = answer.items[0].values.items()
        print_table(
            ("name", "value"),
            [(name, style.text(name, number)) for name, number in values],
            right=(1,),
            styles=("", "bold"),
        )


def _print_compared(compared: ComparedAnswer, options: KpiOptions, style: NumberStyle) -> None:
    now, at = compared.now, compared.at
    if at is not None:
        whose = f", promotion {at.promotion}" if at.promotion else ""
        print_note(f"compared with {options.against}, as of {format_utc(at.as_of_ms)}{whose}")
    else:
        print_note(f"compared with {options.against}, each promotion aligned at its start")
    if options.value is not None:
        _print_one(compared.items[0], style)
        return
    print_remaining(len(compared.items), now.count)
    rows = [(item.now.value, *(_main(item, name, style) for name in COMPARED_KPIS)) for item in compared.items]
    right = range(1, len(COMPARED_KPIS) + 1)
    print_table((now.scope, *COMPARED_KPIS), rows, right=right, styles=("bold",))


def _print_one(item: ComparedItem, style: NumberStyle) -> None:
    then = item.then.values if item.then is not None else {}
    rows = []
    for name, difference in differences(item.now.values, then).items():
        numbers = (item.now.values[name], then.get(name), difference.difference)
        shown = [style.text(name, number) for number in numbers]
        rows.append((name, *shown, change(difference)))
    print_table(
        ("name", "now", "then", "difference", "change"), rows, right=(1, 2, 3, 4), styles=("", "bold", "dim", "", "")
    )


def _main(item: ComparedItem, name: str, style: NumberStyle) -> str:
    """The current number and its relative change."""
    now = item.now.values[name]
    shown = style.text(name, now)
    difference = differ(now, item.then.values[name]) if item.then is not None else ComparedNumber(None, None)
    return shown if difference.ratio is None else f"{shown} ({change(difference)})"


def change(apart: ComparedNumber) -> str:
    """The relative change in per cent; a dash where it is undefined.

    >>> change(differ(6, 4)), change(differ(3, 4)), change(differ(3, 0))
    ('+50.0 %', '-25.0 %', '–')
    """
    if apart.ratio is None or apart.ratio < 0:
        return NULL_TEXT
    return format_percent(apart.ratio - 1, "+.1")
