"""Tracks the entries of event ids that a partition has in Redis. Pure; scripts apply the results.

Each batch adds an entry to the stream of recent ids. Compaction joins the entries up to its position, neighbours of
similar event time, into few entries of a second stream, so that a new owner reads a day of ids in some thousand
entries instead of half a million.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_IDS_PER_ENTRY = 1 << 17
"""Maximum number of ids in a joined entry, unless a single batch has more."""
ENTRIES_PER_HORIZON = 24
"""A joined entry spans at most this fraction of the horizon in event time, since its ids expire together."""


@dataclass(frozen=True, slots=True)
class IdSpan:
    """An entry without its ids."""

    end_offset: int
    """Position after it; 0 for ids of a topic's predecessor."""
    oldest_ms: int
    newest_ms: int
    count: int

    def joined(self, other: IdSpan) -> IdSpan:
        """This entry joined with the next."""
        oldest_ms, newest_ms = min(self.oldest_ms, other.oldest_ms), max(self.newest_ms, other.newest_ms)
        return IdSpan(other.end_offset, oldest_ms, newest_ms, self.count + other.count)


class IdLog:
    """The entries of one partition, oldest first."""

    def __init__(self, horizon_ms: int, compacted: Iterable[IdSpan] = (), recent: Iterable[IdSpan] = ()) -> None:
        self._span_ms = horizon_ms // ENTRIES_PER_HORIZON
        self._compacted = deque(compacted)
        self._recent = deque(recent)

    def add(self, span: IdSpan) -> None:
        """Add the entry of an applied batch."""
        self._recent.append(span)

    def forget_before(self, ts_ms: int) -> None:
        """Drop leading entries whose newest event is before `ts_ms`."""
        for entries in (self._compacted, self._recent):
            while entries and entries[0].newest_ms < ts_ms:
                entries.popleft()
            if entries:
                return

    @property
    def first(self) -> int | None:
        """Position of the first entry that is needed."""
        return next((entries[0].end_offset for entries in (self._compacted, self._recent) if entries), None)

    def ends(self, upto: int) -> Sequence[int]:
        """The end offsets, ascending, of the entries that a compaction joins the recent ones into."""
        return [span.end_offset for span in self._joined(upto)]

    def compact(self, ends: Sequence[int]) -> None:
        """Apply a written compaction."""
        if not ends:
            return
        joined = self._joined(ends[-1])
        while self._recent and self._recent[0].end_offset <= ends[-1]:
            self._recent.popleft()
        self._compacted.extend(joined)

    def _joined(self, upto: int) -> list[IdSpan]:
        joined: list[IdSpan] = []
        for span in self._recent:
            if span.end_offset > upto:
                break
            candidate = joined[-1].joined(span) if joined else span
            if joined and (joined[-1].end_offset == 0 or self._fits(candidate)):
                joined[-1] = candidate
            else:
                joined.append(span)
        return [span for span in joined if span.end_offset]

    def _fits(self, span: IdSpan) -> bool:
        return span.count <= MAX_IDS_PER_ENTRY and span.newest_ms - span.oldest_ms <= self._span_ms
