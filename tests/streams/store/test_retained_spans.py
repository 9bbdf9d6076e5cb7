"""Retained spans as a stateful test: nothing published as retained expires, and nothing else is retained."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.model.windows import Span
from streams.store.retained_spans import (
    BEFORE_START_S,
    NO_RETAINED_SPANS,
    PromotionRetention,
    RetainedSpans,
    from_json,
    revise_retained,
    spans_to_retain,
    to_json,
)
from tests.support.events import T0, promotion

DAY_S = 86_400
BLOCK_S = 600
KEEPING = PromotionRetention(promotions_s=100 * DAY_S, first_s=5 * DAY_S)


def blocks(start_s: int, end_s: int) -> set[int]:
    return set(range(start_s - start_s % BLOCK_S, end_s, BLOCK_S))


def test_retains_a_promotion_from_an_hour_before_its_start() -> None:
    (span,) = spans_to_retain([promotion(starts=3_661, ends=7_201)], KEEPING)
    assert span == Span(T0 + 0, T0 + 7_800)
    assert BEFORE_START_S == 3_600


def test_retains_only_the_first_days_of_an_endless_promotion() -> None:
    (span,) = spans_to_retain([promotion(starts=0, ends=10**9)], KEEPING)
    assert span.end_s == T0 + 5 * DAY_S


def test_retained_spans_survive_changes_of_the_promotion() -> None:
    spans = [Span(T0, T0 + DAY_S)]
    kept = revise_retained(NO_RETAINED_SPANS, spans, KEEPING, oldest_s=T0 - 3 * DAY_S, as_of_s=T0)
    assert kept.spans == (Span(T0, T0 + DAY_S),), "a promise"
    after = revise_retained(kept, [], KEEPING, oldest_s=T0 - 2 * DAY_S, as_of_s=T0 + DAY_S // 2)
    assert after.spans == (Span(T0, T0 + DAY_S // 2),), "deleted at noon: the morning stays"
    moved = revise_retained(kept, [Span(T0 + 9 * DAY_S, T0 + 10 * DAY_S)], KEEPING, oldest_s=T0, as_of_s=T0 + DAY_S)
    assert moved.spans == (Span(T0, T0 + DAY_S), Span(T0 + 9 * DAY_S, T0 + 10 * DAY_S))


def test_retains_the_rest_of_a_promotion_announced_too_late() -> None:
    kept = revise_retained(
        NO_RETAINED_SPANS, [Span(T0, T0 + 9 * DAY_S)], KEEPING, oldest_s=T0 + DAY_S + 7, as_of_s=T0 + 4 * DAY_S
    )
    assert kept.spans == (Span(T0 + DAY_S + BLOCK_S, T0 + 9 * DAY_S),)
    assert not kept.covers(Span(T0, T0 + 60), oldest_s=T0 + 100 * DAY_S)


def test_retained_spans_expire_after_their_retention() -> None:
    kept = RetainedSpans(T0, (Span(T0 - DAY_S, T0),))
    assert revise_retained(kept, [], KEEPING, oldest_s=T0, as_of_s=T0 + 99 * DAY_S + DAY_S // 2).spans == (
        Span(T0 - DAY_S // 2, T0),
    )
    assert revise_retained(kept, [], KEEPING, oldest_s=T0, as_of_s=T0 + 101 * DAY_S).spans == ()


moments = st.integers(0, 40).map(lambda hours: T0 + hours * 3_000 + 7)
spans = st.lists(
    st.tuples(moments, moments).map(lambda pair: Span(min(pair) // 600 * 600, max(pair) // 600 * 600)), max_size=3
)


@given(spans, moments, moments)
def test_retained_blocks_are_never_droppable(asked: list[Span], oldest_s: int, as_of_s: int) -> None:
    kept = revise_retained(NO_RETAINED_SPANS, asked, KEEPING, oldest_s=T0 - 1_000, as_of_s=T0)
    for level, block_s in (("m", 600), ("ship_m", 21_600), ("h", 3_600)):
        starts = set(range(T0 - T0 % block_s, T0 + 200_000, block_s))
        dropped = {s for s in starts for first, last in kept.droppable(level, block_s, oldest_s) if first <= s <= last}
        old = {start for start in starts if start + block_s <= oldest_s}
        assert dropped == {start for start in old if not kept.retains(level, start, block_s)}
    assert list(kept.droppable("h", 3_600, oldest_s)) == [(0, oldest_s - 3_600)], "hours have a retention of their own"


@dataclass
class Store:
    """Existing blocks and published spans, with steps of workers in any order."""

    there: set[int] = field(default_factory=lambda: blocks(T0 - 4 * DAY_S, T0 + 4 * DAY_S))
    kept: RetainedSpans = NO_RETAINED_SPANS

    def turn(self, asked: list[Span], oldest_s: int, as_of_s: int) -> None:
        self.kept = revise_retained(self.kept, asked, KEEPING, oldest_s=oldest_s, as_of_s=as_of_s)
        for first, last in self.kept.droppable("m", BLOCK_S, self.kept.dropped_s):
            self.there -= {start for start in self.there if first <= start <= last}


@given(st.lists(st.tuples(spans, st.integers(-40, 40)), max_size=12))
def test_published_spans_are_complete_for_any_announcements(
    turns: list[tuple[list[Span], int]],
) -> None:
    """Also with a worker whose as-of is behind."""
    store = Store()
    for asked, hours in turns:
        as_of_s = T0 + hours * 3_000
        store.turn(asked, as_of_s - DAY_S, as_of_s)
        for span in store.kept.spans:
            assert blocks(span.start_s, span.end_s) <= store.there
        assert all(
            one.end_s < other.start_s for one, other in zip(store.kept.spans, store.kept.spans[1:], strict=False)
        )
        everything = Span(T0 - 2 * DAY_S, T0 + 4 * DAY_S)
        assert (
            store.kept.covers(everything, store.kept.dropped_s)
            == (blocks(everything.start_s, everything.end_s) <= store.there)
            or store.kept.dropped_s % BLOCK_S
        ), "a block that is partly old is there, and not counted upon"


@given(spans, moments, moments)
def test_spans_round_trip_through_json(asked: list[Span], oldest_s: int, as_of_s: int) -> None:
    kept = revise_retained(NO_RETAINED_SPANS, asked, KEEPING, oldest_s=oldest_s, as_of_s=as_of_s)
    again = from_json(to_json(kept))
    assert (again.dropped_s, again.spans, again.by_s) == (kept.dropped_s, kept.spans, as_of_s)
    assert from_json(None) == NO_RETAINED_SPANS
    assert from_json('{"dropped_s": 7, "spans": []}') == RetainedSpans(7), "as earlier versions wrote it"


def test_the_latest_expiry_time_never_decreases() -> None:
    kept = revise_retained(NO_RETAINED_SPANS, [], KEEPING, oldest_s=T0, as_of_s=T0 + DAY_S)
    assert revise_retained(kept, [], KEEPING, oldest_s=T0 - 9, as_of_s=T0).by_s == T0 + DAY_S
