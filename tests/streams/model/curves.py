"""Synthetic curves: sales at a varying rate, as single orders or smooth."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from streams.model.target_forecast import Curve

MINUTES = 1440.0
STEPS = 288


def falling(share: float) -> float:
    """A strong opening that declines, and a small rise at the end."""
    return 1 + 4 * 0.02 ** (share * 2) + (1 if share > 0.9 else 0)


def smooth(rate: Callable[[float], float] = falling, *, scale: float = 1_000.0, until: float = 1.0) -> Curve:
    """Sales of `scale` times the rate in each step, deterministic, up to a share of the promotion."""
    total, points = 0.0, []
    for step in range(1, round(STEPS * until) + 1):
        total += scale * rate((step - 0.5) / STEPS)
        points.append((step * MINUTES / STEPS, total))
    return Curve.of(points, MINUTES)


def orders(rate: Callable[[float], float] = falling, *, count: float, seed: int, until: float = 1.0) -> Curve:
    """About `count` orders of random size."""
    chance = Random(seed)
    weight = sum(rate((step + 0.5) / STEPS) for step in range(STEPS))
    total, points = 0.0, []
    for step in range(1, STEPS + 1):
        mean = count * rate((step - 0.5) / STEPS) / weight
        total += sum(chance.lognormvariate(9, 0.8) for _ in range(_poisson(mean, chance)))
        points.append((step * MINUTES / STEPS, total))
    return Curve.of(points[: round(STEPS * until)], MINUTES)


def _poisson(mean: float, chance: Random) -> int:
    """Number of arrivals, drawn one after the other."""
    number, at = 0, chance.expovariate(1.0)
    while at < mean:
        number, at = number + 1, at + chance.expovariate(1.0)
    return number
