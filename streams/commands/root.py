"""Options of every command: `--version`, and a note about environment variables that set nothing."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from consumers.validation_messages import validation_message
from streams.commands.output import print_note
from streams.settings import Settings
from streams.settings_report import misspelt


class Commands(TyperGroup):
    """The command group; invalid values give our validation messages in place of pydantic's."""

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
