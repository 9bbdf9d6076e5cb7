"""Counters second by second, of all rows at once: what detectors work on."""

from __future__ import annotations

from dataclasses import dataclass

from streams.panes.cells import Cells, merge_cells
from streams.panes.rows import Rows
from streams.view.followed import Followed
from streams.windows import Span

SECONDS = "s"
"""The level of panes of one second."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """A stretch of seconds."""

    span: Span
    cells: Cells
    rows: Rows
    """Whose numbers the cells have: those of another stretch may be others."""


async def seconds(followed: Followed, span: Span) -> Seconds:
    """All that was counted in a span. Raises NotAnswerableError where seconds are no longer kept."""
    pieces = [(SECONDS, span)] if span else []
    followed.retention.require(pieces)
    while await followed.blocks.ensure(followed.blocks.needed(pieces)):
        pass  # something was waited for, and blocks may have been dropped meanwhile
    return Seconds(span, merge_cells(list(followed.blocks.cells(pieces))), followed.rows)
