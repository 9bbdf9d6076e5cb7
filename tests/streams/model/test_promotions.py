"""Phases and progress of promotions: pure functions of a definition and a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.events import Phase, Promotion
from streams.model.promotions import RunState, elapsed_fraction, next_phase, phase_at, promotion_progress, run_state


def phase(name: str, begins: int, ends: int) -> Phase:
    return Phase(name=name, starts_at=begins, ends_at=ends)


def promotion(*phases: Phase, begins: int = 1000, ends: int = 2000) -> Promotion:
    times = {"starts_at": begins, "ends_at": ends}
    return Promotion(promotion_id="p", name="p", timezone="UTC", phases=phases or None, **times)


SALE = promotion(phase("presale", 1000, 1100), phase("opening", 1200, 1400), phase("encore", 1900, 2000))


@pytest.mark.parametrize(
    ("at", "state", "now", "then"),
    [
        (0, "upcoming", None, "presale"),
        (999, "upcoming", None, "presale"),
        (1000, "running", "presale", "opening"),
        (1099, "running", "presale", "opening"),
        (1100, "running", None, "opening"),
        (1200, "running", "opening", "encore"),
        (1999, "running", "encore", None),
        (2000, "ended", None, None),
    ],
)
def test_phases_are_half_open(at: int, state: str, now: str | None, then: str | None) -> None:
    found = promotion_progress(SALE, at)
    assert (found.state, found.phase and found.phase.name, found.next and found.next.name) == (state, now, then)


@pytest.mark.parametrize(("at", "share"), [(0, 0), (1000, 0), (1250, 0.25), (2000, 1), (9999, 1)])
def test_elapsed_fraction_is_between_0_and_1(at: int, share: float) -> None:
    assert elapsed_fraction(SALE, at) == share
    assert promotion_progress(SALE, at).elapsed_ms == share * 1000


def test_of_overlapping_phases_the_last_to_begin_counts() -> None:
    flash = promotion(phase("all day", 1000, 2000), phase("flash", 1200, 1300), phase("short", 1200, 1250))
    assert [phase_at(flash, at).name for at in (1100, 1200, 1260, 1300)] == ["all day", "short", "flash", "all day"]


def test_a_promotion_without_phases_has_none() -> None:
    assert (phase_at(promotion(), 1500), next_phase(promotion(), 0)) == (None, None)


_periods = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(_periods, max_size=5), st.integers(-5, 80))
def test_a_phase_contains_the_time_and_the_next_begins_after_it(periods: list[tuple[int, int]], at: int) -> None:
    sale = promotion(*(phase(str(i), *period) for i, period in enumerate(periods)), begins=0, ends=100)
    now, then = phase_at(sale, at), next_phase(sale, at)
    assert (now is not None) == any(begins <= at < ends for begins, ends in periods)
    if now is not None:
        assert run_state(now, at) is RunState.RUNNING
        assert not any(now.starts_at < begins <= at < ends for begins, ends in periods)
    assert (None if then is None else then.starts_at) == min((b for b, _ in periods if b > at), default=None)
