"""What holds for every command: `--version`, and a word about settings in the environment that set nothing."""

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
    """All commands; a value that one does not take is refused in our words, where typer gives pydantic's."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
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
        bool, typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """A monitor for the biggest hours of an online shop."""
    for name, meant in misspelt(Settings, os.environ).items():
        print_note(f"remark: the environment variable {name} sets nothing: did you mean {meant}?")
