"""`salepulse alerts list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alerts.commands.common import with_acks_and_silences
from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.times import format_utc
from consumers.validation_messages import how_many
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.state.alert import AlertState

app = typer.Typer()


@app.command("list")
def list_alerts(
    state: Annotated[str | None, typer.Option(help="Show only this state: pending, firing or resolved.")] = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, newest first, with their notification status."""
    from alerts.payloads import alert_payload
    from alerts.settings import shop_info
    from alerts.state.alert import Status

    with report_errors():
        wanted = (Status.PENDING, Status.FIRING, Status.RESOLVED)
        if state is not None and state not in wanted:
            raise UsageError(f"--state {state!r}: write one of {', '.join(wanted)}")
    settings = load_settings(Settings, redis_url=redis_url)
    stored = run(with_acks_and_silences(settings, lambda store: store.alerts()))
    matching = sorted((alert for alert in stored if state in (None, alert.status)), key=_since_ms, reverse=True)
    if as_json:
        print_json(
            {"alerts": [alert_payload(alert, shop_info(settings)).model_dump(mode="json") for alert in matching]}
        )
        return
    print_table(
        ("state", "severity", "alert", "since", "notification", "fingerprint"),
        [_row(alert) for alert in matching],
        styles=("bold",),
    )
    print_note(how_many(len(matching), "alert"))


def _row(alert: AlertState) -> tuple[str, ...]:
    log = alert.log
    status = f"{log.status.value} ({log.suppressed_by})" if log.suppressed_by else log.status.value
    since = format_utc(_since_ms(alert))
    return alert.status.value, alert.severity.value, str(alert.series), since, status, alert.fingerprint


def _since_ms(alert: AlertState) -> int:
    """Start of the breach, or else of the current status."""
    return alert.finding.since_ms or alert.since_ms
