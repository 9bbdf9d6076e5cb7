"""The panes that can still be read. A number must not lack a part, so queries that need expired panes are errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.model.windows import Span
from streams.store.levels import PaneLevel
from streams.store.retained_spans import KEPT_LEVELS, NO_RETAINED_SPANS, RetainedSpans
from streams.view.query import NotAnswerableError

LONGEST_IN_SECONDS_S = 900
"""The longest window that starts at a second."""
SECONDS, MINUTES, HOURS = range(3)
"""Indexes of the levels of panes, finest first."""


def length(seconds: int | None) -> str:
    """A retention as text, in the largest unit that divides it.

    >>> length(259_200), length(86_400), length(7_200), length(5_400), length(90), length(None)
    ('3 days', '1 day', '2 hours', '90 minutes', '90 seconds', 'for ever')
    """
    if seconds is None:
        return "for ever"
    for unit_s, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % unit_s == 0:
            count = seconds // unit_s
            return f"{count} {unit}" + "s" * (count != 1)
    return f"{seconds} second" + "s" * (seconds != 1)


@dataclass(frozen=True, slots=True)
class Retention:
    """The retention of each level."""

    keep_s: Mapping[str, int | None]
    """# {level: seconds behind `newest_s`; None: for ever}"""
    newest_s: int = 0
    """Newest event time, or the as-of if later, or the time up to which panes were dropped: the as-of may go back when
    a worker stops, and dropped panes do not come back."""
    kept: RetainedSpans = NO_RETAINED_SPANS
    """Minutes of promotions, which are kept for years."""

    @classmethod
    def of(cls, levels: Sequence[PaneLevel], newest_ms: Iterable[int | None], kept: RetainedSpans) -> Retention:
        """The retention behind the newest of these times."""
        newest_s = max(max((at or 0 for at in newest_ms), default=0) // 1000, kept.by_s)
        return cls({level.name: level.keep_s for level in levels}, newest_s, kept)

    def finest(self, at_s: int, newest_s: int, asked_ms: int) -> int:
        """Index of the finest panes kept at a time. `newest_s`: newest as-of; `asked_ms`: as-of of the query, for the
        error.

        Raises:
            NotAnswerableError: minutes have expired.
        """
        newest_s = max(newest_s, self.kept.by_s)
        for level, name in ((SECONDS, "s"), (MINUTES, "m")):
            keep_s = self.keep_s[name]
            if keep_s is None or at_s - LONGEST_IN_SECONDS_S >= newest_s - keep_s:
                return level
        if self.kept.covers(Span(at_s - 1, at_s), self.newest_s):
            return MINUTES
        raise NotAnswerableError(
            f"as_of {asked_ms} is further back than panes are kept ({length(self.keep_s['m'])}), "
            "and no promotion ran then; query a later as_of"
        )

    def recent(self, at_s: int) -> bool:
        """Whether minutes are kept at a time, with or without a promotion."""
        keep_s = self.keep_s["m"]
        return keep_s is None or at_s >= self.newest_s - keep_s

    def minutes_only(self, at_s: int, newest_s: int) -> bool:
        """Whether minutes are the finest panes kept at a time."""
        keep_s = self.keep_s["s"]
        return keep_s is not None and at_s - LONGEST_IN_SECONDS_S < max(newest_s, self.kept.by_s) - keep_s

    def coarsest(self, at_s: int) -> int:
        """Index of the coarsest panes to use from a time on: minutes of promotions outlive hours."""
        keep_s = self.keep_s["h"]
        has_expired = keep_s is not None and at_s < self.newest_s - keep_s
        return MINUTES if has_expired and self.kept.covers(Span(at_s, at_s + 1), self.newest_s) else HOURS

    def has(self, name: str, piece: Span) -> bool:
        """Whether the panes of a level are kept in a span."""
        keep_s = self.keep_s[name]
        if keep_s is None or not piece:
            return True
        oldest_s = self.newest_s - keep_s
        return self.kept.covers(piece, oldest_s) if name in KEPT_LEVELS else piece.start_s >= oldest_s

    def require(self, pieces: Iterable[tuple[str, Span]]) -> None:
        """Raise NotAnswerableError if panes have expired."""
        for name, piece in pieces:
            if not self.has(name, piece):
                raise NotAnswerableError(
                    f"this needs panes from {piece.start_s * 1000} that are no longer kept "
                    f"(level {name}: {length(self.keep_s[name])})"
                )
