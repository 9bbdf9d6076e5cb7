"""A promotion's cumulative net GMV over its own time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Cumulative net GMV at some times, linearly interpolated, starting at 0."""

    minutes: Floats
    """Since the promotion's start, ascending, from 0."""
    until: Floats
    """# [time]: cumulative net GMV, minor units; falls where refunds exceed sales"""
    length: float
    """Minutes from the promotion's start to its end."""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]], length: float) -> Self:
        """From (minutes since the start, cumulative net GMV), ascending; raises ValueError for invalid curves."""
        held = np.array([(0.0, 0.0), *points], dtype=np.float64)
        if len(held) > 1 and held[1, 0] == 0:
            held = held[1:]
        if not length > 0 or (np.diff(held[:, 0]) <= 0).any() or held[-1, 0] > length + 1e-9:
            raise ValueError("minutes of a curve must ascend from 0 to at most its length, which must be positive")
        return cls(held[:, 0], held[:, 1], float(length))

    @property
    def elapsed(self) -> float:
        """Share of the length at the last time, 0 to 1."""
        return float(self.minutes[-1]) / self.length

    @property
    def last(self) -> float:
        """Net GMV at the last time; the final one of a complete curve."""
        return float(self.until[-1])

    def at(self, shares: Floats) -> Floats:
        """Net GMV at these shares (0 to 1) of the length."""
        found: Floats = np.interp(shares * self.length, self.minutes, self.until)
        return found

    def sold(self, edges: Floats) -> Floats:
        """Net GMV between edges, which are shares of the length."""
        cells: Floats = np.diff(self.at(edges))
        return cells


HOURS = (
    *(3.5, 2.5, 2.0, 1.7, 1.6, 1.8, 2.4, 3.4, 4.5, 5.6, 6.4, 6.6),
    *(6.6, 6.3, 6.2, 6.2, 6.1, 5.9, 6.0, 6.6, 7.4, 7.9, 7.2, 5.4),
)
"""Relative sales in each local hour: lowest at 4, peaks at noon and at 21 (5 times as high), typical for shops of
one time zone. A rough assumption, see `forecast.DAY_SHAPE_PRIOR`."""
_STEP_MINUTES = 10.0


def day_curve(length: float, hour_at: Callable[[float], float]) -> Curve:
    """Expected sales of a promotion of `length` minutes on an ordinary day.

    `hour_at`: local hour of the day (0 to 24, fractional) at a number of minutes after the start.
    """
    steps = max(96, int(length / _STEP_MINUTES))
    minutes = np.linspace(0.0, length, steps + 1)
    hours = np.array([hour_at(minute) for minute in (minutes[1:] + minutes[:-1]) / 2]) % 24.0
    middles = np.arange(24) + 0.5
    rates = np.interp(hours, middles, np.array(HOURS), period=24.0)
    return Curve.of(zip(minutes[1:].tolist(), np.cumsum(rates).tolist(), strict=True), length)
