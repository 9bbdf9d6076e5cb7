"""`salepulse kpis` and `salepulse definitions`: KPI values and the metric dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.times import format_utc
from streams.commands.compare_output import compared_facts, print_compared
from streams.commands.incomplete import since_text
from streams.commands.options import AsJson, ClockOption, RedisUrl, Retain
from streams.commands.output import print_json, print_note, print_remaining, print_table
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.settings import Settings
from streams.view.compare_rules import ComparisonPeriod

if TYPE_CHECKING:
    from streams.view.comparer import ComparedAnswer
    from streams.view.query import Answer

app = typer.Typer()

MAIN_KPIS = ("gmv", "orders_paid", "units", "aov", "visitors", "conversion_rate", "order_rate", "payment_rate")
"""Columns of a table of several values; JSON has every KPI."""


@dataclass(frozen=True, slots=True)
class KpiOptions:
    """Parsed options of `kpis`."""

    window: Window
    scope: Scope
    value: str | None
    """None: all values of the scope."""
    as_of_ms: int | None
    promotion: str | None
    against: ComparisonPeriod | None


@app.command()
def kpis(
    window: Annotated[Window, typer.Option(help="Time window that ends at the as-of.")] = Window.M5,
    scope: Annotated[Scope, typer.Option(help="Dimension to group by.")] = Scope.ALL,
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
        if scope is Scope.ALL and value:
            raise UsageError(f"scope all has no values: omit --value {value!r}, or set --scope")
        options = KpiOptions(
            window,
            scope,
            "" if scope is Scope.ALL else value,
            None if as_of is None else parse_time("--as-of", as_of),
            promotion,
            compare,
        )
    answer, compared, since_ms = run(_ask(settings, options))
    if since_ms is not None:
        print_note(f"incomplete since {since_text(since_ms)}: records were lost before they were counted; run `doctor`")
    if compared is not None and compare is not None:
        one = options.value is not None
        if as_json:
            print_json({**compared_facts(compared, compare, one=one), "incomplete_since": since_ms})
        else:
            print_compared(compared, compare, settings, one=one)
    elif as_json:
        print_json({**_facts(answer, options), "incomplete_since": since_ms})
    else:
        _print(answer, options, settings)


@app.command()
def definitions(as_json: AsJson = False) -> None:
    """Show the metric dictionary: unit, formula and scopes of every counter and KPI."""
    from streams.serve.definitions import definitions as all_definitions

    found = list(all_definitions())
    if as_json:
        print_json({"definitions": [definition.model_dump(mode="json") for definition in found]})
        return
    print_table(
        ("name", "kind", "unit", "formula", "scopes"),
        [
            (
                one.name,
                one.kind,
                one.unit,
                one.formula,
                "all" if len(one.scopes) == len(Scope) else ", ".join(one.scopes),
            )
            for one in found
        ],
        styles=("bold", "dim", "dim", "", "dim"),
    )
    print_note(f"windows: {', '.join(Window)}; scopes: {', '.join(Scope)} (`all` above means every scope)")


def parse_time(flag: str, text: str) -> int:
    """Parse epoch ms, or ISO 8601 (in UTC without an offset), into epoch ms.

    >>> parse_time("--as-of", "1700000000000") == parse_time("--as-of", "2023-11-14T22:13:20Z")
    True
    """
    if text.isdecimal():
        return int(text)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{flag} {text!r}: write epoch milliseconds or ISO 8601, such as 2025-11-11T20:00:00+08:00"
        ) from None
    return int((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)


async def _ask(settings: Settings, options: KpiOptions) -> tuple[Answer, ComparedAnswer | None, int | None]:
    """The answer, the comparison if one was requested, and the event time of the first lost record."""
    from streams.panes.rows import RowIndex
    from streams.store.connection import Access, connect, user_errors
    from streams.store.keys import Keys
    from streams.store.reader import PaneReader
    from streams.store.reference_clock import server_time_ms
    from streams.view.comparer import Comparer
    from streams.view.query import KpiQuery, NotAnswerableError
    from streams.view.rolling import RollingView
    from streams.view.scope_queries import ScopeQueries

    redis, rows = connect(settings, Access.READ), RowIndex()
    try:
        with user_errors(redis):
            keys = Keys(settings.redis_prefix, settings.shards)
            now_ms = int(await server_time_ms(redis, keys))
            view = RollingView(PaneReader(redis, keys, rows), rows, settings)
            await view.poll(now_ms)
            since_ms = view.state.incomplete_since_ms
            question = KpiQuery(options.window, options.scope, options.as_of_ms, options.promotion)
            if options.against is not None:
                comparer = Comparer(view, now_ms, settings.timezone)
                if options.value is None:
                    compared = await comparer.every(question, options.against)
                else:
                    compared = await comparer.one(question, options.value, options.against)
                return compared.now, compared, since_ms
            if options.value is None:
                return await ScopeQueries(view, now_ms).every(question), None, since_ms
            return await view.one(question, options.value, now_ms), None, since_ms
    except NotAnswerableError as error:
        raise UsageError(str(error)) from error
    finally:
        await redis.aclose()


def _facts(answer: Answer, options: KpiOptions) -> dict[str, Any]:
    """The answer with the API's field names."""
    facts: dict[str, Any] = {"as_of": answer.as_of_ms, "window": answer.window.value, "scope": answer.scope.value}
    if options.value is None:
        return facts | {
            "count": answer.count,
            "items": [{"value": item.value, "values": item.values} for item in answer.items],
        }
    return facts | {"value": options.value or None, "values": answer.items[0].values}


def _print(answer: Answer, options: KpiOptions, settings: Settings) -> None:
    from streams.model.formatting import format_kpi

    place = settings.money_exponent
    about = f"window {answer.window}, scope {answer.scope}, money in {settings.currency}"
    print_note(f"as of {format_utc(answer.as_of_ms)}, {about}")
    if options.value is None:
        rows = [
            (item.value, *(format_kpi(name, item.values[name], currency_exponent=place) for name in MAIN_KPIS))
            for item in answer.items
        ]
        print_remaining(len(rows), answer.count)
        print_table((answer.scope.value, *MAIN_KPIS), rows, right=range(1, len(MAIN_KPIS) + 1), styles=("bold",))
    else:
        values = answer.items[0].values.items()
        print_table(
            ("name", "value"),
            [(name, format_kpi(name, held, currency_exponent=place)) for name, held in values],
            right=(1,),
            styles=("", "bold"),
        )
