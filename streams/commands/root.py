"""What holds for every command: `--version`, and a word about settings in the environment that set nothing."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from streams.commands.output import tell
from streams.settings import Settings
from streams.settings_report import misspelt


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
        tell(f"remark: the environment variable {name} sets nothing: did you mean {meant}?")
