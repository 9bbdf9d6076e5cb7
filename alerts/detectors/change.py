"""A number against what it was at comparable times.

The baseline is the median of comparable times and its spread their median absolute deviation times 1.4826, which is the
standard deviation of normal numbers (Hampel, Journal of the American Statistical Association 69, 1974): half of the
past may be spoilt by outages nobody knows of. Those that are known are left out. Where there is one comparable time
alone, its spread is not known and only the share counts.
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
    """What is usual: arrays by series, NaN where nothing is known."""

    middle: Floats
    spread: Floats
    """Standard deviation; 0 where it is not known."""


def usual(past: Floats) -> ChangeBaseline:
    """Of comparable times, (time, series); NaN for what is not known or is to be left out."""
    if not len(past):
        return ChangeBaseline(np.full(past.shape[1:], np.nan), np.zeros(past.shape[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # series that were never there
        middle = np.nanmedian(past, axis=0)
        spread = _NORMAL * np.nanmedian(np.abs(past - middle), axis=0)
    known = (~np.isnan(past)).sum(axis=0) >= _LEAST_FOR_SPREAD
    return ChangeBaseline(middle, np.where(known, np.nan_to_num(spread), 0.0))


def changed(
    values: Floats, baseline: ChangeBaseline, was: Bools, *, by: float, clear_by: float, spreads: float, rise: bool
) -> Bools:
    """Which have changed too much: by more than the share, and by more than so many spreads. NaN stays as it was."""
    sign = 1.0 if rise else -1.0
    off = sign * (ratio(values, baseline.middle) - 1)
    far = sign * (values - baseline.middle) > spreads * baseline.spread
    tripped = (off > by) & far
    stays = was & (off > clear_by)
    answer: Bools = np.where(np.isnan(off), was, tripped | stays)
    return answer
