"""A promotion's net GMV so far, on its own clock."""

from __future__ import annotations

from collections.abc import Iterable
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
