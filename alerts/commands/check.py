"""`salepulse alerts check`: validate the rules and receivers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.errors import UsageError
from consumers.validation_messages import how_many
from streams.commands.options import AsJson
from streams.commands.output import print_json, print_note
from streams.settings import Settings

app = typer.Typer()


@app.command()
def check(
    file_of_rules: Annotated[
        Path | None, typer.Argument(metavar="RULES.yaml", help="Default: the configured file, else the default rules.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="File of rules, as with `alerts rehearse`.")] = None,
    receivers: Annotated[Path | None, typer.Option(help="File of receivers; default: the configured file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate the rules and receivers, and list all errors with their lines. Nothing is sent."""
    from alerts.notify.receivers import read_receivers
    from alerts.rules.file import read_rules
    from alerts.rules.loader import DEFAULT, default_text, format_errors
    from alerts.settings import load_receivers, rules_path

    settings = load_settings(Settings)
    with report_errors():
        if rules is not None and file_of_rules is not None:
            raise UsageError("two files of rules: remove --rules")
        path = rules or file_of_rules or rules_path(settings)
        try:
            text = default_text() if path is None else path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from None
        parsed = read_rules(text)
        for line in format_errors(tuple(parsed.errors), DEFAULT if path is None else str(path)):
            print_note(line)
        if parsed.rules is None:
            raise UsageError(f"the rules have {how_many(len(parsed.errors), 'error')}: fix them and check again")
        file = load_receivers(settings) if receivers is None else read_receivers(receivers)
    result = {
        "rules": [rule.name for rule in parsed.rules.rules],
        "receivers": [{"name": receiver.name, "type": receiver.type} for receiver in file.receivers],
        "routes": len(file.routing.routes),
    }
    if as_json:
        print_json(result)
        return
    typer.echo(
        f"{how_many(len(parsed.rules.rules), 'rule')} valid: {', '.join(rule.name for rule in parsed.rules.rules)}"
    )
    receiver_list = ", ".join(f"{receiver.name} ({receiver.type})" for receiver in file.receivers)
    typer.echo(
        f"{how_many(len(file.receivers), 'receiver')} valid: {receiver_list}"
        if receiver_list
        else "no receivers: nothing is sent"
    )
