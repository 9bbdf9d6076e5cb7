"""`salepulse kpis` and `salepulse definitions`: the numbers now, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.running import foreseen, iso, load_settings, run
from consumers.errors import UsageError
from streams.commands.comparing import compared_facts, print_compared
from streams.commands.incomplete import since_text
from streams.commands.options import AsJson, ClockOption, RedisUrl, Retain
from streams.commands.output import print_json, print_table, tell, tell_rest
from streams.compare import Against
from streams.panes.scopes import Scope
from streams.settings import Settings
from streams.windows import Window

if TYPE_CHECKING:
    from streams.view.asking import Answer
    from streams.view.compared import Compared

app = typer.Typer()

MAIN_KPIS = ("gmv", "orders_paid", "units", "aov", "visitors", "conversion_rate", "order_rate", "payment_rate")
"""What a table of several values has room for; JSON has everything."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `kpis` is asked for."""

    window: Window
    scope: Scope
    value: str | None
    """None: every value of the scope."""
    as_of_ms: int | None
    promotion: str | None
    against: Against | None


@app.command()
def kpis(
    window: Annotated[Window, typer.Option(help="How far back from the as-of.")] = Window.M5,
    scope: Annotated[Scope, typer.Option(help="The dimension to cut by.")] = Scope.ALL,
    value: Annotated[str | None, typer.Option(help="One value of the scope, with all its numbers.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="An earlier moment: epoch ms or ISO 8601.")
    ] = None,
    promotion: Annotated[
        str | None, typer.Option(help="Whose time window `promotion` means, and whose baseline is compared with.")
    ] = None,
    compare: Annotated[
        Against | None, typer.Option(help="Beside the same at another time: the difference, and the ratio.")
    ] = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    as_json: AsJson = False,
) -> None:
    """Show the KPIs as they stand, read from Redis.

    With --scope and without --value, one line for each value, the largest by GMV first.
    """
    settings = load_settings(Settings, redis_url=redis_url, clock=clock, retain=retain)
    with foreseen():
        if scope is Scope.ALL and value:
            raise UsageError(f"scope all has no values: leave --value {value!r} out, or name a --scope")
        asked = Asked(
            window,
            scope,
            "" if scope is Scope.ALL else value,
            None if as_of is None else parse_time("--as-of", as_of),
            promotion,
            compare,
        )
    answer, compared, since_ms = run(_ask(settings, asked))
    if since_ms is not None:
        tell(f"incomplete since {since_text(since_ms)}: events were lost before they were counted, see `doctor`")
    if compared is not None and compare is not None:
        one = asked.value is not None
        if as_json:
            print_json({**compared_facts(compared, compare, one=one), "incomplete_since": since_ms})
        else:
            print_compared(compared, compare, settings, one=one)
    elif as_json:
        print_json({**_facts(answer, asked), "incomplete_since": since_ms})
    else:
        _print(answer, asked, settings)


@app.command()
def definitions(as_json: AsJson = False) -> None:
    """Show the metric dictionary: every counter and KPI, its unit, formula and scopes."""
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
    tell(f"windows: {', '.join(Window)}; scopes: {', '.join(Scope)} (scopes `all` above: in every one of them)")


def parse_time(flag: str, text: str) -> int:
    """Epoch ms of a moment that is given as epoch ms or in ISO 8601 (UTC if it names no zone).

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


async def _ask(settings: Settings, asked: Asked) -> tuple[Answer, Compared | None, int | None]:
    """The answer, what it is compared with, and since when events were lost."""
    from streams.panes.rows import Rows
    from streams.store.connection import Access, connect
    from streams.store.keys import Keys
    from streams.store.reader import PaneReader
    from streams.store.redis_errors import redis_errors
    from streams.store.reference_clock import server_time_ms
    from streams.view.asking import NotAnswerableError, Question
    from streams.view.compared import Comparer
    from streams.view.promotion_scope import Asker
    from streams.view.rolling import RollingView

    redis, rows = connect(settings, Access.READ), Rows()
    try:
        with redis_errors(redis):
            keys = Keys(settings.redis_prefix, settings.shards)
            now_ms = int(await server_time_ms(redis, keys))
            view = RollingView(PaneReader(redis, keys, rows), rows, settings)
            await view.poll(now_ms)
            since_ms = view.state.incomplete_since_ms
            question = Question(asked.window, asked.scope, asked.as_of_ms, asked.promotion)
            if asked.against is not None:
                comparer = Comparer(view, now_ms, settings.timezone)
                if asked.value is None:
                    compared = await comparer.every(question, asked.against)
                else:
                    compared = await comparer.one(question, asked.value, asked.against)
                return compared.now, compared, since_ms
            if asked.value is None:
                return await Asker(view, now_ms).every(question), None, since_ms
            return await view.one(question, asked.value, now_ms), None, since_ms
    except NotAnswerableError as error:
        raise UsageError(str(error)) from error
    finally:
        await redis.aclose()


def _facts(answer: Answer, asked: Asked) -> dict[str, Any]:
    """The answer, named as the API names it; without what only a server that follows can say."""
    facts: dict[str, Any] = {"as_of": answer.as_of_ms, "window": answer.window.value, "scope": answer.scope.value}
    if asked.value is None:
        return facts | {
            "count": answer.count,
            "items": [{"value": item.value, "values": item.values} for item in answer.items],
        }
    return facts | {"value": asked.value or None, "values": answer.items[0].values}


def _print(answer: Answer, asked: Asked, settings: Settings) -> None:
    from streams.formatting import number

    place = settings.money_exponent
    tell(f"as of {iso(answer.as_of_ms)}, window {answer.window}, scope {answer.scope}, money in {settings.currency}")
    if asked.value is None:
        rows = [
            (item.value, *(number(name, item.values[name], currency_exponent=place) for name in MAIN_KPIS))
            for item in answer.items
        ]
        tell_rest(len(rows), answer.count)
        print_table((answer.scope.value, *MAIN_KPIS), rows, right=range(1, len(MAIN_KPIS) + 1), styles=("bold",))
    else:
        values = answer.items[0].values.items()
        print_table(
            ("name", "value"),
            [(name, number(name, held, currency_exponent=place)) for name, held in values],
            right=(1,),
            styles=("", "bold"),
        )
