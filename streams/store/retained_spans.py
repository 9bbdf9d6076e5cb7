"""Spans of minutes that are retained for years: those of promotions. Pure.

Minute panes expire after `keep_minutes_d`, except in retained spans: each promotion's time, from an hour before its
start so that windows up to 1h are complete from its first minute. The spans are published in Redis
(`streams.worker.expiry`), since a missing block may be empty or expired: servers answer for old minutes only
inside published spans.

A new span is added whole only where nothing has expired yet, and published spans stay: changing or deleting a promotion
changes future retention only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from consumers.contract.events import Promotion
from streams.model.windows import Span
from streams.panes.counters import DAY_S
from streams.settings import Settings

KEPT_LEVELS = ("m", "ship_m")
"""The levels whose blocks are retained in these spans."""
BEFORE_START_S = 3600
"""How long before a promotion's start its span begins."""
_BLOCK_S = 600
"""Spans begin and end at multiples of this: the blocks of minutes."""


@dataclass(frozen=True, slots=True)
class RetainedSpans:
    """The spans of minutes that are retained beyond their level's retention, as published."""

    dropped_s: int = 0
    """Minutes before this may have expired, except in `spans`."""
    spans: tuple[Span, ...] = ()
    """Disjoint and ascending. Spans that reach into the future are planned."""
    keep_s: int = 0
    """Retention of the spans, in seconds."""
    by_s: int = 0
    """Latest time up to which any level's panes expired. The as-of may go back afterwards."""

    def covers(self, whole: Span, oldest_s: int) -> bool:
        """Whether all minutes of a span exist, given that those from `oldest_s` on do."""
        at_s = whole.start_s
        for span in self.spans:
            if span.start_s <= at_s < span.end_s:
                at_s = span.end_s
        return at_s >= min(whole.end_s, oldest_s)

    def retains(self, level: str, start_s: int, block_s: int) -> bool:
        """Whether a block is retained beyond its level's retention."""
        return level in KEPT_LEVELS and any(
            span.start_s < start_s + block_s and start_s < span.end_s for span in self.spans
        )

    def droppable(self, level: str, block_s: int, oldest_s: int) -> Iterator[tuple[int, int]]:
        """Ranges of starts of blocks that are older than `oldest_s` and not retained: (first, last) in seconds,
        inclusive."""
        first, last = 0, oldest_s - block_s
        for span in self.spans if level in KEPT_LEVELS else ():
            if first <= (until := min(span.start_s - block_s, last)):
                yield first, until
            first = max(first, span.end_s)
        if first <= last:
            yield first, last


NO_RETAINED_SPANS = RetainedSpans()


@dataclass(frozen=True, slots=True)
class PromotionRetention:
    """Retention of minutes, in seconds."""

    promotions_s: int
    """How long the minutes of promotions are retained."""
    first_s: int
    """Limit per promotion, from its start: an endless one must not retain everything."""

    @classmethod
    def of(cls, settings: Settings) -> PromotionRetention:
        """The retention by the settings."""
        return cls(int(settings.keep_promotions_d * DAY_S), int(settings.keep_promotions_first_d * DAY_S))


def spans_to_retain(promotions: Iterable[Promotion], keeping: PromotionRetention) -> Iterator[Span]:
    """The spans that current promotions need, rounded out to whole blocks."""
    for promotion in promotions:
        start_s = promotion.starts_at // 1000
        end_s = min(-(-promotion.ends_at // 1000), start_s + keeping.first_s)
        yield Span(_down(start_s - BEFORE_START_S), -_down(-end_s))


def revise_retained(
    before: RetainedSpans, spans: Iterable[Span], keeping: PromotionRetention, *, oldest_s: int, as_of_s: int
) -> RetainedSpans:
    """The retained spans from now on.

    `oldest_s`: limit of expiry of minutes without promotions. `as_of_s`: newest minute. Both are on the retention
    clock. Publish the result before anything expires.
    """
    dropped_s = max(before.dropped_s, oldest_s)
    past = (Span(span.start_s, min(span.end_s, -_down(-as_of_s))) for span in before.spans)
    # A span that begins before `dropped_s` is complete only if it was already retained.
    new = (Span(max(span.start_s, -_down(-dropped_s)), span.end_s) for span in spans)
    united = _union([*past, *new])
    since_s = _down(as_of_s - keeping.promotions_s)
    trimmed = (Span(max(span.start_s, since_s), span.end_s) for span in united)
    kept_spans = tuple(span for span in trimmed if span)
    return RetainedSpans(dropped_s, kept_spans, keeping.promotions_s, max(before.by_s, as_of_s))


def to_json(kept: RetainedSpans) -> bytes:
    """Encode for Redis."""
    spans = [(span.start_s, span.end_s) for span in kept.spans]
    return msgspec.json.encode({"dropped_s": kept.dropped_s, "spans": spans, "by_s": kept.by_s})


def from_json(text: bytes | str | None) -> RetainedSpans:
    """Decode `to_json`; empty input means no retained spans."""
    if text is None:
        return RetainedSpans()
    stored = msgspec.json.decode(text, type=_RetentionWire)
    return RetainedSpans(stored.dropped_s, tuple(Span(start, end) for start, end in stored.spans), by_s=stored.by_s)


class _RetentionWire(msgspec.Struct):
    dropped_s: int
    spans: list[tuple[int, int]]
    by_s: int = 0


def _union(spans: Iterable[Span]) -> list[Span]:
    """The union of spans, adjacent ones joined."""
    united: list[Span] = []
    for span in sorted((span for span in spans if span), key=lambda span: span.start_s):
        if united and span.start_s <= united[-1].end_s:
            united[-1] = Span(united[-1].start_s, max(united[-1].end_s, span.end_s))
        else:
            united.append(span)
    return united


def _down(at_s: int) -> int:
    return at_s - at_s % _BLOCK_S
