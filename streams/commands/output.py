"""Output of commands: results on stdout as JSON or a table, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

_UNWRAPPED = 10_000


def print_json(facts: Any) -> None:
    """Print one line of JSON on stdout."""
    typer.echo(json.dumps(facts, ensure_ascii=False))


def print_note(line: str) -> None:
    """Print a line on stderr."""
    typer.echo(line, err=True)


def print_remaining(shown: int, count: int | None) -> None:
    """Print on stderr that only the first values are shown, if there are more."""
    if count is not None and count > shown:
        print_note(f"showing the top {shown:,} of {count:,} by GMV; use --value for others")


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), styles: Iterable[str] = ()
) -> None:
    """Print aligned columns on stdout, wrapped on a terminal only. `right`: indexes of right-aligned columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    numbers, shades = set(right), dict(enumerate(styles))
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i in numbers else "left", style=shades.get(i, ""), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNWRAPPED, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
