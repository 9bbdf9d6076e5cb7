"""The shapes of calm days: each has something that is not an incident.

Pages are false, except warnings of lateness on `late_producer` and `slow_payments`, and the SKUs of `tight_stock`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.bench.study.shop import PRE_S, WARM_S, Course, Floats, ornstein_uhlenbeck

OPENS_SHARE = 1 / 3
"""Openings are after this share of the sale."""
_FIRST_MIN = (PRE_S + WARM_S) // 60
"""Minute in which the sale begins."""


def shaped(shape: str, hours: float, rng: np.random.Generator) -> Course:
    """The course of a day of this shape."""
    course = Course.usual(_FIRST_MIN + round(hours * 60) + 1, rng)
    SHAPES[shape](course, hours, rng)
    return course


def _plain(course: Course, hours: float, rng: np.random.Generator) -> None:
    pass


def _overdispersed(course: Course, hours: float, rng: np.random.Generator) -> None:
    course.branching, course.gamma_cv, course.group_cv = 0.7, 0.15, 0.15


def _live_pulses(course: Course, hours: float, rng: np.random.Generator) -> None:
    """For a quarter of each hour the live channel has five times its visitors; they buy half as much again."""
    for first in range(_FIRST_MIN - 40, course.minutes, 60):
        many = course.channel[first : first + 15, 3] * 5
        course.channel[first : first + 15, 3] = many
        course.visits[first : first + 15] *= course.channel[first : first + 15].sum(axis=1)
    course.channel /= course.channel.sum(axis=1, keepdims=True)


def _mild_opening(course: Course, hours: float, rng: np.random.Generator) -> None:
    course.opens_s = _opens_s(hours)
    course.visits *= 1 + 1.5 * _burst(course.minutes, course.opens_s, 40.0)


def _compressed_opening(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Carts are filled in the hour before; at the opening eight times the visitors, and they are quick for an hour."""
    course.opens_s = _opens_s(hours)
    burst = _burst(course.minutes, course.opens_s, 8.0) + 0.15 * _burst(course.minutes, course.opens_s, 90.0)
    course.visits *= 1 + 7 * burst
    at = int(course.opens_s // 60)
    course.cart[at - 60 : at] *= 1.5
    course.haste[at : at + 60] = 0.4
    course.deferred = course.opens_s - 3600, course.opens_s, 0.5


def _drift(sd: float, hours_a_cycle: float) -> Callable[[Course, float, np.random.Generator], None]:
    """Conversion wanders in a sine, half in carts and half in checkouts."""

    def shape(course: Course, hours: float, rng: np.random.Generator) -> None:
        cycle = np.sin(2 * np.pi * np.arange(course.minutes) / 60 / hours_a_cycle + rng.uniform(0, 2 * np.pi))
        _convert(course, 1 + sd * cycle)

    return shape


def _ou_10(course: Course, hours: float, rng: np.random.Generator) -> None:
    _convert(course, np.exp(ornstein_uhlenbeck(course.minutes, 0.10, 30.0, rng)[:, 0]))


def _flash_crowds(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Four times the visits for a quarter of an hour each two hours, by no more buyers."""
    for first in range(_FIRST_MIN + 30, course.minutes, 120):
        course.idle[first : first + 15] += 3.0


def _viral_post(course: Course, hours: float, rng: np.random.Generator) -> None:
    """A post brings people to one category in the app; few of them buy."""
    for first in range(_FIRST_MIN + 50, course.minutes, 150):
        course.idle[:, 0, 4] += 12.0 * _swell(course.minutes, first, 5.0, 25.0)


def _hot_product(course: Course, hours: float, rng: np.random.Generator) -> None:
    """A product is looked at in all channels: its category has seven times its views, and sells as before."""
    for first in range(_FIRST_MIN + 55, course.minutes, 140):
        course.idle[:, :, 2] += 6.0 * _swell(course.minutes, first, 3.0, 20.0)[:, None]


def _crawler(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Views + 60 % for 40 min, all of them on the web."""
    for first in range(_FIRST_MIN + 45, course.minutes, 120):
        course.idle[first : first + 40, 2] += 0.6 / course.channel[first : first + 40, 2, None]


def _scalpers(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Checkouts + 50 % for half an hour, without orders."""
    for first in range(_FIRST_MIN + 35, course.minutes, 120):
        course.bots[first : first + 30] = 0.5


def _coupon_hours(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Carts × 1.6 for ten minutes from each full hour on, with the same orders."""
    for first in range(_FIRST_MIN - 60, course.minutes, 60):
        course.cart[first : first + 10] *= 1.6
        course.checkout[first : first + 10] /= 1.6


def _lull(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Half an hour before the opening, carts are filled, and three in four wait for it."""
    course.opens_s = _opens_s(hours)
    course.visits *= 1 + _burst(course.minutes, course.opens_s, 30.0)
    course.deferred = course.opens_s - 1800, course.opens_s, 0.75


def _rotating_categories(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Another category is on the front page each half hour, with four times its views."""
    order = rng.permutation(course.category.shape[1])
    for place, first in enumerate(range(_FIRST_MIN - 60, course.minutes, 30)):
        course.category[first : first + 30, order[place % len(order)]] *= 4
    course.category /= course.category.sum(axis=1, keepdims=True)


def _late_producer(course: Course, hours: float, rng: np.random.Generator) -> None:
    """One of two producers of orders is 40 s late for 40 min."""
    course.producers = 2
    first_s = 60.0 * (_FIRST_MIN + 60)
    course.late = first_s, first_s + 2400, 40.0


def _slow_payments(course: Course, hours: float, rng: np.random.Generator) -> None:
    """Payments take three minutes longer for an hour and a half; all are paid."""
    first = _FIRST_MIN + 60
    course.pay_delay_s[first : first + 90] = 180


def _unpaid_cancelled(course: Course, hours: float, rng: np.random.Generator) -> None:
    """A mild opening, and 30 min after it the unpaid orders of its first ten minutes are cancelled together."""
    _mild_opening(course, hours, rng)
    assert course.opens_s is not None
    course.batch_cancel = course.opens_s, course.opens_s + 600, course.opens_s + 1800


def _tight_stock(course: Course, hours: float, rng: np.random.Generator) -> None:
    course.tight_stock = True


def _opens_s(hours: float) -> float:
    return 60.0 * (_FIRST_MIN + round(hours * 60 * OPENS_SHARE))


def _burst(minutes: int, at_s: float, half_life_min: float) -> Floats:
    """1 at a moment, and half of it after each half-life."""
    age = np.arange(minutes) - at_s / 60
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life_min), 0.0)


def _swell(minutes: int, first: int, rise_min: float, half_life_min: float) -> Floats:
    age = np.arange(minutes) - first
    fall = 0.5 ** (np.maximum(age - rise_min, 0) / half_life_min)
    return np.where(age >= 0, np.minimum(age / rise_min, 1.0) * fall, 0.0)


def _convert(course: Course, factor: Floats) -> None:
    course.cart *= np.sqrt(factor)
    course.checkout *= np.sqrt(factor)


SHAPES: dict[str, Callable[[Course, float, np.random.Generator], None]] = {
    "plain": _plain,
    "overdispersed": _overdispersed,
    "live_pulses": _live_pulses,
    "mild_opening": _mild_opening,
    "compressed_opening": _compressed_opening,
    "drift_10": _drift(0.10, 3.0),
    "drift_20_6h": _drift(0.20, 6.0),
    "drift_20_3h": _drift(0.20, 3.0),
    "flash_crowds": _flash_crowds,
    "viral_post": _viral_post,
    "hot_product": _hot_product,
    "crawler": _crawler,
    "scalpers": _scalpers,
    "coupon_hours": _coupon_hours,
    "lull": _lull,
    "rotating_categories": _rotating_categories,
    "ou_10": _ou_10,
    "late_producer": _late_producer,
    "slow_payments": _slow_payments,
    "unpaid_cancelled": _unpaid_cancelled,
    "tight_stock": _tight_stock,
}
