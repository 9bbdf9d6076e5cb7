"""The commands of `salepulse alerts`."""

from __future__ import annotations

import typer

from alerts.commands import ack, check, rehearse, role, send_tests, silence
from alerts.commands import list as list_alerts

app = typer.Typer()
alerts = typer.Typer()
alerts.callback(invoke_without_command=True)(role.alerts)
for part in (check, rehearse, send_tests, list_alerts, ack, silence):
    alerts.registered_commands += part.app.registered_commands
app.add_typer(alerts, name="alerts")
