"""Sources that lose events, by their shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from alerts.statistics.arrays import Floats
from alerts.statistics.shares import ShareState

CALM_S = 2000
Change = Callable[[Floats], Floats]
"""From usual events by source to changed ones."""


def lost(source: int, share: float) -> Change:
    def change(means: Floats) -> Floats:
        changed = means.copy()
        changed[source] *= 1 - share
        return changed

    return change


class Played:
    """Sources of one topic, an hour of calm and then a change."""

    def __init__(
        self,
        rates: Sequence[float],
        change: Change,
        seconds: int,
        seed: int = 1,
        *,
        back_s: int = 0,
        evenness: float = 100.0,
    ) -> None:
        self.found_s: dict[int, int] = {}
        """# source: seconds since the change"""
        self.ended_s: dict[int, int] = {}
        self.suspected_s: dict[int, int] = {}
        rng, state, usual = np.random.default_rng(seed), ShareState(), np.array(rates)
        state.fit(len(rates))
        traffic = np.repeat(rng.gamma(evenness, 1 / evenness, CALM_S + seconds), 30)
        topic = np.zeros(len(rates), np.int64)
        for second in range(1, CALM_S + seconds + back_s + 1):
            since_s = second - CALM_S
            means = change(usual) if 0 < since_s <= seconds else usual
            state.step(
                rng.poisson(means * traffic[second]).astype(np.float64),
                topic,
                end_s=1_762_776_000 + second,
                dt_s=1,
                least_effect=0.3,
                least_events=100,
            )
            for source in np.flatnonzero(state.found).tolist():
                self.found_s.setdefault(source, since_s)
            for source in np.flatnonzero(state.suspected).tolist():
                if since_s > 0:
                    self.suspected_s.setdefault(source, since_s)
            for source in self.found_s.keys() - self.ended_s.keys():
                if not state.found[source]:
                    self.ended_s[source] = since_s - seconds
        self.state = state


ORDERS = 200 * 1.9 / 60
"""Events of orders a second, at 200 orders a minute that are paid."""


@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_the_events_of_one_of_two_or_three_sources_are_found_missing_within_two_minutes(
    sources: int, seed: int
) -> None:
    played = Played([ORDERS / sources] * sources, lost(0, 0.5), 300, seed, back_s=240)
    assert played.found_s.keys() == {0}
    assert 0 < played.found_s[0] <= 120
    assert played.suspected_s[0] <= min(45, played.found_s[0])
    assert 0 < played.ended_s[0] <= 120


def test_the_size_and_the_start_of_a_loss_are_estimated() -> None:
    state = Played([20.0, 20.0], lost(1, 0.5), 60).state
    assert state.fall[1] == pytest.approx(0.5, abs=0.12)
    assert state.since_s[1] == pytest.approx(1_762_776_000 + CALM_S, abs=20)
    assert state.usual_share()[1] == pytest.approx(0.5, abs=0.02)


def all_fall(means: Floats) -> Floats:
    return means * 0.3


def another_surges(means: Floats) -> Floats:
    return means * np.array([1.0, 4.0])


def load_moves(means: Floats) -> Floats:
    return np.array([means[0] / 2, means[1] + means[0] / 2])


@pytest.mark.parametrize("change", [all_fall, another_surges, load_moves])
def test_no_loss_of_one_source_is_found(change: Change) -> None:
    assert Played([ORDERS / 2, ORDERS / 2], change, 900).found_s == {}


def test_the_end_of_a_surge_of_one_source_is_no_loss() -> None:
    def surge(means: Floats) -> Floats:
        return means * np.array([3.0, 1.0])

    assert Played([ORDERS / 2, ORDERS / 2], surge, 900, back_s=900).found_s == {}


def test_the_only_source_of_a_topic_has_no_share() -> None:
    played = Played([ORDERS], lost(0, 0.9), 300)
    assert played.found_s == {}
    assert not played.state.known(100).any()


def test_topics_are_compared_apart() -> None:
    state = ShareState()
    state.fit(4)
    for second in range(1, 1200):
        state.step(
            np.array([10.0, 10.0, 1.0, 3.0]),
            np.array([0, 0, 1, 1]),
            end_s=second,
            dt_s=1,
            least_effect=0.3,
            least_events=100,
        )
    assert state.usual_share().round(2).tolist() == [0.5, 0.5, 0.25, 0.75]


def test_six_calm_hours_have_no_loss() -> None:
    rng, state, found = np.random.default_rng(6), ShareState(), 0
    rates = np.array([0.4, 0.3, 0.2, 0.1]) * ORDERS * 10
    state.fit(4)
    for step in range(1, 2160):
        traffic = 1 + 0.4 * np.sin(step / 500)
        state.step(
            rng.poisson(rates * traffic).astype(np.float64),
            np.zeros(4, np.int64),
            end_s=10 * step,
            dt_s=10,
            least_effect=0.3,
            least_events=100,
        )
        found += int(state.found.sum())
    assert found == 0


def test_a_sure_share_finds_a_loss_within_two_minutes_where_traffic_varies() -> None:
    """By a quarter and more within a minute, so that the own trend says little."""
    found_s = Played((1.6,) * 4, lost(2, 0.6), 150, seed=3, evenness=12).found_s
    assert list(found_s) == [2]
    assert found_s[2] <= 120
