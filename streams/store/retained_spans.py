"""Minutes that are kept for years: those of promotions. Pure.

Panes of a minute are dropped when they are older than `keep_minutes_d`, but for those in kept stretches: the time of
each promotion, from an hour before its start, so that windows up to 1h are whole from the first minute on. What is kept
is said in Redis (`streams.store.retention_keeper`), since a block that is not there may hold no events or may be
gone: servers answer about minutes of old only inside what is said to be kept.

A stretch is added whole only as far back as nothing was dropped yet, and what was once kept stays: changing or deleting
a promotion changes what will be kept, and nothing of the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from consumers.contract.events import Promotion
from streams.model.windows import Span
from streams.settings import Settings

DAY_S = 86_400
KEPT_LEVELS = ("m", "ship_m")
"""The levels whose blocks are kept in kept stretches."""
BEFORE_START_S = 3600
_BLOCK_S = 600


@dataclass(frozen=True, slots=True)
class RetainedSpans:
    """What is kept beyond its time."""

    dropped_s: int = 0
    """Minutes before this may be gone, but for those in `spans`."""
    spans: tuple[Span, ...] = ()
    """Apart from each other, in order of time. Those that reach into the future are promises."""
    keep_s: int = 0
    """How long they are kept."""
    by_s: int = 0
    """The latest moment by whose retention panes of any level were dropped. The as-of may be earlier again."""

    def covers(self, spans_to_retain: Span, oldest_s: int) -> bool:
        """Whether all minutes of a stretch are there, if those from `oldest_s` on are."""
        at_s = spans_to_retain.start_s
        for span in self.spans:
            if span.start_s <= at_s < span.end_s:
                at_s = span.end_s
        return at_s >= min(spans_to_retain.end_s, oldest_s)

    def holds(self, level: str, start_s: int, block_s: int) -> bool:
        """Whether a block is kept beyond its time."""
        return level in KEPT_LEVELS and any(
            span.start_s < start_s + block_s and start_s < span.end_s for span in self.spans
        )

    def droppable(self, level: str, block_s: int, oldest_s: int) -> Iterator[tuple[int, int]]:
        """Where blocks begin that are older than `oldest_s` and not kept: (first, last), seconds, both included."""
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
    """How long minutes are kept, seconds."""

    promotions_s: int
    """Of promotions."""
    first_s: int
    """At most so much of one promotion, from its start: one that never ends must not keep everything."""

    @classmethod
    def of(cls, settings: Settings) -> PromotionRetention:
        """As the settings say."""
        return cls(int(settings.keep_promotions_d * DAY_S), int(settings.keep_promotions_first_d * DAY_S))


def spans_to_retain(promotions: Iterable[Promotion], keeping: PromotionRetention) -> Iterator[Span]:
    """What the promotions in force ask to be kept, in whole blocks."""
    for promotion in promotions:
        start_s = promotion.starts_at // 1000
        end_s = min(-(-promotion.ends_at // 1000), start_s + keeping.first_s)
        yield Span(_down(start_s - BEFORE_START_S), -_down(-end_s))


def revise_retained(
    kept: RetainedSpans, spans: Iterable[Span], keeping: PromotionRetention, *, oldest_s: int, as_of_s: int
) -> RetainedSpans:
    """What is kept from now on.

    `oldest_s` is where minutes would be dropped up to if there were no promotions, `as_of_s` the moment up to which
    there are any, both on the clock of retention. Nothing may be dropped before this is said to everyone.
    """
    dropped_s = max(kept.dropped_s, oldest_s)
    past = (Span(span.start_s, min(span.end_s, -_down(-as_of_s))) for span in kept.spans)
    # What begins before `dropped_s` is whole only where it was kept already: of that the past has it.
    new = (Span(max(span.start_s, -_down(-dropped_s)), span.end_s) for span in spans)
    asked = _union([*past, *new])
    since_s = _down(as_of_s - keeping.promotions_s)
    young = (Span(max(span.start_s, since_s), span.end_s) for span in asked)
    kept_spans = tuple(span for span in young if span)
    return RetainedSpans(dropped_s, kept_spans, keeping.promotions_s, max(kept.by_s, as_of_s))


def to_json(kept: RetainedSpans) -> bytes:
    """As it stands in Redis."""
    spans = [(one.start_s, one.end_s) for one in kept.spans]
    return msgspec.json.encode({"dropped_s": kept.dropped_s, "spans": spans, "by_s": kept.by_s})


def from_json(text: bytes | str | None) -> RetainedSpans:
    """What `to_json` wrote; nothing is kept where nothing is said."""
    if text is None:
        return RetainedSpans()
    held = msgspec.json.decode(text, type=_RetentionWire)
    return RetainedSpans(held.dropped_s, tuple(Span(start, end) for start, end in held.spans), by_s=held.by_s)


class _RetentionWire(msgspec.Struct):
    dropped_s: int
    spans: list[tuple[int, int]]
    by_s: int = 0


def _union(spans: Iterable[Span]) -> list[Span]:
    """The same stretches, those that meet made one."""
    united: list[Span] = []
    for span in sorted((span for span in spans if span), key=lambda span: span.start_s):
        if united and span.start_s <= united[-1].end_s:
            united[-1] = Span(united[-1].start_s, max(united[-1].end_s, span.end_s))
        else:
            united.append(span)
    return united


def _down(at_s: int) -> int:
    return at_s - at_s % _BLOCK_S
