"""Expected number of waiting orders that become overdue if shipping continues at its present rate.

Waiting orders are taken to be shipped at a constant hazard h: in a short time dt with probability h dt, whatever their
age. Its estimate is that of exponential survival with censored observations, *endings over total time at risk*
(Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2nd ed. 2002, chapter 3): endings of waiting
in the last hours over the order-hours waited meanwhile. An order that falls due in t hours still waits then with
probability exp(-h t), so the expected number of breaches is the sum of that over the orders. Orders are taken to be
independent: the variance is that of the Poisson binomial distribution, sum of p (1 - p).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

Z_90 = 1.6449
"""Normal quantile of 95 %: a two-sided interval of 90 %."""


@dataclass(frozen=True, slots=True)
class ExpectedBreaches:
    """Expected breaches in one future span."""

    start_s: int
    end_s: int
    falling_due: int
    """Orders that wait now and fall due in it."""
    expected: float
    """Expected number of them not shipped by then."""
    low: float
    high: float
    """Upper end of the interval that holds the number in nine of ten cases, if the hazard stays constant."""


def hazard(endings: int, waiting_before: int, waiting_now: int, hours: float) -> float:
    """Hazard per hour: endings in the last `hours` over the order-hours at risk.

    The number of waiting orders is interpolated linearly. 0 if nothing waited.
    """
    at_risk = (waiting_before + waiting_now) / 2 * hours
    return endings / at_risk if at_risk > 0 else 0.0


def breaches(
    due: Sequence[tuple[int, int]], *, as_of_s: int, hazard_h: float, hours: int, step_h: int = 1
) -> list[ExpectedBreaches]:
    """Expected breaches in each of the next spans of `step_h` hours.

    `due`: (due time in seconds, number of waiting orders), in any order; items before the as-of or beyond the last span
    are ignored.
    """
    spans = []
    for step in range(0, hours, step_h):
        start_s, end_s = as_of_s + step * 3600, as_of_s + min(hours, step + step_h) * 3600
        falling = [(due_s, count) for due_s, count in due if start_s <= due_s < end_s]
        chances = [(exp(-hazard_h * (due_s - as_of_s) / 3600), count) for due_s, count in falling]
        expected = sum(chance * count for chance, count in chances)
        spread = Z_90 * sqrt(sum(chance * (1 - chance) * count for chance, count in chances))
        falling_due = sum(count for _, count in falling)
        low, high = max(0.0, expected - spread), min(float(falling_due), expected + spread)
        spans.append(ExpectedBreaches(start_s, end_s, falling_due, expected, low, high))
    return spans
