"""What a step of a sequential rule sums, and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from alerts.statistics.arrays import Bools, Floats, Ints


class WindowPart(IntEnum):
    """Sums of a time."""

    COUNT = 0
    EXPECTED = 1
    """By the reference level, on the side without a breach."""
    INPUT = 2
    """Delayed `per` events."""
    LOSS = 3
    """Events of the `loss` counter."""
    PER = 4
    USUAL = 5
    """Expected by the level of an hour."""
    SECONDS = 6


PARTS = len(WindowPart)


@dataclass(frozen=True, slots=True)
class SequentialParameters:
    """Parameters of a rule."""

    rise: bool
    least_effect: float
    least_sample: float
    least_baseline: float
    lag_s: float = 0.0
    """Configured mean delay from `per` to `count` events."""
    late_s: float = 0.0
    """Growth of the delay that is no alarm."""
    loss_lag_s: float = 0.0
    """Mean delay from `count` to `loss` events; 0: a fall of `count` alone shows a loss."""


@dataclass(frozen=True, slots=True)
class OpeningEffects:
    """What is different near the opening of a promotion or phase."""

    may_alarm: bool = True
    """False: breaches are notes."""
    is_around: bool = False
    """Whether what visitors do is not usual: they wait for an opening, or hurry after it."""
    is_after: bool = False
    """Whether visitors may still hurry after an opening: delays may return to their usual length at once."""
    needs_loss: bool = True
    """False: a fall of the ratio is enough, as the counts of before are no reference."""


@dataclass(frozen=True, slots=True)
class SequentialStep:
    """The events of `dt_s` seconds up to `end_s`: arrays by series."""

    end_s: int
    dt_s: int
    count: Floats
    per: Floats
    gmv: Floats
    frozen: Bools
    """Series with unreliable counters, which are tested, but not learned from."""
    loss: Floats | None = None
    """Events that are lost; None: `count`."""
    opening: OpeningEffects = OpeningEffects()
    dimensions: Sequence[Ints] = ()
    """The series of the values of each dimension, where series 0 is the whole shop."""
