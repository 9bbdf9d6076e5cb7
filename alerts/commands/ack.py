"""`salepulse alerts ack`."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from alerts.commands.common import AuthorOption, CommentOption, now_ms, with_acks_and_silences
from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import SalepulseError
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.store.acks_and_silences import AcksAndSilences

app = typer.Typer()


@app.command()
def ack(
    fingerprints: Annotated[list[str], typer.Argument(metavar="FINGERPRINT...", help="As in `salepulse alerts list`.")],
    by: AuthorOption = None,
    comment: CommentOption = "",
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge alerts: no one else is notified of the incident unless its severity increases."""
    settings = load_settings(Settings, redis_url=redis_url)
    author = by or getpass.getuser()

    async def work(store: AcksAndSilences) -> list[str]:
        refused = []
        for fingerprint in fingerprints:
            if await store.acknowledge(fingerprint, by=author, comment=comment, now_ms=now_ms()) is None:
                refused.append(fingerprint)
        return refused

    refused = run(with_acks_and_silences(settings, work))
    acknowledged = [fingerprint for fingerprint in fingerprints if fingerprint not in refused]
    if as_json:
        print_json({"acknowledged": acknowledged, "not_firing": refused, "by": author})
    else:
        for fingerprint in acknowledged:
            typer.echo(f"{fingerprint}: acknowledged by {author}")
    with report_errors():
        if refused:
            raise SalepulseError(f"no alert {refused[0]} fires: see `salepulse alerts list --state firing`")
