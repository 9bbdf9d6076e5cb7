"""The commands of `salepulse alerts`."""

from __future__ import annotations

import typer

from alerts.commands import check, people, rehearse, role, send_tests

app = typer.Typer()
alerts = typer.Typer()
alerts.callback(invoke_without_command=True)(role.alerts)
for part in (check, rehearse, send_tests, people):
    alerts.registered_commands += part.app.registered_commands
app.add_typer(alerts, name="alerts")
