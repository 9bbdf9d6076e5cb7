"""A promotion's net GMV so far, on its own clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Net GMV until each of some moments; straight lines between them, and from nothing at the start."""

    minutes: Floats
    """Since the promotion's start, ascending, from 0."""
    until: Floats
    """# [moment]: net GMV until then, minor units; it may go down, where more is refunded than sold"""
    length: float
    """Minutes from the promotion's start to its end."""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]], length: float) -> Self:
        """From (minutes since the start, net GMV until then), ascending; ValueError for what is no such curve."""
        held = np.array([(0.0, 0.0), *points], dtype=np.float64)
        if len(held) > 1 and held[1, 0] == 0:
            held = held[1:]
        if not length > 0 or (np.diff(held[:, 0]) <= 0).any() or held[-1, 0] > length + 1e-9:
            raise ValueError("a curve's minutes ascend from 0 to no more than its length, which is more than 0")
        return cls(held[:, 0], held[:, 1], float(length))

    @property
    def elapsed(self) -> float:
        """How much of the length is over at its last moment, 0 to 1."""
        return float(self.minutes[-1]) / self.length

    @property
    def last(self) -> float:
        """Net GMV at its last moment; the final one of a whole curve."""
        return float(self.until[-1])

    def at(self, shares: Floats) -> Floats:
        """Net GMV when these shares (0 to 1) of the length are over."""
        found: Floats = np.interp(shares * self.length, self.minutes, self.until)
        return found

    def sold(self, edges: Floats) -> Floats:
        """Net GMV in the cells between edges, which are shares of the length."""
        cells: Floats = np.diff(self.at(edges))
        return cells


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
