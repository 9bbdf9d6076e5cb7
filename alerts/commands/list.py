"""`salepulse alerts list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alerts.commands.common import now_ms, with_acks_and_silences
from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.times import format_utc
from consumers.validation_messages import how_many
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.rule_states import RuleState, RuleStates
    from alerts.shop import ShopInfo
    from alerts.state.alert import AlertState
    from streams.store.last_evaluation import LastEvaluation

app = typer.Typer()


@app.command("list")
def list_alerts(
    state: Annotated[
        str | None,
        typer.Option(
            help="Show only this state: pending, firing or resolved; with --rules watching, learning, inhibited, "
            "no_data or off."
        ),
    ] = None,
    rules: Annotated[
        bool,
        typer.Option("--rules", help="List the rules instead, and whether each watches; for one that does not, why."),
    ] = False,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, newest first, with their notification status."""
    from alerts.rule_states import RuleCondition
    from alerts.state.alert import Status

    with report_errors():
        wanted = tuple(RuleCondition) if rules else (Status.PENDING, Status.FIRING, Status.RESOLVED)
        if state is not None and state not in wanted:
            raise UsageError(f"--state {state!r}: write one of {', '.join(wanted)}")
    settings = load_settings(Settings, redis_url=redis_url)
    if rules:
        _list_rules(settings, state, as_json=as_json)
    else:
        _list_alerts(settings, state, as_json=as_json)


def _list_alerts(settings: Settings, state: str | None, *, as_json: bool) -> None:
    from alerts.payloads import alert_payload
    from alerts.settings import shop_info

    shop = shop_info(settings)
    stored = run(with_acks_and_silences(settings, lambda store: store.alerts()))
    matching = sorted((alert for alert in stored if state in (None, alert.status)), key=_since_ms, reverse=True)
    if as_json:
        print_json({"alerts": [alert_payload(alert, shop).model_dump(mode="json") for alert in matching]})
        return
    print_table(
        ("state", "severity", "alert", f"since ({shop.timezone})", "notification", "fingerprint", "last breach"),
        [_row(alert, shop) for alert in matching],
        styles=("bold",),
    )
    print_note(how_many(len(matching), "alert"))


def _row(alert: AlertState, shop: ShopInfo) -> tuple[str, ...]:
    from alerts.wording.amounts import format_time
    from alerts.wording.sentences import sentence

    log = alert.log
    status = f"{log.status.value} ({log.suppressed_by})" if log.suppressed_by else log.status.value
    since, breach = format_time(_since_ms(alert), shop), sentence(alert.finding, shop)
    return alert.status.value, alert.severity.value, str(alert.series), since, status, alert.fingerprint, breach


def _since_ms(alert: AlertState) -> int:
    """Start of the breach, or else of the current status."""
    return alert.finding.since_ms or alert.since_ms


def _list_rules(settings: Settings, state: str | None, *, as_json: bool) -> None:
    from alerts.payloads import rule_payload
    from alerts.settings import shop_info

    shop = shop_info(settings)
    states, evaluated = run(_read_rules(settings))
    is_live = evaluated.is_recent(now_ms(), settings)
    matching = [rule for rule in states.rules if state in (None, rule.status.condition)]
    if as_json:
        facts: dict[str, Any] = {
            "as_of": states.as_of_ms or None,
            "evaluated_at": evaluated.at_ms,
            "live": is_live,
            "rules": [rule_payload(rule).model_dump(mode="json") for rule in matching],
        }
        print_json(facts)
        return
    print_table(
        ("rule", "state", f"since ({shop.timezone})", "series", "why"),
        [_rule_row(rule, shop) for rule in matching],
        styles=("bold",),
        right=(3,),
    )
    if evaluated.awaits_events(now_ms(), settings):
        print_note("`salepulse alerts` is running and waits for the first event: no rule watches yet")
    else:
        print_note(_summary(states, matching, evaluated, is_live=is_live))


async def _read_rules(settings: Settings) -> tuple[RuleStates, LastEvaluation]:
    from alerts.store.keys import AlertKeys
    from alerts.store.rule_states import read_rule_states
    from streams.store.connection import Access, connect, user_errors
    from streams.store.keys import Keys
    from streams.store.last_evaluation import read_last_evaluation

    redis = connect(settings, Access.READ)
    try:
        with user_errors(redis):
            evaluated = await read_last_evaluation(redis, Keys(settings.redis_prefix, settings.shards))
            return await read_rule_states(redis, AlertKeys(settings.redis_prefix)), evaluated
    finally:
        await redis.aclose()


def _rule_row(rule: RuleState, shop: ShopInfo) -> tuple[str, ...]:
    from alerts.wording.amounts import format_time

    status = rule.status
    inhibited_by = f"inhibited by {', '.join(status.inhibited_by)}" if status.inhibited_by else ""
    total = status.watching + status.learning + status.no_data
    series = f"{status.watching} of {total}" if total else ""
    why = "; ".join(filter(None, (inhibited_by, status.lacks)))
    return status.rule, status.condition.value, format_time(rule.since_ms, shop), series, why


def _summary(states: RuleStates, matching: Sequence[RuleState], evaluated: LastEvaluation, *, is_live: bool) -> str:
    if not states.as_of_ms:
        return "no evaluation yet: is `salepulse alerts` running?"
    count = f"{how_many(len(matching), 'rule')} as of {format_utc(states.as_of_ms)}"
    if is_live:
        return count
    last = "never" if evaluated.at_ms is None else f"at {format_utc(evaluated.at_ms)}"
    return f"{count}; outdated, and no rule watches: the last evaluation was {last}; start `salepulse alerts`"
