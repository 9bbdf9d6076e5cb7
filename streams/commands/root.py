"""The root command, composed of the sub-commands that each package declares; and the options of every command."""

from __future__ import annotations

import os
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from consumers.validation_messages import validation_message
from streams.commands.output import print_note
from streams.settings import Settings
from streams.settings_report import misspelt

GROUP = "salepulse.commands"


def create_app() -> typer.Typer:
    """The root command with all sub-commands."""
    app = typer.Typer(
        name="salepulse",
        cls=Commands,
        callback=root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for entry_point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        declared: typer.Typer = entry_point.load()
        app.registered_commands += declared.registered_commands
        app.registered_groups += declared.registered_groups
    return app


def command_names() -> set[str]:
    """The names of all sub-commands."""
    app = create_app()
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    return commands | {group.name for group in app.registered_groups if group.name}


class Commands(TyperGroup):
    """The command group; it reports invalid values with our validation messages instead of pydantic's."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = validation_message(error.__cause__.errors()[0])
            raise


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"salepulse {version('salepulse')}")
        raise typer.Exit


def root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Exact KPIs and alerts for the biggest hours of an online shop."""
    for name, meant in misspelt(Settings, os.environ).items():
        print_note(f"note: unknown environment variable {name}: did you mean {meant}?")
