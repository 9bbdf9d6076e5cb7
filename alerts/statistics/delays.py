"""Delay correction: the expected number of events that follow others after a delay.

Orders follow views with a delay. If views rise suddenly, as at an opening, orders per view fall although nothing is
wrong. So the expectation uses *delayed* views: convolved with the distribution of the lag.

- **Lags** are mixtures of the outputs of a chain of leaky stages, each of which delays its input exponentially. Such
  phase-type distributions approximate any distribution (Neuts, Matrix-Geometric Solutions in Stochastic Models, 1981,
  chapter 2), and a chain needs one number per stage and series, however long the lags are. Mean delays double from 1 s
  on; for lags from 5 min on, the first eight stages are equal, which fits time-outs (Erlang).
- **The mixture** is learned from the sale: counts are Poisson with a mean that is the weighted sum of the stages'
  outputs. The weights are estimated by maximum likelihood with the multiplicative steps of EM (Shepp and Vardi, IEEE
  Transactions on Medical Imaging 1, 1982). Only changing traffic is informative; in even traffic the weights stay.
- **Uncertainty**: moving all lags by half a stage (a factor of 1.4) changes the expectation while traffic changes.
  Fisher's information about such a move gives its standard error, and so a band around the expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from alerts.statistics.arrays import Floats, resized

STAGES = 12
PLACES = STAGES + 1
"""Index 0 is the input of the chain, index j the output of stage j."""
_LONG_S = 300.0
_ALIKE = 8
BLOCK_S = 10
_BLOCKS = 720
_LEAST_BLOCKS = 60
_PENDING_BLOCKS = 18
"""The latest blocks are not used yet, because they may contain a breach."""
_PRIOR_EVENTS = 50.0
_PRIOR_SE = 0.5
_PRIOR_SE_LONG = 1.5
"""Prior standard error of the lag's position, in stages: a factor of about 1.4, and a quarter."""
_LEAST_SE = 0.2
_STEPS = 30
_SERIES = 16
"""Terms of the series of exp(x) for x up to 1/2: exact to double precision."""
_MINUTE_S, _LONGEST_S = 60.0, 86_400.0


def stages(lag_s: float) -> Floats:
    """The mean delay of each stage for lags of about this mean, seconds."""
    if lag_s < _LONG_S:
        return np.exp2(np.arange(STAGES, dtype=np.float64))
    doubling = np.exp2(np.arange(STAGES - _ALIKE, dtype=np.float64))
    return np.concatenate((np.full(_ALIKE, 1 / 6), doubling * 2 / 3)) * lag_s


@dataclass(slots=True)
class Chain:
    """The input delayed by 0 to 12 stages; events per second."""

    stage_s: Floats
    held: Floats = field(default_factory=lambda: np.zeros((0, PLACES)))
    """# [series, stage]: output of each stage, not yet divided by `known`"""
    known: Floats = field(default_factory=lambda: np.zeros(PLACES))
    """# [stage]: share of each output that comes from observed input, 0 to 1"""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.held = resized(self.held, size)

    def step(self, rate: Floats, dt_s: float) -> Floats:
        """Advance `dt_s` seconds with this input per second; return the mean outputs (series, stage).

        They do not depend on how time is divided into steps. The input before the start is assumed to equal the input
        since.
        """
        passage, mean = _passages(self.stage_s.tobytes(), dt_s)
        self.held[:, 0] = rate
        self.known[0] = 1.0
        result: Floats = (self.held @ mean) / (self.known @ mean)
        self.held, self.known = self.held @ passage, self.known @ passage
        return result

    def known_in_s(self, weights: Floats, least: float) -> float:
        """Time until this share of a lag with these weights comes from observed input, to the minute; 0: now."""
        known, (passage, _) = self.known.copy(), _passages(self.stage_s.tobytes(), _MINUTE_S)
        known[0] = 1.0
        seconds = 0.0
        while float(known @ weights) < least and seconds < _LONGEST_S:
            known = known @ passage
            seconds += _MINUTE_S
        return seconds


@lru_cache(maxsize=64)
def _passages(stage_s: bytes, dt_s: float) -> tuple[Floats, Floats]:
    """The matrices (stage before, stage) of `dt_s` seconds with even input, for the outputs at their end and for the
    means of the outputs. `stage_s`: mean delays of the stages, float64.

    The outputs x follow x' = x A, so these are exp(A t) and its mean: series for a short time, which is then doubled
    (Moler and Van Loan, SIAM Review 45, 2003, method 3).
    """
    rates = 1 / np.frombuffer(stage_s)
    doublings = max(0, math.ceil(math.log2(dt_s * rates.max())) + 1)
    short = np.zeros((PLACES, PLACES))
    short[range(STAGES), range(1, PLACES)] = short[range(1, PLACES), range(1, PLACES)] = rates * dt_s / 2**doublings
    short[range(1, PLACES), range(1, PLACES)] *= -1
    end, mean, term = np.eye(PLACES), np.eye(PLACES), np.eye(PLACES)
    for power in range(1, _SERIES):
        term = term @ short / power
        end, mean = end + term, mean + term / (power + 1)
    for _ in range(doublings):
        end, mean = end @ end, (mean + end @ mean) / 2
    end.flags.writeable = mean.flags.writeable = False
    return end, mean


