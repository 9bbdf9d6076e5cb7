"""How commands print: facts as JSON or as a table on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

_UNWRAPPED = 10_000


def print_json(facts: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(facts, ensure_ascii=False))


def tell(line: str) -> None:
    """A line on stderr: progress and remarks."""
    typer.echo(line, err=True)


def tell_rest(shown: int, count: int | None) -> None:
    """On stderr, how many values there are where fewer are shown."""
    if count is not None and count > shown:
        tell(f"the first {shown:,} of {count:,} by GMV; name others with --value")


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), styles: Iterable[str] = ()
) -> None:
    """Aligned columns on stdout, wrapped on a terminal and never elsewhere. `right`: columns of numbers."""
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
