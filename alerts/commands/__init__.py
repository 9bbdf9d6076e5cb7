"""The sub-commands of this package: `salepulse alerts` and what belongs to it."""

from __future__ import annotations

import typer

from alerts.commands import check, people, trial

app = typer.Typer()
alerts = typer.Typer(
    help="Alerts: check and try the settings, see what fires, acknowledge, silence.", no_args_is_help=True
)
for part in (check, trial, people):
    alerts.registered_commands += part.app.registered_commands
app.add_typer(alerts, name="alerts")
