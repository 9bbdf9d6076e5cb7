"""Falls of the whole shop that only a shift of its mix explains."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.statistics.arrays import Floats
from alerts.statistics.mix import is_shift_of_mix
from alerts.statistics.steps import PARTS, WindowPart

CHANNELS, CATEGORIES = np.array([1, 2]), np.array([3, 4])
LEVEL = np.array([0.10, 0.10, 0.10, 0.15, 0.05])
INPUTS = np.array([1000.0, 600.0, 400.0, 500.0, 500.0])


def window(inputs: Floats, rates: Floats) -> Floats:
    sums = np.zeros((5, PARTS))
    sums[:, WindowPart.INPUT], sums[:, WindowPart.COUNT] = inputs, inputs * rates
    sums[:, WindowPart.USUAL] = LEVEL * inputs
    return sums


def test_views_that_shift_to_a_category_with_fewer_orders_explain_a_fall() -> None:
    sums = window(np.array([1000.0, 600, 400, 200, 800]), np.array([0.07, 0.07, 0.07, 0.15, 0.05]))
    assert is_shift_of_mix(sums, LEVEL, (CHANNELS, CATEGORIES))
    assert not is_shift_of_mix(sums, LEVEL, (CHANNELS,)), "channels do not show it"


@pytest.mark.parametrize(
    "kept",
    [(0.7, 0.7, 0.7, 0.7, 0.7), (0.7, 0.5, 1.0, 0.7, 0.7), (0.7, 0.7, 0.7, 0.6, 1.0)],
    ids=["everywhere", "a channel", "a category"],
)
def test_losses_are_no_shift(kept: tuple[float, ...]) -> None:
    assert not is_shift_of_mix(window(INPUTS, LEVEL * kept), LEVEL, (CHANNELS, CATEGORIES))


def test_a_loss_beside_a_shift_is_no_shift() -> None:
    sums = window(np.array([1000.0, 600, 400, 400, 600]), 0.7 * np.array([0.09, 0.09, 0.09, 0.15, 0.05]))
    assert not is_shift_of_mix(sums, LEVEL, (CHANNELS, CATEGORIES))


@pytest.mark.parametrize("rates", [1.1 * LEVEL, LEVEL, 0 * LEVEL], ids=["more", "the usual", "none"])
def test_only_a_fall_of_the_whole_that_its_parts_lack_less_of_is_a_shift(rates: Floats) -> None:
    assert not is_shift_of_mix(window(INPUTS, rates), LEVEL, (CHANNELS, CATEGORIES))


def test_an_empty_window_or_no_dimension_is_no_shift() -> None:
    assert not is_shift_of_mix(window(0 * INPUTS, LEVEL), LEVEL, (CHANNELS, CATEGORIES))
    assert not is_shift_of_mix(window(INPUTS, 0.7 * LEVEL), LEVEL, ())


def test_parts_whose_level_was_unknown_in_the_window_explain_nothing() -> None:
    sums = window(INPUTS, 0.7 * LEVEL)
    sums[1:, WindowPart.USUAL] = 0.0
    assert not is_shift_of_mix(sums, LEVEL, (CHANNELS, CATEGORIES))


def test_parts_without_a_level_explain_nothing() -> None:
    level = LEVEL.copy()
    level[4] = 0.0
    sums = window(np.array([1000.0, 600, 400, 200, 800]), np.array([0.07, 0.07, 0.07, 0.15, 0.05]))
    assert not is_shift_of_mix(sums, level, (CATEGORIES,))
