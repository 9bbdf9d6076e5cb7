"""Windows: the span of event time that an answer covers; defined in the metric dictionary, section "Windows".

All spans are half-open, in whole epoch seconds, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from zoneinfo import ZoneInfo

from consumers.contract.events import Promotion


class Window(StrEnum):
    """Length of an answer's window."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"
    H24 = "24h"
    DAY = "day"
    """Since local midnight."""
    PROMOTION = "promotion"
    """From a promotion's start, at most to its end."""


LENGTH_S = {Window.M1: 60, Window.M5: 300, Window.M15: 900, Window.H1: 3600, Window.H24: 86_400}
_TO_SECOND = (Window.M1, Window.M5, Window.M15)
"""Windows that start at a second; the others start at a minute."""
_DISTINCT_START_S = {Window.M1: 10, Window.M5: 10, Window.M15: 10, Window.H1: 60}
_DISTINCT_END_S = 10
_COARSE_S = 600


@dataclass(frozen=True, slots=True)
class Span:
    """[start_s, end_s); empty if the end is not after the start."""

    start_s: int
    end_s: int

    def __bool__(self) -> bool:
        return self.end_s > self.start_s


def span(window: Window, as_of_ms: int, *, timezone: str, promotion: Promotion | None) -> Span:
    """The span of a window for counters; empty for window `promotion` without a promotion."""
    as_of_s = as_of_ms // 1000
    if window is Window.PROMOTION:
        if promotion is None or as_of_ms <= promotion.starts_at:
            return Span(as_of_s, as_of_s)
        start = promotion.starts_at // 1000
        return Span(start - start % 60, min(as_of_s, promotion.ends_at // 1000))
    start = _midnight(as_of_s, timezone) if window is Window.DAY else as_of_s - LENGTH_S[window]
    return Span(start if window in _TO_SECOND else start - start % 60, as_of_s)


def distinct_span(window: Window, counters: Span, *, coarse: bool) -> Span | None:
    """The span of a window for distinct counts; None if the scope has none in it.

    `coarse`: see `Dimension.coarse_distincts`.
    """
    if coarse and window in _TO_SECOND:
        return None
    if not counters:
        return counters
    if coarse:
        return Span(counters.start_s - counters.start_s % _COARSE_S, counters.end_s - counters.end_s % _COARSE_S)
    step = _DISTINCT_START_S.get(window, _COARSE_S)
    return Span(counters.start_s - counters.start_s % step, counters.end_s - counters.end_s % _DISTINCT_END_S)


def cover(whole: Span, steps: Sequence[int]) -> list[tuple[int, Span]]:
    """The fewest panes that cover a span: (index of the step, span of such panes), in order of time.

    `steps` are pane lengths, finest first, each dividing the next; the span is aligned to the finest.
    """
    if not whole:
        return []
    coarsest = len(steps) - 1
    while coarsest:
        step = steps[coarsest]
        first, last = -(-whole.start_s // step) * step, whole.end_s // step * step
        if last > first:
            finer = steps[:coarsest]
            return [
                *cover(Span(whole.start_s, first), finer),
                (coarsest, Span(first, last)),
                *cover(Span(last, whole.end_s), finer),
            ]
        coarsest -= 1
    return [(0, whole)]


def _midnight(at_s: int, timezone: str) -> int:
    """The last local midnight at or before a time, or 01:00 on days that a clock change starts there."""
    zone = ZoneInfo(timezone)
    local = datetime.fromtimestamp(at_s, zone)
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp())


Pieces: TypeAlias = list[tuple[str, Span]]
"""Spans, each in the panes of one level."""


def in_panes(whole: Span, levels: Sequence[tuple[str, int]]) -> Pieces:
    """The fewest panes of these levels (name, length in seconds; finest first) that cover a span."""
    return [(levels[level][0], piece) for level, piece in cover(whole, [step for _, step in levels])]
