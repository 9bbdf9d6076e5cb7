"""Compare a number with its values at comparable times.

The reference is their median; the spread is their median absolute deviation times 1.4826, which equals the standard
deviation for normal numbers (Hampel, Journal of the American Statistical Association 69, 1974): unknown outages in half
of the past do no harm. Known ones are excluded. With a single comparable time, the spread is unknown and only the share
counts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from alerts.detectors.arrays import Bools, Floats, ratio

_NORMAL = 1.4826
_LEAST_FOR_SPREAD = 5


@dataclass(frozen=True, slots=True)
class ChangeBaseline:
    """The reference by series; NaN if unknown."""

    middle: Floats
    spread: Floats
    """Standard deviation; 0 if unknown."""


def usual(past: Floats) -> ChangeBaseline:
    """The reference of comparable times (time, series); NaN: unknown or excluded."""
    if not len(past):
        return ChangeBaseline(np.full(past.shape[1:], np.nan), np.zeros(past.shape[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # series without any value
        middle = np.nanmedian(past, axis=0)
        spread = _NORMAL * np.nanmedian(np.abs(past - middle), axis=0)
    known = (~np.isnan(past)).sum(axis=0) >= _LEAST_FOR_SPREAD
    return ChangeBaseline(middle, np.where(known, np.nan_to_num(spread), 0.0))


def changed(
    values: Floats, baseline: ChangeBaseline, was: Bools, *, by: float, clear_by: float, spreads: float, rise: bool
) -> Bools:
    """Whether each changed by more than the share and the number of spreads. NaN leaves the condition unchanged."""
    sign = 1.0 if rise else -1.0
    off = sign * (ratio(values, baseline.middle) - 1)
    far = sign * (values - baseline.middle) > spreads * baseline.spread
    tripped = (off > by) & far
    stays = was & (off > clear_by)
    answer: Bools = np.where(np.isnan(off), was, tripped | stays)
    return answer
