"""The moment compared with, and the difference of two numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.view.compare_rules import (
    Comparison,
    ComparisonPeriod,
    PromotionPair,
    days_before,
    differ,
    differences,
    promotion_pair,
)
from streams.view.query import NotAnswerableError
from tests.support.events import ms, promotion

DAY_S = 86_400
DAY_MS = 1000 * DAY_S
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca")

moments = st.integers(0, 4_000_000_000_000)
numbers = st.none() | st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


@given(moments, st.sampled_from(ZONES), st.sampled_from([1, 7]))
def test_days_before_keeps_the_local_time(at_ms: int, timezone: str, days: int) -> None:
    zone = ZoneInfo(timezone)
    then_ms = days_before(at_ms, days, timezone)
    now, then = (datetime.fromtimestamp(at // 1000, zone).replace(tzinfo=None) for at in (at_ms, then_ms))
    left_out = (now - then) - timedelta(days=days)
    assert then_ms % 1000 == at_ms % 1000
    assert abs(at_ms - then_ms - days * DAY_MS) <= 2 * 3_600_000, "no more than clocks are changed by"
    assert left_out == timedelta(0) or _does_not_exist(now - timedelta(days=days), zone)


def _does_not_exist(local: datetime, zone: ZoneInfo) -> bool:
    return local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local


@given(moments, st.sampled_from([1, 7]))
def test_without_clock_changes_a_day_has_24_hours(at_ms: int, days: int) -> None:
    assert at_ms - days_before(at_ms, days, "UTC") == days * DAY_MS


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2025-03-30T12:00+02:00", "2025-03-29T12:00+01:00"),
        ("2025-10-26T12:00+01:00", "2025-10-25T12:00+02:00"),
        ("2025-03-31T02:30+02:00", "2025-03-30T03:30+02:00"),
        ("2025-10-27T02:30+01:00", "2025-10-26T02:30+02:00"),
        ("2025-10-26T02:30+01:00", "2025-10-25T02:30+02:00"),
    ],
    ids=["after 23 h", "after 25 h", "a time that was left out", "a time that came twice", "from its second coming"],
)
def test_days_before_across_clock_changes(now: str, then: str) -> None:
    assert days_before(utc(now), 1, "Europe/Berlin") == utc(then)


@given(st.integers(1, 10**8), st.integers(0, 999), st.integers(0, 999), st.integers(0, 10**9))
def test_a_baseline_is_compared_at_the_same_elapsed_time(apart_s: int, first: int, second: int, elapsed: int) -> None:
    earlier, present = promotion("d11-24"), promotion("d11")
    earlier = earlier.model_copy(update={"starts_at": ms(0) + first})
    present = present.model_copy(update={"starts_at": ms(apart_s) + second})
    comparison = Comparison(ComparisonPeriod.BASELINE, "Asia/Shanghai", PromotionPair(present, earlier))
    at_ms = ms(apart_s) + 1000 * elapsed
    assert comparison.then_ms(at_ms) == ms(0) + 1000 * elapsed, "as-ofs are whole seconds, whatever the starts are"


@given(numbers, numbers)
def test_difference_and_ratio_are_null_where_undefined(now: float | None, then: float | None) -> None:
    apart = differ(now, then)
    assert (apart.difference is None) == (now is None or then is None)
    assert (apart.ratio is None) == (now is None or then is None or then == 0)
    if apart.difference is not None and isinstance(now, int) and isinstance(then, int):
        assert then + apart.difference == now, "whole numbers differ exactly"


def test_all_names_are_compared() -> None:
    apart = differences({"gmv": 3, "new": 1, "rate": None}, {"gmv": 2, "gone": 5, "rate": 0.5})
    assert {name: one.difference for name, one in apart.items()} == {"gmv": 1, "new": None, "rate": None}


KNOWN = {
    one.promotion_id: one
    for one in (
        promotion("last", starts=0),
        promotion("this", starts=DAY_S, ends=2 * DAY_S, baseline="last"),
        promotion("alone", starts=DAY_S, ends=2 * DAY_S),
        promotion("astray", starts=DAY_S, ends=2 * DAY_S, baseline="never"),
        promotion("backwards", starts=DAY_S, ends=2 * DAY_S, baseline="this"),
    )
}


def test_a_promotion_is_paired_with_its_baseline() -> None:
    assert promotion_pair(KNOWN["this"], KNOWN, ms(DAY_S)) == PromotionPair(KNOWN["this"], KNOWN["last"])


@pytest.mark.parametrize(
    ("name", "at", "why"),
    [
        (None, DAY_S, "no promotion has started"),
        ("alone", DAY_S, "'alone' has no baseline.* astray, backwards, this"),
        ("astray", DAY_S, "'never' of promotion 'astray' is not in force.* last, this"),
        ("backwards", DAY_S, "does not start before it"),
        ("this", DAY_S - 1, "starts at .*nothing to compare yet"),
    ],
)
def test_an_impossible_pair_is_an_error_with_the_reason(name: str | None, at: float, why: str) -> None:
    with pytest.raises(NotAnswerableError, match=why):
        promotion_pair(None if name is None else KNOWN[name], KNOWN, ms(at))
