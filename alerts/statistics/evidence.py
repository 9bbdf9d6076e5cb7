"""A sequential test, valid at any time: has the rate changed by at least the least effect?

Counts y are compared with their expectation mu. For each of a few sizes of change r (the true mean is r mu), the
likelihood ratio of a step is L = r^y exp(-mu (r - 1)) by the Poisson distribution. A success rate is tested by the
successes of a known number of trials.

- **Shiryaev-Roberts**: R <- (R + dt) L, summed over the sizes with weights of sum 1. Without a change, R - t is a
  martingale with mean 0 at any time, so the mean time until R first reaches A is at least A: with A in seconds, at most
  one false alarm in A seconds on average (Roberts, Technometrics 8, 1966; Pollak, Annals of Statistics 13, 1985). If
  the rate changed in the other direction, R falls and the same bound holds: R is an e-detector (Shin, Ramdas and
  Rinaldo, New England Journal of Statistics in Data Science 2, 2024), and it restarts by itself.
- **Delay**: after a change by r, log R grows by mu (r log r - r + 1) per second, so the mean delay is about log A over
  this, close to the minimum of all tests with as few false alarms (Lorden, Annals of Mathematical Statistics 42, 1971).
- **Estimated level**: for a level from a earlier counts, y is binomial given a + y, whatever the level is (Przyborowski
  and Wilenski, Biometrika 31, 1940). The likelihood ratio since the change is then r^y ((a + mu) / (a + r mu))^(a + y),
  less than with a known level; `unsure` is the difference.
- **Over-dispersion**: for counts with phi times the variance of Poisson's, log L is divided by phi (quasi-likelihood:
  McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, chapter 9). To second order in log r its mean is 1.
- **Start of the change**: for each size, the time of the last minimum of the sum of log L (Page's CUSUM, Biometrika 41,
  1954), which is the maximum-likelihood estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from alerts.statistics.arrays import Bools, Floats, Ints, resized

SIZES = 6
_EVEN = np.full(SIZES, 1 / SIZES)
_MOST, _LOG_MOST = 1e30, 69.0


@lru_cache(maxsize=64)
def sizes_of(least_effect: float, *, rise: bool) -> Floats:
    """The tested sizes r: from the least effect to a stop, or to ten times the least effect."""
    steps = np.arange(SIZES) / (SIZES - 1)
    most = 0.97
    least = least_effect if rise else min(least_effect, most)
    sizes: Floats = 1 + least * 10**steps if rise else 1 - least * (most / least) ** steps
    sizes.flags.writeable = False
    return sizes


def information(r: float) -> float:
    """Kullback-Leibler information per expected event if the true mean is r times it: r log r - r + 1."""
    return r * float(np.log(r)) - r + 1 if r > 0 else 1.0


def _table() -> Floats:
    return np.zeros((0, SIZES))


@dataclass(slots=True)
class Evidence:
    """The evidence against "no change". Arrays are [series, size]."""

    r: Floats = field(default_factory=_table)
    """R, seconds."""
    cusum: Floats = field(default_factory=_table)
    """Sum of log L since its last minimum."""
    since_s: Floats = field(default_factory=_table)
    """When the CUSUM was last 0."""
    seen: Floats = field(default_factory=_table)
    """Counted since then."""
    expected: Floats = field(default_factory=_table)
    """Expected since then."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.r, self.cusum, self.since_s = resized(self.r, size), resized(self.cusum, size), resized(self.since_s, size)
        self.seen, self.expected = resized(self.seen, size), resized(self.expected, size)

    def step(
        self, y: Floats, mu: Floats, *, sizes: Floats, phi: Floats, end_s: float, dt_s: float, weighs: Bools
    ) -> None:
        """Advance `dt_s` seconds up to `end_s`. Series without `weighs` are unchanged.

        `sizes`: (series, size) or (size). A zero expectation is no evidence.
        """
        weight = weighs / phi
        log_l = (y * weight)[:, None] * np.log(sizes) - (mu * weight)[:, None] * (sizes - 1)
        weighing = weighs[:, None]
        self.r += dt_s * weighing
        self.r *= np.exp(np.minimum(log_l, _LOG_MOST))
        np.minimum(self.r, _MOST, out=self.r)
        restarts = (self.cusum <= 0) & weighing
        np.copyto(self.since_s, end_s - dt_s, where=restarts)
        np.copyto(self.seen, 0.0, where=restarts)
        np.copyto(self.expected, 0.0, where=restarts)
        np.maximum(self.cusum, 0.0, out=self.cusum)
        self.cusum += log_l
        self.seen += (y * weighs)[:, None]
        self.expected += (mu * weighs)[:, None]

    def reset(self, which: Bools) -> None:
        """Reset series."""
        for array in (self.r, self.cusum, self.seen, self.expected):
            array[which] = 0.0

    def total(self) -> Floats:
        """Log of R over all sizes, seconds: (series)."""
        with np.errstate(divide="ignore"):
            result: Floats = np.log(self.r @ _EVEN)
        return result

    def unsure(self, sizes: Floats, best: Ints, usual: Floats, phi: Floats) -> Floats:
        """The part of the log evidence due to the uncertainty of a level from `usual` counts."""
        at = (np.arange(len(best)), best)
        y, mu, r = self.seen[at], self.expected[at], sizes[best]
        known = -mu * (r - 1)
        estimated = (usual + y) * np.log((usual + mu + 1e-9) / (usual + r * mu + 1e-9))
        result: Floats = np.maximum(known - estimated, 0.0) / phi
        return result

    def best(self) -> Ints:
        """The size with the most evidence: (series)."""
        result: Ints = self.cusum.argmax(axis=1)
        return result
