"""What is too late or too early; results do not depend on batch boundaries."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.rejection import RejectionReason
from consumers.dedup import Hashes, SeenIds
from consumers.settings import Clock
from streams.panes.arrays import Ints
from streams.settings import Settings
from streams.worker.lateness import (
    LATEST_MS,
    EventTimeBounds,
    event_time_bounds,
    events_out_of_bounds,
    lateness_verdict,
)
from tests.support.events import ms

DAY_MS = 86_400_000
NOW_MS = ms(1_000_000)
WALL, EVENT = Settings(clock=Clock.WALL), Settings(clock=Clock.EVENT)


class TestTheClock:
    def test_on_the_wall_clock_the_present_decides(self) -> None:
        for as_of_ms in (None, NOW_MS, NOW_MS - 500 * DAY_MS):
            now = event_time_bounds(WALL, as_of_ms, NOW_MS)
            assert (now.oldest_ms, now.latest_ms) == (NOW_MS - 400 * DAY_MS, NOW_MS + 300_000)

    def test_on_the_event_clock_the_as_of_decides_and_no_event_is_from_the_future(self) -> None:
        now = event_time_bounds(EVENT, ms(0), NOW_MS)
        assert (now.oldest_ms, now.latest_ms) == (ms(0) - 400 * DAY_MS, None)

    @pytest.mark.parametrize("clock", Clock)
    def test_events_after_the_year_2104_are_from_the_future_on_every_clock(self, clock: Clock) -> None:
        bounds = event_time_bounds(Settings(clock=clock, retain="all"), None, 16_725_225_600_000)
        ((index, reason, detail),) = events_out_of_bounds(np.array([LATEST_MS, LATEST_MS + 1]), bounds)
        assert (index, reason) == (1, RejectionReason.FROM_THE_FUTURE)
        assert "2104" in detail

    def test_before_the_first_as_of_no_event_is_too_late(self) -> None:
        assert event_time_bounds(EVENT, None, NOW_MS).oldest_ms is None

    def test_with_retain_all_no_event_is_too_late(self) -> None:
        for clock in Clock:
            assert event_time_bounds(Settings(clock=clock, retain="all"), ms(0), NOW_MS).oldest_ms is None

    def test_panes_of_a_backlog_do_not_expire(self) -> None:
        behind = event_time_bounds(WALL, NOW_MS - 5 * DAY_MS, NOW_MS)
        assert behind.oldest_s["s"] == NOW_MS // 1000 - 5 * 86_400 - 7_200
        assert event_time_bounds(WALL, None, NOW_MS).oldest_s == {}

    def test_every_event_that_counts_has_a_retained_pane(self) -> None:
        for as_of_ms in (NOW_MS + 250_000, NOW_MS, NOW_MS - 5 * DAY_MS):
            now = event_time_bounds(WALL, as_of_ms, NOW_MS)
            assert now.oldest_ms is not None
            assert now.oldest_s["h"] * 1000 <= now.oldest_ms


A, B, C = (np.uint64(number) for number in (11, 12, 13))
IN_TIME, TOO_EARLY = 150, 300
LIMITS = EventTimeBounds(None, 100, 200)


def columns(events: list[tuple[np.uint64, int]]) -> tuple[Hashes, Ints]:
    return np.array([hashed for hashed, _ in events], np.uint64), np.array([ts for _, ts in events], np.int64)


def verdicts(events: list[tuple[np.uint64, int]], cuts: list[int]) -> tuple[list[int], Counter[RejectionReason], int]:
    """Indexes of counted events, rejections by reason, and number of duplicates, for batches cut there."""
    ids, ts = columns(events)
    seen = SeenIds(1000)
    counted: list[int] = []
    refused: Counter[RejectionReason] = Counter()
    repeats = 0
    for first, last in pairwise(sorted({0, len(events), *cuts})):
        judged = lateness_verdict(ids[first:last], ts[first:last], seen, LIMITS)
        counts = np.flatnonzero(judged.counts) + first
        seen.add(ids[counts], 0, 1000)
        counted += counts.tolist()
        refused.update(reason for _, reason, _ in judged.refused)
        repeats += judged.repeats
    return counted, refused, repeats


class TestWhereABatchEnds:
    @given(
        st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from([50, 100, IN_TIME, 200, TOO_EARLY]))),
        st.lists(st.integers(0, 12)),
    )
    def test_batch_boundaries_do_not_matter(self, events: list[tuple[np.uint64, int]], cuts: list[int]) -> None:
        cuts = [cut for cut in cuts if cut < len(events)]
        assert verdicts(events, cuts) == verdicts(events, []) == verdicts(events, list(range(len(events))))

    def test_rejected_events_do_not_add_their_ids(self) -> None:
        counted, refused, repeats = verdicts([(A, TOO_EARLY), (A, TOO_EARLY), (A, IN_TIME)], [])
        assert (counted, refused, repeats) == ([2], {RejectionReason.FROM_THE_FUTURE: 2}, 0)

    def test_a_duplicate_with_other_content_is_no_rejection(self) -> None:
        counted, refused, repeats = verdicts([(A, IN_TIME), (A, TOO_EARLY)], [])
        assert (counted, refused, repeats) == ([0], {}, 1)
