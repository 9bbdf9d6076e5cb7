"""How soon a drop can be detected, by its size and by the rate of events: the evidence of its mean course.

t seconds after a drop to r, a window of T seconds has lost (1 - r) of t seconds of its expected events. The delay is
the least t at which such a window has enough evidence for its threshold (`evidence`), the least sample, and an estimate
of about the least effect, over all lengths T. It is about the median of the delays, for a steady level and the
dispersion that is given, and leaves out the test of own trends (`losses`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from alerts.statistics.arrays import Floats
from alerts.statistics.evidence import LENGTHS, LENGTHS_S, half_deviance, log_threshold
from alerts.statistics.sequential import LEAST_ESTIMATE
from alerts.statistics.steps import SequentialParameters

_STEP_S = 1.0


def thinned(success: float, lag_s: float) -> Floats:
    """Dispersion by window length of events that follow others with this probability, after about this time: Poisson's
    in windows much shorter than the lag, 1 - p in longer ones."""
    result: Floats = 1 - success * LENGTHS_S / (LENGTHS_S + lag_s)
    return result


def detection_s(
    rate: float, kept: float, *, dispersion: Floats, false_per_day: float, parameters: SequentialParameters
) -> float:
    """Seconds until a series of `rate` events a second that falls to the share `kept` is detected; infinite: never.

    `dispersion`: dispersion by window length. `false_per_day`: the budget of the series.
    """
    least = LEAST_ESTIMATE * parameters.least_effect
    thresholds = log_threshold(np.array([false_per_day]), np.arange(LENGTHS))[0]
    seconds = np.arange(_STEP_S, LENGTHS_S[-1] + _STEP_S, _STEP_S)
    mu = rate * LENGTHS_S[:, None]
    lost = (1 - kept) * rate * np.minimum(seconds, LENGTHS_S[:, None])
    evidence = half_deviance(
        mu - lost, np.broadcast_to(mu, lost.shape), np.broadcast_to(dispersion[:, None], lost.shape)
    )
    enough = (evidence >= thresholds[:, None]) & (mu >= parameters.least_sample) & (lost >= least * mu)
    reached = enough.any(axis=0)
    return float(seconds[reached.argmax()]) if reached.any() else math.inf


def power_lines(
    rates: Sequence[float],
    shares: Sequence[float],
    drops: Sequence[float],
    *,
    dispersion: Floats,
    per_day: tuple[float, float],
    parameters: SequentialParameters,
) -> Iterator[str]:
    """A table in Markdown: orders a minute of the shop and the share of a part by row, the size of a drop by column.

    `per_day`: budget of false alarms of the whole shop, and of each part.
    """
    yield f"| orders a minute | part | {' | '.join(f'-{drop:.0%}' for drop in drops)} |"
    yield f"| --: | --: |{' --: |' * len(drops)}"
    for rate in rates:
        for share in shares:
            budget = per_day[0] if share == 1 else per_day[1]
            delays = (
                detection_s(
                    rate * share / 60, 1 - drop, dispersion=dispersion, false_per_day=budget, parameters=parameters
                )
                for drop in drops
            )
            cells = " | ".join("never" if math.isinf(delay) else f"{delay:.0f} s" for delay in delays)
            yield f"| {rate:,.0f} | {'whole' if share == 1 else f'{share:.0%}'} | {cells} |"
