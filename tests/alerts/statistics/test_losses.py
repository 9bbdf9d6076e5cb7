"""Breaches with and without a loss, their end, rare failures and batches of cancellations: a shop by second."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from alerts.statistics.arrays import Floats
from alerts.statistics.baseline import N_PARTS, MinutePart
from alerts.statistics.evidence import false_alarms_per_day
from alerts.statistics.losses import OwnTrends, has_fallen, is_followed, lacking_events, never_paid
from alerts.statistics.sequential import SequentialState
from alerts.statistics.steps import PARTS as WINDOW_PARTS
from alerts.statistics.steps import OpeningEffects, SequentialParameters, SequentialStep, WindowPart

DROP = SequentialParameters(rise=False, least_effect=0.1, least_sample=30, least_baseline=100)
CARTS = SequentialParameters(rise=False, least_effect=0.1, least_sample=30, least_baseline=100, loss_lag_s=60)
FAILURES = SequentialParameters(rise=True, least_effect=0.4, least_sample=10, least_baseline=100)
CANCELLATIONS = SequentialParameters(rise=True, least_effect=2.0, least_sample=10, least_baseline=50)
WARM_S = 3600


@dataclass
class Course:
    """What a test of one series found."""

    state: SequentialState
    began: list[int] = field(default_factory=list)
    """Seconds after the warm-up."""
    ended: list[int] = field(default_factory=list)
    noted: bool = False
    tracking: bool = False


def course(
    count: Floats,
    per: Floats,
    parameters: SequentialParameters,
    *,
    loss: Floats | None = None,
    lag_s: float = 0.0,
    coarse_s: int = WARM_S,
    may_alarm: bool = True,
    needs_loss: bool = True,
    needs_loss_until_s: float = math.inf,
    is_after_opening: bool = False,
) -> Course:
    """Steps of 10 s until `coarse_s`, then of 2 s."""
    found = Course(SequentialState.of(lag_s))
    found.state.fit(1)
    budget = false_alarms_per_day(0.05, np.ones(1, np.bool_))
    edges = [*range(0, coarse_s, 10), *range(coarse_s, len(count) + 1, 2)]
    was = False
    for start_s, end_s in pairwise(edges):
        at = slice(start_s, end_s)
        sums = [None if one is None else np.array([one[at].sum()]) for one in (count, per, loss)]
        assert sums[0] is not None
        assert sums[1] is not None
        step = SequentialStep(
            end_s,
            end_s - start_s,
            sums[0],
            sums[1],
            100 * sums[0],
            np.zeros(1, np.bool_),
            sums[2],
            opening=OpeningEffects(
                may_alarm=may_alarm,
                is_after=is_after_opening,
                needs_loss=needs_loss and end_s - WARM_S < needs_loss_until_s,
            ),
        )
        found.state.step(step, parameters, budget)
        found.noted |= bool(found.state.note[0])
        found.tracking |= bool(found.state.tracking[0])
        if bool(found.state.alarm[0]) != was:
            was = not was
            (found.began if was else found.ended).append(end_s - WARM_S)
    return found


def poisson(rng: np.random.Generator, mean: Floats | float, seconds: int) -> Floats:
    return rng.poisson(np.broadcast_to(mean, seconds)).astype(np.float64)


def during(seconds: int, first: int, last: int, factor: float) -> Floats:
    """1, and a factor in some seconds after the warm-up."""
    factors = np.ones(seconds)
    factors[WARM_S + first : WARM_S + last] = factor
    return factors


@pytest.mark.parametrize("more", [1.6, 4.0])
def test_more_views_without_more_orders_are_a_note(more: float) -> None:
    rng, seconds = np.random.default_rng(1), WARM_S + 3000
    found = course(poisson(rng, 16.7, seconds), poisson(rng, 500 * during(seconds, 300, 1500, more), seconds), DROP)
    assert found.noted
    assert found.began == []
    assert found.state.reference[0] == pytest.approx(16.7 / 500, rel=0.15), "as before: views are back to normal"


def test_more_views_are_an_alarm_where_own_trends_are_no_reference() -> None:
    rng, seconds = np.random.default_rng(1), WARM_S + 900
    orders, views = poisson(rng, 16.7, seconds), poisson(rng, 500 * during(seconds, 300, 900, 1.6), seconds)
    found = course(orders, views, DROP, needs_loss=False)
    assert len(found.began) == 1
    assert 300 < found.began[0] <= 330


def test_fewer_orders_while_visitors_wait_are_no_alarm() -> None:
    rng, seconds = np.random.default_rng(2), WARM_S + 900
    orders = poisson(rng, 16.7 * during(seconds, 300, 900, 0.5), seconds)
    found = course(orders, poisson(rng, 500, seconds), DROP, may_alarm=False)
    assert found.noted
    assert found.began == []


def test_missing_payments_are_an_alarm_once_they_are_more_than_may_be_late() -> None:
    """All are missing, for less and for more than the minute that a delay may grow by."""
    rng, seconds, parameters = np.random.default_rng(3), WARM_S + 900, replace(DROP, late_s=60.0)
    for lasts_s, alarms in ((50, 0), (300, 1)):
        orders = poisson(rng, 16.7, seconds)
        found = course(orders * during(seconds, 300, 300 + lasts_s, 0.0), orders, parameters)
        assert found.noted
        assert len(found.began) == alarms
    assert 360 <= found.began[0] <= 375


def test_a_larger_share_of_as_many_failures_is_no_alarm() -> None:
    """Half of the other payments are late, so that failures are 18 % in place of 10 %; then twice as many fail."""
    rng, seconds = np.random.default_rng(4), WARM_S + 900
    failed, paid = poisson(rng, 0.5, seconds), poisson(rng, 4.5, seconds)
    late = np.floor(paid * during(seconds, 300, 900, 0.5) + rng.uniform(0, 1, seconds) * (paid % 2 > 0))
    found = course(failed, failed + late, FAILURES)
    assert found.noted
    assert found.began == []
    more = poisson(rng, 0.5 * during(seconds, 300, 900, 2.0), seconds)
    assert len(course(more, more + paid, FAILURES).began) == 1


def test_fewer_orders_of_as_many_views_are_an_alarm() -> None:
    rng, seconds = np.random.default_rng(2), WARM_S + 900
    found = course(poisson(rng, 16.7 * during(seconds, 300, 900, 0.8), seconds), poisson(rng, 500, seconds), DROP)
    assert len(found.began) == 1
    assert 300 < found.began[0] <= 400


@pytest.mark.parametrize(("kept", "seed"), [(0.9, 3), (0.9, 4), (0.8, 5), (0.8, 6)])
def test_an_alarm_stays_open_to_the_end_and_closes_soon(kept: float, seed: int) -> None:
    """Orders are eight in ten of checkouts; fewer are for 12 min."""
    rng, seconds = np.random.default_rng(seed), WARM_S + 1500
    checkouts = poisson(rng, 21, seconds)
    share = 0.8 * during(seconds, 300, 1020, kept)
    found = course(rng.binomial(checkouts.astype(np.int64), share).astype(np.float64), checkouts, DROP)
    assert len(found.began) == 1
    assert 300 < found.began[0] <= 390
    assert len(found.ended) == 1
    assert 1020 <= found.ended[0] <= 1200


def test_a_rare_failure_that_becomes_frequent_is_an_alarm_soon() -> None:
    """8 % of 45 payments a minute fail, then 55 %."""
    rng, seconds = np.random.default_rng(7), WARM_S + 600
    tried = poisson(rng, 0.75, seconds)
    share = 0.08 * during(seconds, 300, 600, 55 / 8)
    found = course(rng.binomial(tried.astype(np.int64), share).astype(np.float64), tried, FAILURES)
    assert len(found.began) == 1
    assert 300 < found.began[0] <= 370


def carts_and_orders(lost: bool) -> tuple[Floats, Floats, Floats]:
    """(carts, views, orders): half of the carts are not counted, and if `lost`, half of the orders a minute later."""
    rng, seconds = np.random.default_rng(8), WARM_S + 900
    carts = poisson(rng, 50 * during(seconds, 300, 900, 0.5), seconds)
    orders = poisson(rng, 16.7 * (during(seconds, 360, 900, 0.5) if lost else 1.0), seconds)
    return carts, poisson(rng, 500, seconds), orders


def test_carts_are_lost_when_their_orders_are() -> None:
    carts, views, orders = carts_and_orders(lost=True)
    found = course(carts, views, CARTS, loss=orders)
    assert len(found.began) == 1
    assert 360 < found.began[0] <= 420
    assert not found.tracking


def test_carts_without_a_loss_of_orders_are_a_loss_of_tracking() -> None:
    carts, views, orders = carts_and_orders(lost=False)
    found = course(carts, views, CARTS, loss=orders)
    assert found.noted
    assert found.tracking
    assert found.began == []


def test_unpaid_orders_of_a_crowd_may_be_cancelled_together() -> None:
    rng, seconds = np.random.default_rng(9), WARM_S + 3 * 3600
    orders = poisson(rng, 16.7 * during(seconds, 3600, 4200, 6.0), seconds)
    cancelled = poisson(rng, 0.07 * 16.7, seconds)
    cancelled[WARM_S + 6000] += 0.07 * orders[WARM_S + 3600 : WARM_S + 4200].sum()
    assert course(cancelled, orders, CANCELLATIONS, lag_s=1800, coarse_s=WARM_S + 5900).began == []


def test_cancellations_beyond_those_of_a_batch_are_an_alarm() -> None:
    rng, seconds = np.random.default_rng(10), WARM_S + 3 * 3600
    orders = poisson(rng, 16.7, seconds)
    cancelled = poisson(rng, 0.07 * 16.7 * during(seconds, 6000, 8000, 6.0), seconds)
    found = course(cancelled, orders, CANCELLATIONS, lag_s=1800, coarse_s=WARM_S + 5900)
    assert len(found.began) >= 1
    assert 6000 < found.began[0] <= 6300


def test_carts_are_untracked_also_where_views_have_risen_a_little() -> None:
    carts, views, orders = carts_and_orders(lost=False)
    views[WARM_S + 300 :] *= 1.05
    found = course(carts, views, CARTS, loss=orders)
    assert found.tracking
    assert found.began == []


@pytest.mark.parametrize(("late", "alarms"), [(1.0, 1), (0.1, 0)])
def test_failures_that_chance_to_rise_while_other_payments_are_late_are_no_alarm(late: float, alarms: int) -> None:
    """Nearly twice as many payments fail; nine in ten of the others are late."""
    rng, seconds = np.random.default_rng(11), WARM_S + 450
    failed = poisson(rng, 0.5 * during(seconds, 300, 450, 1.8), seconds)
    paid = poisson(rng, 4.5 * during(seconds, 300, 450, late), seconds)
    assert len(course(failed, failed + paid, FAILURES).began) == alarms


def test_payments_that_catch_up_are_no_new_level() -> None:
    """For three minutes none comes, and some minutes later those come, too."""
    rng, seconds, parameters = np.random.default_rng(12), WARM_S + 1800, replace(DROP, late_s=60.0)
    orders = poisson(rng, 16.7, seconds)
    paid = orders * during(seconds, 300, 480, 0.0)
    paid[WARM_S + 900 : WARM_S + 1080] += orders[WARM_S + 300 : WARM_S + 480]
    found = course(paid, orders, parameters)
    assert len(found.began) == 1
    assert found.ended[0] <= 600
    assert found.state.level[0] == pytest.approx(1.0, abs=0.02)
    assert found.state.arrears.missing[0] <= 0.1 * orders[WARM_S + 300 : WARM_S + 480].sum()


def window_and_trends(dispersion: float) -> tuple[Floats, OwnTrends]:
    """15 % fewer in two minutes, while 10 % more have come: five standard errors of Poisson's counts."""
    before, window = np.zeros((1, N_PARTS)), np.zeros((1, WINDOW_PARTS))
    before[0, [MinutePart.COUNT, MinutePart.INPUT, MinutePart.PER]] = 10.0, 20.0, 20.0
    window[0, [WindowPart.COUNT, WindowPart.INPUT, WindowPart.PER]] = 1088.0, 2816.0, 2816.0
    window[0, WindowPart.SECONDS] = 128.0
    one = np.ones(1)
    return window, OwnTrends(before, 10 * one, one, np.full((1, 2), dispersion))


