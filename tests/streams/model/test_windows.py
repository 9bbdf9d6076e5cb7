"""Spans of windows, and the fewest panes that cover them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumers.contract.events import Promotion
from streams.model.windows import Span, Window, cover, distinct_span, span
from streams.panes.scopes import Scope
from tests.support.events import T0, ms
from tests.support.oracle import midnight

STEPS = (1, 60, 3600)
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Pacific/Apia",
)


def at(text: str, zone: str) -> int:
    """Epoch ms of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@settings(max_examples=100)
@given(st.integers(T0 - 90_000, T0 + 90_000), st.integers(0, 90_000))
@example(T0 + 1, 0)
@example(T0 - 1, 2)
@example(T0 + 59, 3542)
def test_a_cover_is_aligned_without_gaps_or_overlaps(start: int, length: int) -> None:
    whole = Span(start, start + length)
    pieces = cover(whole, STEPS)
    reached = start
    for place, piece in pieces:
        assert piece
        assert piece.start_s == reached
        assert piece.start_s % STEPS[place] == piece.end_s % STEPS[place] == 0
        reached = piece.end_s
    assert reached == whole.end_s


@settings(max_examples=100)
@given(st.integers(T0, T0 + 7_300), st.integers(0, 15_000))
def test_a_cover_takes_the_fewest_panes(start: int, length: int) -> None:
    taken = sum(
        (piece.end_s - piece.start_s) // STEPS[place] for place, piece in cover(Span(start, start + length), STEPS)
    )
    fewest, here = 0, start
    while here < start + length:  # greedily the longest pane that starts here and fits
        here += max(step for step in STEPS if here % step == 0 and here + step <= start + length)
        fewest += 1
    assert taken == fewest


@pytest.mark.parametrize(
    ("window", "start"),
    [
        (Window.M1, 3667 - 60),
        (Window.M5, 3667 - 300),
        (Window.M15, 3667 - 900),
        (Window.H1, 60),
        (Window.H24, 60 - 82_800),
    ],
)
def test_long_windows_start_at_a_minute_and_end_at_a_second(window: Window, start: int) -> None:
    assert span(window, ms(3667), timezone="UTC", promotion=None) == Span(T0 + start, T0 + 3667)


@settings(max_examples=50)
@given(st.sampled_from(ZONES), st.integers(0, 2_000_000_000))
def test_a_day_begins_at_local_midnight(zone: str, moment_s: int) -> None:
    begin = span(Window.DAY, moment_s * 1000, timezone=zone, promotion=None)
    assert begin == Span(midnight(moment_s * 1000, zone) // 1000, moment_s)


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("America/New_York", "2024-03-10T23:00", 22),  # spring forward at 02:00
        ("America/New_York", "2024-11-03T23:00", 24),  # back at 02:00
        ("America/Sao_Paulo", "2018-11-04T12:00", 11),  # there was no 00:00
        ("America/Havana", "2024-11-03T12:00", 13),  # 00:00 came twice
        ("Pacific/Apia", "2011-12-31T05:00", 5),  # the day before did not exist
    ],
)
def test_a_day_with_a_clock_change_has_its_real_length(zone: str, moment: str, hours: int) -> None:
    day = span(Window.DAY, at(moment, zone), timezone=zone, promotion=None)
    assert (day.end_s - day.start_s) / 3600 == hours


def test_midnight_starts_an_empty_day() -> None:
    assert not span(Window.DAY, at("2023-11-11T00:00", "Asia/Shanghai"), timezone="Asia/Shanghai", promotion=None)


def promotion_span(as_of: float, starts: float, ends: float) -> Span:
    held = Promotion.model_construct(starts_at=ms(starts), ends_at=ms(ends))
    return span(Window.PROMOTION, ms(as_of), timezone="UTC", promotion=held)


def test_a_promotion_covers_its_start_to_now_or_its_end() -> None:
    assert promotion_span(500, 120, 3600) == Span(T0 + 120, T0 + 500)
    assert promotion_span(9000, 120, 3600) == Span(T0 + 120, T0 + 3600)
    assert promotion_span(500, 150, 3600) == Span(T0 + 120, T0 + 500)  # to the minute


def test_without_a_promotion_the_span_is_empty() -> None:
    assert not span(Window.PROMOTION, ms(0), timezone="UTC", promotion=None)


@pytest.mark.parametrize("as_of", [-3600, 0, 299, 300])
def test_a_future_promotion_has_an_empty_span(as_of: int) -> None:
    assert not promotion_span(as_of, 300, 3600)


def test_a_promotion_that_starts_later_in_this_minute_has_an_empty_span() -> None:
    assert not promotion_span(130, 150, 3600)


@pytest.mark.parametrize("as_of", [10, 120, 290])
def test_a_future_promotion_has_no_visitors(as_of: int) -> None:
    counted = promotion_span(as_of, 300, 3600)
    assert not distinct_span(Window.PROMOTION, counted, coarse=False)


@pytest.mark.parametrize(
    ("window", "scope", "expected"),
    [
        (Window.M1, Scope.ALL, (4067 - 60 - 7, 4060)),
        (Window.M15, Scope.CHANNEL, (4067 - 900 - 7, 4060)),
        (Window.H1, Scope.ALL, (420, 4060)),
        (Window.H24, Scope.ALL, (0 - 82_800 + 0, 4060)),
        (Window.DAY, Scope.ALL, (0, 4060)),
        (Window.M1, Scope.SKU, None),
        (Window.M15, Scope.SKU, None),
        (Window.H1, Scope.SKU, (0, 3600)),
        (Window.DAY, Scope.SKU, (0, 3600)),
    ],
)
def test_distinct_counts_move_by_coarser_panes(window: Window, scope: Scope, expected: tuple[int, int] | None) -> None:
    counted = span(window, ms(4067), timezone="UTC", promotion=None)
    covered = distinct_span(window, counted, coarse=scope is Scope.SKU)
    assert covered == (expected and Span(T0 + expected[0], T0 + expected[1]))
