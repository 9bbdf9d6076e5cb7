"""Measurements of Redis's clock are as exact as the round trip."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.store.clock_measurement import (
    CLOCK_RECOVERED_MS,
    MAX_CLOCK_OFFSET_MS,
    ClockMeasurement,
    better_measurement,
    is_off,
)

T0_MS = 1_700_000_000_000


def measured(at_s: float, *, ahead_ms: float = 0, round_trip_s: float = 0.001, skewed: float = 0.5) -> ClockMeasurement:
    """Redis's clock is T0 + `ahead_ms` at monotonic 0; `skewed` is the share of the round trip at which it was read."""
    server_ms = T0_MS + ahead_ms + (at_s + skewed * round_trip_s) * 1000
    return ClockMeasurement.between(at_s, at_s + round_trip_s, server_ms)


def test_extrapolates_with_the_monotonic_clock() -> None:
    held = measured(5)
    assert abs(held.now_ms(65) - (T0_MS + 65_000)) <= held.uncertainty_ms


@given(st.floats(0, 100), st.floats(0, 5), st.floats(0, 1))
def test_the_error_is_at_most_half_the_round_trip(at_s: float, round_trip_s: float, skewed: float) -> None:
    held = measured(at_s, round_trip_s=round_trip_s, skewed=skewed)
    assert abs(held.now_ms(at_s) - (T0_MS + at_s * 1000)) <= held.uncertainty_ms + 0.01


def test_a_slow_response_does_not_replace_an_exact_sample() -> None:
    exact, slow = measured(0), measured(10, round_trip_s=1.0, skewed=1.0)
    assert better_measurement(exact, slow) is exact
    assert better_measurement(None, slow) is slow


def test_an_old_exact_sample_is_replaced() -> None:
    assert better_measurement(measured(0, round_trip_s=0.001), later := measured(3600, round_trip_s=0.2)) is later


def test_a_jump_of_redis_clock_is_followed_at_once() -> None:
    for jump_ms in (-3_600_000, 30_000):
        after = measured(1, ahead_ms=jump_ms, round_trip_s=1.0)
        assert better_measurement(measured(0), after) is after


def test_a_clock_is_off_beyond_the_measurement_error() -> None:
    assert not is_off(MAX_CLOCK_OFFSET_MS, 0, was_off=False)
    assert is_off(MAX_CLOCK_OFFSET_MS + 1, 0, was_off=False)
    assert is_off(-MAX_CLOCK_OFFSET_MS - 1, 0, was_off=False)
    assert not is_off(MAX_CLOCK_OFFSET_MS + 400, 500, was_off=False), "Redis took a second to answer"
    assert is_off(CLOCK_RECOVERED_MS + 1, 0, was_off=True), "hysteresis at the limit"
    assert not is_off(CLOCK_RECOVERED_MS, 0, was_off=True)
