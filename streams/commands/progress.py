"""Progress of long work on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from streams.commands.output import print_note

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY_S = 2.0


class Progress(Protocol):
    """Context manager that shows progress."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Show the current state; `done` of `total` if known."""


def progress(title: str) -> Progress:
    """A bar if stderr is a terminal, else lines."""
    return _Bar(title) if sys.stderr.isatty() else _Lines(title)


class _Lines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._printed_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, text: str, done: float | None = None, total: float | None = None) -> None:
        if time.monotonic() - self._printed_s >= LINE_EVERY_S:
            self._printed_s = time.monotonic()
            share = f"{done / total:.0%}, " if done is not None and total else ""
            print_note(f"{self._title}: {share}{text}")


class _Bar:
    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True), transient=True)
        self._task: TaskID = self._bar.add_task(title, total=None, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, text: str, done: float | None = None, total: float | None = None) -> None:
        self._bar.update(self._task, text=text, completed=done or 0, total=total)