@pytest.mark.parametrize(("dispersion", "is_loss"), [(1.0, True), (5.0, False)])
def test_counts_that_come_in_clusters_need_a_larger_fall(dispersion: float, is_loss: bool) -> None:
    window, trends = window_and_trends(dispersion)
    assert bool(has_fallen(window, window, trends, 0.1)[0]) is is_loss


@pytest.mark.parametrize(("more", "is_loss"), [(1.1, True), (1.5, False)])
def test_a_note_that_began_with_a_crowd_needs_a_larger_fall(more: float, is_loss: bool) -> None:
    """Of the many parts in which a crowd is noted, and of the windows that it lasts, one falls as far by chance."""
    window, trends = window_and_trends(2.0)
    onset = window * 4
    onset[0, WindowPart.PER] *= more / 1.1
    assert bool(has_fallen(window, onset, trends, 0.1)[0]) is is_loss


@pytest.mark.parametrize(("minutes", "is_loss"), [(2, True), (30, False)])
def test_orders_that_dip_long_after_carts_fell_did_not_follow(minutes: int, is_loss: bool) -> None:
    """40 % fewer carts, and in half a minute 22 % fewer orders: 3.4 standard errors, in one of many half minutes."""
    before, window, latest = np.zeros((1, N_PARTS)), np.zeros((1, WINDOW_PARTS)), np.zeros((1, WINDOW_PARTS))
    before[0, [MinutePart.COUNT, MinutePart.PER, MinutePart.LOSS]] = 20.0, 100.0, 8.0
    window[0, [WindowPart.COUNT, WindowPart.PER, WindowPart.SECONDS]] = 12.0 * 128, 100.0 * 128, 128.0
    latest[0, [WindowPart.LOSS, WindowPart.SECONDS]] = 200.0, 32.0
    one = np.ones(1)
    trends = OwnTrends(before, 20 * one, one, np.ones((1, 2)))
    followed, _ = is_followed(window, latest, window, 60 * minutes * one, trends)
    assert bool(followed[0]) is is_loss


