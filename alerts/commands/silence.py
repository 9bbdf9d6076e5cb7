"""`salepulse alerts silence`."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from alerts.commands.common import AuthorOption, CommentOption, now_ms, with_acks_and_silences
from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import SalepulseError, UsageError
from consumers.times import format_utc
from consumers.validation_messages import how_many, validation_message
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.state.alert import AlertState
    from alerts.state.silences import Silence
    from alerts.store.acks_and_silences import AcksAndSilences

app = typer.Typer()


@app.command()
def silence(
    matchers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MATCHER...", help="rule=order-silence, channel=~a.*, severity!=critical; all must match."
        ),
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Duration: 30m, 2h, 1d.")] = None,
    promotion: Annotated[str | None, typer.Option(help="Only while this promotion runs; *: while any does.")] = None,
    end: Annotated[str | None, typer.Option(metavar="ID", help="End this silence now.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also show silences that ended in the last day.")] = False,
    by: AuthorOption = None,
    comment: CommentOption = "",
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Silence matching alerts for a time; without arguments, list silences."""
    from pydantic import ValidationError

    from alerts.api.silences import SilenceRequest, silence_payload

    settings = load_settings(Settings, redis_url=redis_url)
    if end is not None:
        known = run(with_acks_and_silences(settings, lambda store: store.end_silence(end, now_ms())))
        with report_errors():
            if not known:
                raise SalepulseError(f"there is no silence {end}: see `salepulse alerts silence`")
        typer.echo(f"{end}: ended")
        return
    if not matchers:
        _list_silences(settings, all_=all_, as_json=as_json)
        return
    with report_errors():
        if for_ is None:
            raise UsageError("a silence needs a duration: write --for 2h")
        try:
            request = SilenceRequest.model_validate(
                {
                    "matchers": matchers,
                    "duration": for_,
                    "promotion": promotion,
                    "by": by or getpass.getuser(),
                    "comment": comment,
                }
            )
            wanted = request.silence(now_ms())
        except ValidationError as error:
            raise UsageError(validation_message(error.errors()[0])) from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    async def work(store: AcksAndSilences) -> tuple[Silence, list[AlertState], frozenset[str]]:
        return await store.silence(wanted), await store.alerts(), await _running(settings)

    stored, alerts, running_promotions = run(with_acks_and_silences(settings, work))
    kept = silence_payload(stored)
    if as_json:
        print_json(kept.model_dump(mode="json"))
    else:
        typer.echo(f"{kept.id}: silenced until {format_utc(kept.ends_at)}: {' '.join(kept.matchers)}")
    for remark in _remarks(stored, alerts, running_promotions, settings):
        print_note(remark)


def _list_silences(settings: Settings, *, all_: bool, as_json: bool) -> None:
    from alerts.api.silences import silence_payload

    silences, at_ms = run(with_acks_and_silences(settings, lambda store: store.silences(now_ms()))), now_ms()
    shown = [silence_payload(silence) for silence in silences if all_ or silence.ends_ms > at_ms]
    if as_json:
        print_json({"silences": [silence.model_dump(mode="json") for silence in shown]})
        return
    rows = [
        (
            silence.id,
            " ".join(silence.matchers),
            format_utc(silence.starts_at),
            format_utc(silence.ends_at),
            silence.promotion or "",
            silence.by,
            silence.comment,
        )
        for silence in shown
    ]
    print_table(("id", "matchers", "starts", "ends", "promotion", "by", "comment"), rows, styles=("bold",))
    if len(shown) < len(silences):
        print_note(f"{len(silences) - len(shown)} more have ended: --all shows them")


def _remarks(
    silence: Silence, alerts: Sequence[AlertState], running_promotions: frozenset[str], settings: Settings
) -> Iterator[str]:
    """Notes on a new silence: the alerts that match it now, and unknown rules. `running_promotions`: ids."""
    from alerts.rules.loader import RuleLoader, RulesError
    from alerts.settings import rules_path
    from alerts.state.alert import Status
    from alerts.state.silences import ANY_PROMOTION, MatchType

    matched = sum(alert.status is Status.FIRING and silence.matches(alert.labels) for alert in alerts)
    firing = how_many(matched, "alert") + (" that fires now" if matched == 1 else " that fire now")
    if silence.is_active(now_ms(), running_promotions):
        yield f"{firing} {'matches' if matched == 1 else 'match'} it"
    else:
        which = "no promotion" if silence.promotion == ANY_PROMOTION else f"promotion {silence.promotion}"
        runs = "runs" if silence.promotion == ANY_PROMOTION else "does not run"
        yield f"it is inactive now, because {which} {runs}: {firing} would match it"
    known = {alert.series.rule for alert in alerts}
    with contextlib.suppress(RulesError):  # the evaluating process may read other rules
        known |= {rule.name for rule in RuleLoader(rules_path(settings)).loaded.rules.rules}
    for matcher in silence.matchers:
        named = matcher.label == "rule" and matcher.match_type in (MatchType.EQUAL, MatchType.REGEXP)
        if named and not any(matcher.matches({"rule": name}) for name in known):
            close = get_close_matches(matcher.value, sorted(known), 1)
            yield f"no known rule matches {matcher}" + (f": did you mean {close[0]}?" if close else "")


async def _running(settings: Settings) -> frozenset[str]:
    """Ids of running promotions."""
    from alerts.detection.schedule import running_promotions
    from streams.store.reader import read_promotions

    known = await read_promotions(settings)
    return frozenset(promotion.promotion_id for promotion in running_promotions(known, now_ms()))
