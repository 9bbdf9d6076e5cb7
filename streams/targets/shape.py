"""The shape of a day, for a promotion that has no earlier one to go by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streams.targets.curve import Curve

HOURS = (
    *(3.5, 2.5, 2.0, 1.7, 1.6, 1.8, 2.4, 3.4, 4.5, 5.6, 6.4, 6.6),
    *(6.6, 6.3, 6.2, 6.2, 6.1, 5.9, 6.0, 6.6, 7.4, 7.9, 7.2, 5.4),
)
"""Sales in each local hour of a day, relative to each other: low at 4, peaks at noon and at 21 (5 times as high), as is
usual for shops that sell to one time zone. Assumed, and taken to be rough: see `forecast.OWN`."""
_STEP_MINUTES = 10.0


def day_curve(length: float, hour_at: Callable[[float], float]) -> Curve:
    """What a promotion of `length` minutes would sell if it went as any other day goes.

    `hour_at`: the local hour of the day (0 to 24, with its fraction) so many minutes after the start.
    """
    steps = max(96, int(length / _STEP_MINUTES))
    minutes = np.linspace(0.0, length, steps + 1)
    hours = np.array([hour_at(minute) for minute in (minutes[1:] + minutes[:-1]) / 2]) % 24.0
    middles = np.arange(24) + 0.5
    rates = np.interp(hours, middles, np.array(HOURS), period=24.0)
    return Curve.of(zip(minutes[1:].tolist(), np.cumsum(rates).tolist(), strict=True), length)