def kernel(lag_s: float) -> Floats:
    """Initial weights of a lag of about this mean: half on its stage, a quarter on each neighbour."""
    weights = np.zeros(PLACES)
    if lag_s <= 0:
        weights[0] = 1.0
        return weights
    means = np.concatenate((np.zeros(1), np.cumsum(stages(lag_s))))
    position = float(np.interp(lag_s, means, np.arange(PLACES)))
    low = int(position)
    share = position - low
    for stage, weight in ((low, 1 - share), (low + 1, share)):
        for beside, part in ((stage - 1, 0.25), (stage, 0.5), (stage + 1, 0.25)):
            weights[min(max(beside, 0), STAGES)] += weight * part
    return weights


def moved(weights: Floats, stages: float) -> Floats:
    """Move all lags by this number of stages (below 0: shorter); a share without lag stays."""
    positions = np.clip(np.arange(1, STAGES + 1) + stages, 1, STAGES)
    low = np.floor(positions).astype(np.int64)
    share = positions - low
    result = np.zeros_like(weights)
    result[0] = weights[0]
    np.add.at(result, low, weights[1:] * (1 - share))
    np.add.at(result, np.minimum(low + 1, STAGES), weights[1:] * share)
    return result


@dataclass(slots=True)
class Lag:
    """The lag's distribution, learned from the whole shop in blocks of 10 s."""

    weights: Floats
    """# [stage]: sum 1"""
    prior_se: float
    se: float
    """Standard error of the lag's position, in stages."""
    slope: Floats
    """# [stage]: derivative of the weights by the lag's position"""
    counts: Floats = field(default_factory=lambda: np.zeros(0))
    """# [block]"""
    inputs: Floats = field(default_factory=lambda: np.zeros((0, PLACES)))
    """# [block, stage]: sums of the chain's outputs"""

    @classmethod
    def of(cls, lag_s: float) -> Lag:
        """Start from a guess; without a lag there is nothing to learn."""
        se = _PRIOR_SE if lag_s < _LONG_S else _PRIOR_SE_LONG
        weights = kernel(lag_s)
        return cls(weights, se, se if lag_s > 0 else 0.0, _slope(weights))

    @property
    def learns(self) -> bool:
        """Whether there is a lag to learn."""
        return bool(self.weights[0] < 1)

    def mean_s(self, stage_s: Floats) -> float:
        """Mean lag, seconds."""
        return float(self.weights[1:] @ np.cumsum(stage_s))

    def add(self, count: float, inputs: Floats) -> None:
        """Add a block without a breach."""
        self.counts = np.append(self.counts, count)[-_BLOCKS:]
        self.inputs = np.vstack((self.inputs, inputs))[-_BLOCKS:]

    def forget_recent(self) -> None:
        """Discard the latest blocks."""
        self.counts, self.inputs = self.counts[:-_PENDING_BLOCKS], self.inputs[:-_PENDING_BLOCKS]

    def learn(self, dispersion: float) -> None:
        """Move the weights towards the maximum likelihood."""
        counts, inputs = self.counts[:-_PENDING_BLOCKS], self.inputs[:-_PENDING_BLOCKS]
        total = float(counts.sum())
        if not self.learns or len(counts) < _LEAST_BLOCKS or total < _PRIOR_EVENTS:
            return
        exposure = inputs.sum(axis=0)
        level = total / max(float((inputs @ self.weights).sum()), 1e-9)
        amounts = level * self.weights
        prior = _PRIOR_EVENTS * self.weights
        for _ in range(_STEPS):
            expected = np.maximum(inputs @ amounts, 1e-9)
            amounts = (amounts * (inputs.T @ (counts / expected)) + prior) / (exposure + _PRIOR_EVENTS / level)
        self.weights = amounts / amounts.sum()
        expected = np.maximum(inputs @ amounts, 1e-9)
        self.slope = _slope(self.weights)
        slope = amounts.sum() * (inputs @ self.slope)
        information = float((slope**2 / expected).sum()) / max(dispersion, 1.0)
        self.se = max(_LEAST_SE, (1 / self.prior_se**2 + information) ** -0.5)

    def delayed(self, outputs: Floats) -> tuple[Floats, Floats]:
        """(delayed events, their uncertainty) of a chain's outputs: (series, stage) to (series)."""
        uncertainty: Floats = np.abs(outputs @ self.slope) * self.se
        return outputs @ self.weights, uncertainty


def _slope(weights: Floats) -> Floats:
    result: Floats = moved(weights, 0.5) - moved(weights, -0.5)
    return result
