"""Output of commands: results on stdout as JSON or a table; notes and progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import typer

_UNWRAPPED = 10_000
LINE_EVERY_S = 2.0


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


class ShowProgress(Protocol):
    """Shows the current state of long work."""

    def __call__(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Show the state; `done` of `total` if known."""


@contextmanager
def progress(title: str) -> Iterator[ShowProgress]:
    """Progress of long work on stderr: a bar on a terminal, else a line every 2 s."""
    if not sys.stderr.isatty():
        yield _progress_lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, text="")

        def show(text: str, done: float | None = None, total: float | None = None) -> None:
            bar.update(task, text=text, completed=done or 0, total=total)

        yield show


def _progress_lines(title: str) -> ShowProgress:
    printed_s = time.monotonic()

    def show(text: str, done: float | None = None, total: float | None = None) -> None:
        nonlocal printed_s
        if time.monotonic() - printed_s >= LINE_EVERY_S:
            printed_s = time.monotonic()
            share = f"{done / total:.0%}, " if done is not None and total else ""
            print_note(f"{title}: {share}{text}")

    return show
