"""Delay correction: expected orders while views surge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.statistics.arrays import Floats
from alerts.statistics.delays import BLOCK_S, PLACES, Chain, Lag, kernel, moved, stages


def outputs(inputs: Floats, lag_s: float, dt_s: float = 1.0) -> Floats:
    """(step, place) of one series."""
    chain = Chain(stages(lag_s))
    chain.fit(1)
    return np.array([chain.step(np.array([rate]), dt_s)[0].copy() for rate in inputs])


@given(st.floats(0, 20_000), st.floats(-2, 2))
def test_moved_weights_add_up_to_one(lag_s: float, by: float) -> None:
    weights = kernel(lag_s)
    assert weights.sum() == pytest.approx(1)
    assert moved(weights, by).sum() == pytest.approx(1)
    assert (moved(weights, by) >= 0).all()


def test_even_traffic_stays_what_it_is_from_the_first_second_on() -> None:
    assert np.allclose(outputs(np.full(50, 7.0), 60), 7.0)


def test_input_leaves_the_chain_delayed() -> None:
    inputs = np.zeros(3000)
    inputs[500] = 100.0
    came = outputs(inputs, 60) @ kernel(60.0)
    assert came[:500].max() < 0.5
    mean = float((came[500:] * np.arange(2500)).sum() / came[500:].sum())
    assert mean == pytest.approx(60, rel=0.35)


@pytest.mark.parametrize("lag_s", [10, 90, 1800])
def test_the_length_of_the_steps_does_not_change_the_outputs(lag_s: float) -> None:
    """A backlog is evaluated in steps of 10 s, what follows in steps of 1 s: a lag that was learned in the one holds in
    the other."""
    rates, passed = np.random.default_rng(1).gamma(4, 1.0, 90), []
    for steps in (1, 10):
        chain = Chain(stages(lag_s), np.full((1, PLACES), 4.0), np.ones(PLACES))
        outputs = np.array([chain.step(np.array([rate]), 10 / steps)[0] for rate in np.repeat(rates, steps)])
        passed.append(outputs.reshape(90, steps, PLACES).mean(axis=1))
    assert np.allclose(*passed, rtol=1e-9)


@pytest.mark.parametrize(("true_s", "guess_s"), [(30.0, 90.0), (120.0, 40.0)])
def test_the_lag_is_learned_from_changing_traffic(true_s: float, guess_s: float) -> None:
    rng = np.random.default_rng(5)
    blocks, p = 600, 0.05
    views = np.repeat(300 * rng.gamma(40, 1 / 40, blocks * BLOCK_S // 60 + 1), 60)[: blocks * BLOCK_S]
    views = rng.poisson(views).astype(np.float64)
    spread = true_s * rng.gamma(3, 1 / 3, 4000)
    shape = np.histogram(spread, np.arange(0, 600))[0] / 4000
    orders = rng.poisson(p * np.convolve(views, shape)[: len(views)])
    passed = outputs(views, guess_s)
    lag = Lag.of(guess_s)
    for i in range(60, blocks):
        part = slice(i * BLOCK_S, (i + 1) * BLOCK_S)
        lag.add(float(orders[part].sum()), passed[part].sum(axis=0))
        if i % 6 == 0:
            lag.learn(1.0)
    risen = outputs(np.concatenate((np.zeros(3000), np.ones(600))), guess_s)
    for after_s in (true_s, 2 * true_s, 4 * true_s):
        share = float(lag.weights @ risen[2999 + int(after_s)])
        assert share == pytest.approx(shape[: int(after_s)].sum(), abs=0.2)
    assert lag.se < 0.3, "and it knows that it knows"


def test_at_an_opening_the_expected_orders_follow_the_views_slowly() -> None:
    """Views rise fivefold at once: a second later, the expected orders are still those of before."""
    views = np.concatenate((np.full(2000, 100.0), np.full(600, 500.0)))
    lag = Lag.of(90)
    passed = outputs(views, 90)
    at_once, _ = lag.delayed(passed[2001:2002])
    later, _ = lag.delayed(passed[2599:2600])
    assert at_once[0] < 115
    assert later[0] > 450


def test_the_uncertainty_is_zero_in_even_traffic() -> None:
    lag = Lag.of(60)
    even = np.full((1, PLACES), 10.0)
    assert lag.delayed(even)[1][0] == pytest.approx(0)
    rising = np.linspace(50, 10, PLACES)[None, :]
    assert lag.delayed(rising)[1][0] > 1
