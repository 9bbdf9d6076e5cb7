"""Delay correction: what is to be expected of events that follow others after a while.

People look, think and then order, so orders lag views. Where views rise at once, as at an opening, orders over views
fall although nothing is wrong. So what is expected of orders now is the views *delayed* as people are: convolved with
the distribution of the lag.

- **Lags** are mixtures of what a chain of leaky stages puts out: a stage passes on what comes in with an exponential
  delay. Such phase-type distributions come as close as wanted to any (Neuts, Matrix-Geometric Solutions in Stochastic
  Models, 1981, chapter 2), and a chain needs one number a stage and series, however long the lags are. Stages double
  from 1 s on, which suits people; from 5 min on the first eight are alike, which suits time-outs (Erlang).
- **Which mixture** is learnt from the sale itself: counts are taken for Poisson with a mean that is the sum of the
  stages' outputs times unknown weights, which are estimated by maximum likelihood with the multiplicative steps of EM
  (Shepp and Vardi, IEEE Transactions on Medical Imaging 1, 1982). Only traffic that moves tells anything about the lag;
  while it is even, the weights stay where they are.
- **How sure** that is: moving all lags by half a stage (a factor of 1.4) changes what is expected while traffic moves.
  Fisher's information about such a move gives its standard error, hence a band around what is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from alerts.detectors.arrays import Floats, resized

STAGES = 12
PLACES = STAGES + 1
"""Place 0 is what goes into the chain, place j what comes out of stage j."""
_LONG_S = 300.0
_ALIKE = 8
BLOCK_S = 10
_BLOCKS = 720
_LEAST_BLOCKS = 60
_PENDING_BLOCKS = 18
"""The latest blocks are not learnt from yet: something may be wrong in them."""
_PRIOR_EVENTS = 50.0
_PRIOR_SE = 0.5
_PRIOR_SE_LONG = 1.5
"""Of the lags' place before anything is learnt, in stages: about a factor of 1.4, and a quarter."""
_LEAST_SE = 0.2
_STEPS = 30


def stages(lag_s: float) -> Floats:
    """The mean delay of each stage for lags of about this mean, seconds."""
    if lag_s < _LONG_S:
        return np.exp2(np.arange(STAGES, dtype=np.float64))
    doubling = np.exp2(np.arange(STAGES - _ALIKE, dtype=np.float64))
    return np.concatenate((np.full(_ALIKE, 1 / 6), doubling * 2 / 3)) * lag_s


@dataclass(slots=True)
class Chain:
    """What went in, delayed by 0 to 12 stages; events a second."""

    stage_s: Floats
    held: Floats = field(default_factory=lambda: np.zeros((0, PLACES)))
    """# [series, place]"""
    known: Floats = field(default_factory=lambda: np.zeros(PLACES))
    """# [place]: how much of each output comes from what was seen, 0 to 1; the rest was before the beginning."""

    def fit(self, size: int) -> None:
        """Room for so many series."""
        self.held = resized(self.held, size)

    def step(self, rate: Floats, dt_s: float) -> Floats:
        """Let `dt_s` seconds pass, in which so much a second comes in; returns the outputs (series, place).

        What was before the beginning is taken to be like what has been since.
        """
        passage = _passage(self.stage_s.tobytes(), dt_s)
        self.held[:, 0] = rate
        self.known[0] = 1.0
        self.held, self.known = self.held @ passage, self.known @ passage
        answer: Floats = self.held / self.known
        return answer


@lru_cache(maxsize=64)
def _passage(stage_s: bytes, dt_s: float) -> Floats:
    """What `dt_s` seconds do to a chain, as a matrix (place before, place after): each stage takes in, in turn, a share
    of what the one before it holds by then. `stage_s`: the stages' mean delays, float64."""
    passes = -np.expm1(-dt_s / np.frombuffer(stage_s))
    passage = np.eye(PLACES)
    for j in range(STAGES):
        passage[:, j + 1] *= 1 - passes[j]
        passage[:, j + 1] += passes[j] * passage[:, j]
    passage.flags.writeable = False
    return passage


def kernel(lag_s: float) -> Floats:
    """Weights of a lag of about this mean, before anything is known: half of it there, a quarter beside."""
    weights = np.zeros(PLACES)
    if lag_s <= 0:
        weights[0] = 1.0
        return weights
    means = np.concatenate((np.zeros(1), np.cumsum(stages(lag_s))))
    place = float(np.interp(lag_s, means, np.arange(PLACES)))
    low = int(place)
    share = place - low
    for at, weight in ((low, 1 - share), (low + 1, share)):
        for beside, part in ((at - 1, 0.25), (at, 0.5), (at + 1, 0.25)):
            weights[min(max(beside, 0), STAGES)] += weight * part
    return weights


def moved(weights: Floats, stages: float) -> Floats:
    """All lags longer (or shorter, below 0) by so many stages; what has no lag stays so."""
    places = np.clip(np.arange(1, STAGES + 1) + stages, 1, STAGES)
    low = np.floor(places).astype(np.int64)
    share = places - low
    answer = np.zeros_like(weights)
    answer[0] = weights[0]
    np.add.at(answer, low, weights[1:] * (1 - share))
    np.add.at(answer, np.minimum(low + 1, STAGES), weights[1:] * share)
    return answer


@dataclass(slots=True)
class Lag:
    """The lag's distribution, and how it is learnt from the whole shop in blocks of 10 s."""

    weights: Floats
    """# [place]: they add up to 1"""
    prior_se: float
    se: float
    """Standard error of the lags' place, in stages."""
    slope: Floats
    """# [place]: how the weights change as all lags grow by a stage"""
    counts: Floats = field(default_factory=lambda: np.zeros(0))
    """# [block]"""
    inputs: Floats = field(default_factory=lambda: np.zeros((0, PLACES)))
    """# [block, place]: the outputs of the chain over the block, summed"""

    @classmethod
    def of(cls, lag_s: float) -> Lag:
        """Begins with a guess; without a lag there is nothing to learn."""
        se = _PRIOR_SE if lag_s < _LONG_S else _PRIOR_SE_LONG
        weights = kernel(lag_s)
        return cls(weights, se, se if lag_s > 0 else 0.0, _slope(weights))

    @property
    def learns(self) -> bool:
        return bool(self.weights[0] < 1)

    @property
    def learnt(self) -> bool:
        """Whether the sale has told what the lag is, as far as it has told anything."""
        return not self.learns or len(self.counts) >= _LEAST_BLOCKS + _PENDING_BLOCKS

    def take(self, count: float, inputs: Floats) -> None:
        """One block more, in which nothing was wrong."""
        self.counts = np.append(self.counts, count)[-_BLOCKS:]
        self.inputs = np.vstack((self.inputs, inputs))[-_BLOCKS:]

    def forget_recent(self) -> None:
        """Something was wrong in the latest blocks."""
        self.counts, self.inputs = self.counts[:-_PENDING_BLOCKS], self.inputs[:-_PENDING_BLOCKS]

    def learn(self, dispersion: float) -> None:
        """Move the weights nearer to what the blocks say."""
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
        """(what comes out delayed, how far it may be off) of the outputs of a chain: (series, place) to (series)."""
        off: Floats = np.abs(outputs @ self.slope) * self.se
        return outputs @ self.weights, off


def _slope(weights: Floats) -> Floats:
    answer: Floats = moved(weights, 0.5) - moved(weights, -0.5)
    return answer
