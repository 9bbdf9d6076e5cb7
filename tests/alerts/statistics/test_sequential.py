"""A rate during a sale: an opening, an incident, its end, a data fault."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.statistics.arrays import Floats
from alerts.statistics.baseline import NEW_NORMAL_S
from alerts.statistics.evidence import false_alarms_per_day
from alerts.statistics.sequential import SequentialState
from alerts.statistics.steps import SequentialParameters, SequentialStep, WindowPart

DROP = SequentialParameters(rise=False, least_effect=0.1, least_sample=30, least_baseline=100)
RISE = SequentialParameters(rise=True, least_effect=0.4, least_sample=20, least_baseline=100)
WARM_S = 3000
P = 0.05


def orders_of(views: Floats, rng: np.random.Generator, kept: Floats | float = 1.0) -> Floats:
    """Orders that follow views after about 40 s; `kept`: the share that is not lost, by second."""
    lags = np.histogram(40 * rng.gamma(3, 1 / 3, 4000), np.arange(0, 300))[0] / 4000
    return rng.poisson(P * np.convolve(views, lags)[: len(views)] * kept).astype(np.float64)


def played(
    views: Floats,
    orders: Floats,
    parameters: SequentialParameters = DROP,
    frozen: range = range(0),
    per_day: float = 0.1,
    *,
    to_alarm: bool = False,
) -> tuple[SequentialState, list[int], list[int]]:
    """The whole shop alone, or up to its first alarm: (state, seconds of alarms, seconds of their ends)."""
    followed = SequentialState.of(40)
    followed.fit(1)
    threshold = false_alarms_per_day(per_day, np.ones(1, np.bool_))
    began, ended, was = [], [], False
    for second in range(len(views)):
        one = np.ones(1)
        step = SequentialStep(
            second + 1, 1, orders[second] * one, views[second] * one, 100 * orders[second] * one,
            np.array([second in frozen]),
        )  # fmt: skip
        followed.step(step, parameters, threshold)
        now = bool(followed.alarm[0])
        if now != was:
            (began if now else ended).append(second + 1)
            if to_alarm:
                break
        was = now
    return followed, began, ended


def even(rng: np.random.Generator, seconds: int, rate: float = 330.0) -> Floats:
    return rng.poisson(rate * np.repeat(rng.gamma(100, 0.01, seconds // 60 + 1), 60)[:seconds]).astype(np.float64)


def test_a_drop_of_a_fifth_is_detected_within_two_minutes() -> None:
    rng = np.random.default_rng(1)
    views = even(rng, WARM_S + 600)
    kept = np.ones(len(views))
    kept[WARM_S : WARM_S + 300] = 0.8
    followed, began, ended = played(views, orders_of(views, rng, kept))
    assert len(began) == 1
    assert WARM_S < began[0] <= WARM_S + 120
    assert WARM_S + 300 < ended[0] <= WARM_S + 480
    assert followed.since_s[0] == pytest.approx(WARM_S, abs=40)
    assert not followed.onset.any(), "its sums are not those of the next breach"
    assert not followed.before.any()


@pytest.mark.parametrize("kept", [0.5, 0.0])
def test_a_young_alarm_reports_the_change_since_its_start(kept: float) -> None:
    estimated, before = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        views = even(rng, WARM_S + 300)
        share = np.where(np.arange(len(views)) < WARM_S, 1.0, kept)
        orders = orders_of(views, rng, share)
        followed, _, _ = played(views, orders, to_alarm=True)
        counted, expected, inputs = followed.sums_for_size(0)[[WindowPart.COUNT, WindowPart.USUAL, WindowPart.INPUT]]
        estimated.append(counted / expected)
        before.append(float(followed.change()[0]))
        assert expected == pytest.approx(followed.level[0] * inputs, rel=0.01)
    assert np.mean(estimated) == pytest.approx(kept, abs=0.1)
    assert abs(np.mean(estimated) - kept) < abs(np.mean(before) - kept)


def test_a_long_alarm_reports_the_recent_change() -> None:
    rng = np.random.default_rng(1)
    views = even(rng, WARM_S + 600)
    kept = np.where(np.arange(len(views)) < WARM_S, 1.0, np.where(np.arange(len(views)) < WARM_S + 400, 0.2, 0.6))
    followed, began, ended = played(views, orders_of(views, rng, kept))
    counted, expected = followed.sums_for_size(0)[[WindowPart.COUNT, WindowPart.USUAL]]
    assert (len(began), ended) == (1, [])
    assert counted / expected == pytest.approx(0.6, abs=0.1)


def explained_after(kept: Floats, at: int, from_s: float) -> tuple[SequentialState, list[int]]:
    """A sale in which everything from one second to another is explained: (state, later alarms)."""
    rng = np.random.default_rng(4)
    views = even(rng, len(kept))
    orders = orders_of(views, rng, kept)
    followed, _, _ = played(views[:at], orders[:at])
    followed.discard_since(np.ones(1, np.bool_), from_s)
    threshold, one, began = false_alarms_per_day(0.1, np.ones(1, np.bool_)), np.ones(1), []
    for second in range(at, len(views)):
        was = bool(followed.alarm[0])
        step = SequentialStep(
            second + 1, 1, orders[second] * one, views[second] * one, 0 * one, np.zeros(1, np.bool_)
        )  # fmt: skip
        followed.step(step, DROP, threshold)
        if followed.alarm[0] and not was:
            began.append(second + 1)
    return followed, began


STOP = slice(WARM_S, WARM_S + 60)


def test_explained_evidence_is_discarded_after_the_incident() -> None:
    kept = np.ones(WARM_S + 600)
    kept[STOP] = 0.0
    followed, began = explained_after(kept, WARM_S + 60, WARM_S)
    assert began == []
    assert followed.baseline.level()[0] == pytest.approx(P, rel=0.05), "nor is it learned from"


def test_a_change_after_the_incident_is_new_evidence() -> None:
    kept = np.ones(WARM_S + 600)
    kept[WARM_S:] = 0.5
    kept[STOP] = 0.0
    followed, (began, *_) = explained_after(kept, WARM_S + 60, WARM_S)
    assert WARM_S + 60 < began <= WARM_S + 90
    assert followed.since_s[0] == pytest.approx(WARM_S + 60, abs=5)


def test_a_change_well_before_the_incident_is_not_explained() -> None:
    kept = np.ones(WARM_S + 200)
    kept[WARM_S - 100 :] = 0.5
    kept[STOP] = 0.0
    followed, _ = explained_after(kept, WARM_S + 60, WARM_S)
    assert followed.alarm[0]


def test_an_opening_is_no_drop() -> None:
    """Views rise sixfold within a second and decay; orders follow. Conversion is constant."""
    rng = np.random.default_rng(2)
    seconds = np.arange(1800)
    surge = 100 * (1.2 + 4.8 * np.exp(-seconds / 1200))
    views = np.concatenate((even(rng, WARM_S, 100.0), rng.poisson(surge).astype(np.float64)))
    assert played(views, orders_of(views, rng))[1] == []


def test_a_drop_in_traffic_is_no_drop_in_conversion() -> None:
    rng = np.random.default_rng(3)
    views = np.concatenate((even(rng, WARM_S), even(rng, 900, 60.0)))
    assert played(views, orders_of(views, rng))[1] == []


def test_a_change_below_the_least_effect_does_not_alarm() -> None:
    rng = np.random.default_rng(4)
    views = even(rng, WARM_S + 1200)
    kept = np.ones(len(views))
    kept[WARM_S:] = 0.97
    assert played(views, orders_of(views, rng, kept))[1] == []


def test_unreliable_data_are_tested_but_not_learned_from() -> None:
    rng = np.random.default_rng(5)
    views = even(rng, WARM_S + 600)
    kept = np.ones(len(views))
    kept[WARM_S : WARM_S + 240] = 0.0
    followed, began, _ = played(views, orders_of(views, rng, kept), frozen=range(WARM_S, WARM_S + 250))
    assert len(began) == 1, "correlation decides whether the fault accounts for it"
    assert followed.level[0] == pytest.approx(P, rel=0.03)


def test_a_rise_of_failures_is_detected() -> None:
    rng = np.random.default_rng(6)
    tries = np.full(WARM_S + 200, 17.0)
    rate = np.where(np.arange(len(tries)) < WARM_S, 0.07, 0.2)
    followed = SequentialState.of(0)
    followed.fit(1)
    threshold = false_alarms_per_day(0.1, np.ones(1, np.bool_))
    began = 0
    for second, failed in enumerate(rng.binomial(17, rate).tolist()):
        one = np.ones(1)
        step = SequentialStep(second + 1, 1, failed * one, tries[second] * one, 0 * one, np.zeros(1, np.bool_))
        followed.step(step, RISE, threshold)
        if followed.alarm[0] and not began:
            began = second + 1
    assert WARM_S < began <= WARM_S + 40


def test_a_lasting_level_becomes_the_usual_one() -> None:
    rng = np.random.default_rng(7)
    seconds = WARM_S + int(NEW_NORMAL_S) + 900
    views = np.full(seconds, 330.0)
    kept = np.ones(seconds)
    kept[WARM_S:] = 0.6
    followed, began, ended = played(views, orders_of(views, rng, kept))
    assert len(began) == len(ended) == 1
    assert ended[0] - began[0] >= NEW_NORMAL_S
    assert followed.level[0] == pytest.approx(0.6 * P, rel=0.1)
