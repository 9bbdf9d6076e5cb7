"""The forecast of breaches follows the hazard, and its interval holds on a shop that ships as assumed."""

from __future__ import annotations

from random import Random

import pytest

from streams.shipping.forecast import breaches, hazard


def test_the_hazard_is_endings_over_order_hours() -> None:
    assert hazard(30, 100, 50, 4) == pytest.approx(0.1)
    assert hazard(0, 10, 10, 1) == 0
    assert hazard(5, 0, 0, 1) == 0


def test_without_shipping_all_orders_become_overdue() -> None:
    one, two = breaches([(1_000, 3), (3_600, 2), (7_200, 9), (-5, 9)], as_of_s=0, hazard_h=0, hours=2)
    assert (one.falling_due, one.expected, one.low, one.high) == (3, 3, 3, 3)
    assert (two.falling_due, two.expected, two.end_s) == (2, 2, 7_200)


def test_orders_due_later_are_likelier_to_be_shipped() -> None:
    (found,) = breaches([(0, 100), (36_000, 100)], as_of_s=0, hazard_h=0.1, hours=12, step_h=12)
    assert found.expected == pytest.approx(100 + 100 * 0.3679, abs=0.01)


def test_nine_of_ten_intervals_contain_the_actual_number() -> None:
    chance, hit, rounds = Random(7), 0, 400
    for _ in range(rounds):
        due = [(chance.randrange(12 * 3_600), 1) for _ in range(200)]
        (found,) = breaches(due, as_of_s=0, hazard_h=0.1, hours=12, step_h=12)
        late = sum(chance.expovariate(0.1) * 3_600 > due_s for due_s, _ in due)
        hit += found.low - 0.5 <= late <= found.high + 0.5
    assert 0.86 < hit / rounds < 0.96