def test_a_note_that_is_over_becomes_no_alarm_when_an_opening_begins() -> None:
    """More views without more orders are a note, which takes its time to end; an opening needs no lost orders."""
    rng, seconds = np.random.default_rng(3), WARM_S + 1500
    count, per = poisson(rng, 0.6, seconds), poisson(rng, 18 * during(seconds, 300, 900, 1.8), seconds)
    assert course(count, per, DROP, needs_loss_until_s=850).began, "the latest minutes are as low"
    found = course(count, per, DROP, needs_loss_until_s=1050)
    assert found.noted
    assert found.began == []


def test_delays_that_return_to_usual_after_an_opening_are_no_loss() -> None:
    """Visitors stop to hurry: no orders for six seconds, and then all of them."""
    rng = np.random.default_rng(12)
    per = poisson(rng, 20.0, WARM_S + 600)
    count = poisson(rng, 16.0, WARM_S + 600)
    count[WARM_S + 100 : WARM_S + 106] = 0.0
    assert course(count, per, DROP, lag_s=15).began, "outside the time after an opening, it is a stop"
    assert not course(count, per, DROP, lag_s=15, is_after_opening=True).began


@pytest.mark.parametrize(("kept", "most_s"), [(0.2, 30), (0.5, 60), (0.8, 90)])
def test_losses_after_an_opening_are_reported(kept: float, most_s: int) -> None:
    rng = np.random.default_rng(13)
    per = poisson(rng, 20.0, WARM_S + 600)
    count = poisson(rng, 16.0 * during(WARM_S + 600, 100, 600, kept), WARM_S + 600)
    began = course(count, per, DROP, lag_s=15, is_after_opening=True).began
    assert len(began) == 1
    assert 100 < began[0] <= 100 + most_s


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_a_delay_that_returns_to_the_configured_lag_after_it_was_short_is_no_drop(rate: float) -> None:
    rng, seconds = np.random.default_rng(14), WARM_S + 600
    per = poisson(rng, rate, seconds)
    at = np.repeat(np.arange(seconds), per.astype(np.int64))
    delay_s = rng.exponential(np.where(at < WARM_S + 100, 4.0, 15.0))
    count = np.bincount(at + delay_s.astype(np.int64), minlength=seconds)[:seconds].astype(np.float64)
    found = course(count, per, replace(DROP, lag_s=15.0), lag_s=4.0, is_after_opening=True)
    assert found.noted
    assert found.began == []


def test_what_few_payments_lack_may_be_more_than_was_seen() -> None:
    """Of 30 expected payments, 25 came by chance in place of 15: that is no sign that others are made again."""

    def lacking(trend: float, counted: float, errors: float) -> float:
        return lacking_events(trend=trend, seconds=30.0, counted=counted, dispersion=1.0, errors=errors)

    assert lacking(1.0, 25.0, 0.0) == pytest.approx(5)
    assert 15 <= lacking(1.0, 25.0, 2.0) <= 18
    assert lacking(100.0, 2900.0, 2.0) == pytest.approx(100, abs=0.04 * 3000), "of many, by 4 % at most"
    assert lacking(1.0, 60.0, 2.0) == 0.0
    assert lacking(0.0, 0.0, 2.0) == 0.0


def test_of_failures_that_are_tried_again_the_rarer_ones_are_paid_in_the_end() -> None:
    assert never_paid(100, 100) == pytest.approx(1.0)
    assert never_paid(50, 100) == pytest.approx(0.4)
    assert never_paid(1, 100) == pytest.approx(0.25, abs=0.01)
    assert never_paid(0, 0) == pytest.approx(0.25), "without attempts, as in a calm shop"
