"""Limits: fixed ones with hysteresis, and deviations from the values of comparable times.

A fixed limit is a Schmitt trigger (O. H. Schmitt, Journal of Scientific Instruments 15, 1938): it trips beyond the
firing limit and releases only at the clear limit, so that a value near the limit does not flap.

The reference of comparable times is their median; the spread is their median absolute deviation times 1.4826, which
equals the standard deviation for normal numbers (Hampel, Journal of the American Statistical Association 69, 1974):
unknown outages in half of the past do no harm. Known ones are excluded. With a single comparable time, the spread is
unknown and only the share counts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, Ints, ratio, resized

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
    """Whether each series changed by more than the share `by` and than `spreads` standard deviations.

    NaN leaves the condition unchanged.
    """
    sign = 1.0 if rise else -1.0
    deviation = sign * (ratio(values, baseline.middle) - 1)
    far = sign * (values - baseline.middle) > spreads * baseline.spread
    tripped = (deviation > by) & far
    stays = was & (deviation > clear_by)
    result: Bools = np.where(np.isnan(deviation), was, tripped | stays)
    return result


def breached_with_hysteresis(
    values: Floats, was: Bools, *, limit: float | Floats, clear: float | Floats, above: bool
) -> Bools:
    """Whether each series is breached, given its previous condition `was`, which NaN leaves unchanged.

    `limit` and `clear` are one number for all series, or one for each.
    """
    sign = 1.0 if above else -1.0
    tripped = values * sign > limit * sign
    stays = was & (values * sign > clear * sign)
    result: Bools = np.where(np.isnan(values), was, tripped | stays)
    return result


WEEKS = 4
MIN_WEEKS = 3
"""Minimum number of known weeks: with fewer, one outlier would count too much."""
BUCKET_S = 4 * 3600
_STRETCHES = 7 * 86_400 // BUCKET_S
_KEPT = 1 + WEEKS * _STRETCHES


@dataclass(slots=True)
class WeeklyHistory:
    """The values of the last weeks by hours of the week; the current hours are excluded from their own reference."""

    numbers: Floats = field(default_factory=lambda: np.zeros((0, _KEPT)))
    """# [series, bucket]: newest last; NaN if unknown"""
    newest: int = -1
    """The newest bucket, counted from the epoch."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.numbers = resized(self.numbers, size, np.nan)

    def remember(self, places: Ints, values: Floats, at_ms: int) -> None:
        """Record the current values of the series with these indexes; NaN: no value."""
        bucket = at_ms // (1000 * BUCKET_S)
        shift = _KEPT if self.newest < 0 else max(0, min(bucket - self.newest, _KEPT))
        if shift:
            self.numbers = np.roll(self.numbers, -shift, axis=1)
            self.numbers[:, _KEPT - shift :] = np.nan
            self.newest = bucket
        known = ~np.isnan(values)
        self.numbers[places[known], -1] = values[known]

    def usual(self, places: Ints) -> Floats:
        """The usual values at this time of the week; NaN with too few known weeks."""
        same_hours = self.numbers[places, :-1:_STRETCHES].T
        return usual(np.where((~np.isnan(same_hours)).sum(axis=0) >= MIN_WEEKS, same_hours, np.nan)).middle
