"""A limit with hysteresis: a Schmitt trigger (O. H. Schmitt, Journal of Scientific Instruments 15, 1938).

It trips beyond the firing limit and releases only at the clear limit, so that a value near the limit does not flap.
"""

from __future__ import annotations

import numpy as np

from alerts.detectors.arrays import Bools, Floats


def breached_with_hysteresis(
    values: Floats, was: Bools, *, limit: float | Floats, clear: float | Floats, above: bool
) -> Bools:
    """Whether each is breached, given the previous condition, which NaN leaves unchanged. Limits: one for all, or by
    series."""
    sign = 1.0 if above else -1.0
    tripped = values * sign > limit * sign
    stays = was & (values * sign > clear * sign)
    answer: Bools = np.where(np.isnan(values), was, tripped | stays)
    return answer
