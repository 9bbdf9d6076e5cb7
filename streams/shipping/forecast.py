"""How many of the orders that wait will be overdue soon, should shipping go on as it does.

Each waiting order is taken to be shipped at a constant hazard: in any short time dt with chance h dt, whatever its age.
Its estimate is that of exponential survival with censored observations, *endings over total time at risk* (Kalbfleisch
and Prentice, The Statistical Analysis of Failure Time Data, 2nd ed. 2002, chapter 3): the endings of waiting seen in
the last hours over the order-hours that waited meanwhile. An order that falls due in t hours still waits then with
chance exp(-h t), so the breaches expected are the sum of that over the orders. For the spread, orders are taken to be
independent: the variance of the sum is that of unlike coins (Poisson binomial), sum of p (1 - p).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

Z_90 = 1.6449
"""Normal quantile of 95 %: a two-sided interval of 90 %."""


@dataclass(frozen=True, slots=True)
class ExpectedBreaches:
    """What is to be expected of one stretch of time ahead."""

    start_s: int
    end_s: int
    falling_due: int
    """Orders that wait now and fall due in it."""
    expected: float
    """How many of them will not have been shipped by then."""
    low: float
    high: float
    """An interval that holds it in nine cases of ten, if the hazard stays as it is."""


def hazard(endings: int, waiting_before: int, waiting_now: int, hours: float) -> float:
    """Chance of an order's waiting to end, an hour: endings in the last `hours`, over the order-hours at risk.

    The number that waits is taken to have moved in a straight line. 0 where nothing waited.
    """
    at_risk = (waiting_before + waiting_now) / 2 * hours
    return endings / at_risk if at_risk > 0 else 0.0


def breaches(
    due: Sequence[tuple[int, int]], *, as_of_s: int, hazard_h: float, hours: int, step_h: int = 1
) -> list[ExpectedBreaches]:
    """Expected breaches in each `step_h` hours ahead.

    `due`: (second at which they fall due, how many wait now), in any order; what is due before the as-of, or beyond
    the hours asked for, is passed over.
    """
    found = []
    for step in range(0, hours, step_h):
        start_s, end_s = as_of_s + step * 3600, as_of_s + min(hours, step + step_h) * 3600
        falling = [(due_s, count) for due_s, count in due if start_s <= due_s < end_s]
        chances = [(exp(-hazard_h * (due_s - as_of_s) / 3600), count) for due_s, count in falling]
        expected = sum(chance * count for chance, count in chances)
        spread = Z_90 * sqrt(sum(chance * (1 - chance) * count for chance, count in chances))
        whole = sum(count for _, count in falling)
        low, high = max(0.0, expected - spread), min(float(whole), expected + spread)
        found.append(ExpectedBreaches(start_s, end_s, whole, expected, low, high))
    return found
