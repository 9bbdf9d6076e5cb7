"""A fixed limit with hysteresis: a Schmitt trigger (O. H. Schmitt, Journal of Scientific Instruments 15, 1938).

It trips beyond the limit and is released only beyond another, nearer to what is right, so that a number that hovers
about its limit does not flap.
"""

from __future__ import annotations

import numpy as np

from alerts.detectors.arrays import Bools, Floats


def breached_with_hysteresis(
    values: Floats, was: Bools, *, limit: float | Floats, clear: float | Floats, above: bool
) -> Bools:
    """Which are wrong now, given which were; where there is no number (NaN) it stays as it was. Limits: of all, or
    series by series."""
    sign = 1.0 if above else -1.0
    tripped = values * sign > limit * sign
    stays = was & (values * sign > clear * sign)
    answer: Bools = np.where(np.isnan(values), was, tripped | stays)
    return answer
