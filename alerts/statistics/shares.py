"""Detect that one of several sources loses events, while the others continue.

Two tests over windows of 10 to 320 s, each by half the signed deviance over the dispersion of its window length:

- **Share**: the source's events y among the n of its topic are compared with its usual share p, as a binomial. Traffic
  that changes for all sources does not matter.
- **Own trend**: y is compared with the source's usual rate, as Poisson's, so a surge of other sources is no loss.

The usual share is that of the lowest quarter of the last four hours, by ten minutes and without the last three. The
usual rate is that of the lower half of the last hour. Both are the latest level where that is lower. So the end
of a surge or of a crawler is no loss. If the others rise by as much as the source falls, nothing is lost: producers
share their load in another way.

A loss is suspected at a low threshold of both, and found at a high one, or at a very high one of the share where the
own trend says less: P(evidence >= l) <= exp(-l) for each window (Chernoff). It ends by Page's CUSUM (Biometrika 41,
1954) of the usual share against the lost one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from alerts.statistics.arrays import Bools, Floats, Ints, ratio, resized
from alerts.statistics.baseline import NEW_NORMAL_S

BLOCK_S = 5
BLOCKS = 64
WINDOWS = np.array([2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
"""# [window]: length in blocks"""
_LEVELS, _HOUR, _LEVEL_MIN = 24, 6, 10
_LEAST_LEVEL_S = 300.0
_MINUTE_S = 60
_PENDING = 3
_LEAST_KNOWN_S = 600.0
_LEAST_EXPECTED = 20.0
_DISPERSION_HALF_LIFE_S = 4 * 3600.0
_PRIOR_WINDOWS = 4.0
_MOST = 16.0
_MOST_LOST = 0.98
_MOST_MOVED, _WANDER = 0.1, 0.05
"""Share of a fall that the others may have gained, beside 5 % of their own events."""
_CLEAR = 5.0
_SURELY_LOST = 0.6
"""Part of an estimated loss that is taken for sure: it is found when chance adds to it."""


class SharePart(IntEnum):
    """Sums of a source."""

    SOURCE = 0
    """Its events."""
    TOPIC = 1
    """Its topic's events."""
    SECONDS = 2


@dataclass(frozen=True, slots=True)
class ShareThresholds:
    """Evidence of a loss, in nats, by both tests."""

    share: float
    own: float


SUSPECTED = ShareThresholds(3.0, 4.0)
"""About one in a hundred windows by chance: enough to ask first whether a fall of the topic is a loss of data."""
FOUND = ShareThresholds(7.0, 10.0)
"""Some 1e-6 of the windows: less than one in a hundred days for each source, if the model holds."""
FOUND_BY_SHARE = ShareThresholds(14.0, 5.0)
"""Also a loss: traffic varies, so that the own trend says little, and the share is sure."""


def _sums(*shape: int) -> Floats:
    return np.zeros((0, *shape))


@dataclass(slots=True)
class ShareState:
    """Arrays by series; a series is a source, and sums are by `SharePart`."""

    blocks: Floats = field(default_factory=lambda: _sums(BLOCKS, 3))
    """# [series, block, sum]: the last blocks of 5 s, the current one last"""
    block: int = 0
    """Number of the current block."""
    minute: Floats = field(default_factory=lambda: _sums(3))
    pending: Floats = field(default_factory=lambda: _sums(_PENDING, 3))
    """# [series, minute, sum]: minutes that are not in the levels yet, oldest first"""
    kept: Floats = field(default_factory=lambda: _sums(_LEVELS, 3))
    """# [series, ten minutes, sum]: of the last four hours, latest last"""
    open: Floats = field(default_factory=lambda: _sums(len(WINDOWS), 3))
    """# [series, window, sum]: the disjoint windows that measure the dispersion"""
    spread: Floats = field(default_factory=lambda: _sums(len(WINDOWS), 3))
    """# [series, window, (share's terms, own terms, windows)]: exponential sums"""
    suspected: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    found: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    fall: Floats = field(default_factory=lambda: np.zeros(0))
    """Lost share of the source's events, where suspected or found."""
    since_s: Floats = field(default_factory=lambda: np.zeros(0))
    found_s: Floats = field(default_factory=lambda: np.zeros(0))
    recovery: Floats = field(default_factory=lambda: np.zeros(0))
    """CUSUM of the usual share against the lost one."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        for name in ("blocks", "minute", "pending", "kept", "open", "spread"):
            setattr(self, name, resized(getattr(self, name), size))
        for name in ("suspected", "found", "fall", "since_s", "found_s", "recovery"):
            setattr(self, name, resized(getattr(self, name), size, 0))

    def step(
        self, count: Floats, topic: Ints, *, end_s: int, dt_s: int, least_effect: float, least_events: float
    ) -> None:
        """Advance `dt_s` seconds up to `end_s`. `count` and `topic` (a number) by series.

        `least_events`: events that a source must have had before it is tested.
        """
        if not len(count):
            return
        of_topic = np.bincount(topic, count)[topic] if len(count) else count
        sums = np.stack((count, of_topic, np.full(len(count), float(dt_s))), axis=1)
        self._shift(end_s)
        self.blocks[:, -1] += sums
        share, rate = self.usual_share(), self.usual_rate()
        self._test(self.known(least_events), share, rate, end_s, least_effect)
        self._end(sums, share, end_s)
        self._learn(sums, end_s, dt_s)

    def known(self, least_events: float) -> Bools:
        """Sources with at least `least_events` events and ten minutes in the levels, and not alone in their topic."""
        sums = self.kept.sum(axis=1)
        result: Bools = (
            (sums[:, SharePart.SOURCE] >= least_events)
            & (sums[:, SharePart.SECONDS] >= _LEAST_KNOWN_S)
            & (sums[:, SharePart.SOURCE] < sums[:, SharePart.TOPIC])
        )
        return result

    def usual_share(self) -> Floats:
        """Usual share of each source of its topic's events; NaN if unknown."""
        return _lower(self.kept, SharePart.TOPIC, 4)

    def usual_rate(self) -> Floats:
        """Usual events a second; NaN if unknown."""
        return _lower(self.kept[:, -_HOUR:], SharePart.SECONDS, 2)

    def _usual_rate_of_others(self) -> Floats:
        hour = self.kept[:, -_HOUR:]
        seconds = hour[..., SharePart.SECONDS]
        rates = np.where(
            seconds >= _LEAST_LEVEL_S, ratio(hour[..., SharePart.TOPIC] - hour[..., SharePart.SOURCE], seconds), np.nan
        )
        result: Floats = np.nan_to_num(np.fmax.reduce(rates, axis=1))
        return result

    def _shift(self, end_s: int) -> None:
        block = -(-end_s // BLOCK_S)
        new = min(max(block - self.block, 0), BLOCKS)
        if new:
            self.blocks = np.concatenate((self.blocks[:, new:], np.zeros_like(self.blocks[:, :new])), axis=1)
            self.block = block

    def _test(self, known: Bools, share: Floats, rate: Floats, end_s: int, least_effect: float) -> None:
        """Set `suspected`, and raise `found`."""
        ends = self.blocks[:, ::-1].cumsum(axis=1)[:, WINDOWS - 1]
        y, n, seconds = (ends[..., part] for part in SharePart)
        p, own = np.nan_to_num(share)[:, None], np.nan_to_num(rate)[:, None] * seconds
        others_usual = self._usual_rate_of_others()[:, None] * seconds
        by_share, by_own = self._evidence(y, n, p, own)
        expected = (n - y) * p / np.maximum(1 - p, 1e-9)
        fall = 1 - np.minimum(np.nan_to_num(ratio(y, expected), nan=1.0), 1.0)
        others_rose = (n - y) - (1 + _WANDER) * others_usual
        tested = known[:, None] & (own >= _LEAST_EXPECTED) & (expected > 0)
        tested &= (fall >= least_effect) & (1 - ratio(y, own) >= least_effect / 2)
        tested &= others_rose < _MOST_MOVED * (own - y)
        pairs = (np.minimum(by_share / limit.share, by_own / limit.own) for limit in (FOUND, FOUND_BY_SHARE))
        strength = np.where(tested, np.maximum(*pairs), 0.0)
        weak = np.where(tested, np.minimum(by_share / SUSPECTED.share, by_own / SUSPECTED.own), 0.0)
        rows = np.arange(len(known))
        best = np.where(strength.max(axis=1) > 0, strength.argmax(axis=1), weak.argmax(axis=1))
        raised = (strength[rows, best] >= 1) & ~self.found
        self.suspected = (weak[rows, weak.argmax(axis=1)] >= 1) & ~self.found
        updated = raised | self.suspected
        self.fall[updated] = np.minimum(fall[rows, best], _MOST_LOST)[updated]
        self.since_s[updated] = (end_s - WINDOWS[best] * BLOCK_S)[updated]
        self.found_s[raised], self.recovery[raised] = end_s, 0.0
        self.found = self.found | raised
        self.suspected &= ~self.found
        self._forget(raised)

    def _evidence(self, y: Floats, n: Floats, p: Floats, own: Floats) -> tuple[Floats, Floats]:
        """(by share, by own trend): half the deviance of falls over the dispersion, 0 for rises; by series, window."""
        phi = self.dispersion()
        mu = n * p
        with np.errstate(divide="ignore", invalid="ignore"):
            of_y = np.where(y > 0, y * np.log(y / mu), 0.0)
            of_others = np.where(n > y, (n - y) * np.log((n - y) / (n - mu)), 0.0)
            of_own = np.where(y > 0, y * np.log(y / own), 0.0) - (y - own)
        by_share = np.where((y < mu) & (p < 1), of_y + of_others, 0.0) / phi[..., 0]
        by_own = np.where(y < own, of_own, 0.0) / phi[..., 1]
        return by_share, by_own

    def dispersion(self) -> Floats:
        """Variance over that of the model, at least 1: # [series, window, (share, own)]"""
        windows = self.spread[..., 2:] + _PRIOR_WINDOWS
        measured = (self.spread[..., :2] + _PRIOR_WINDOWS) / windows
        result: Floats = np.maximum(np.maximum.accumulate(np.maximum(measured, 1.0), axis=1), 1.0)
        return result

    def _end(self, sums: Floats, share: Floats, end_s: int) -> None:
        """End losses."""
        if not self.found.any():
            return
        p = np.clip(np.nan_to_num(share), 1e-6, 1 - 1e-6)
        lost = p * (1 - _SURELY_LOST * self.fall)
        lost = np.clip(lost / (lost + 1 - p), 1e-6, 1 - 1e-6)
        y, others = sums[:, SharePart.SOURCE], sums[:, SharePart.TOPIC] - sums[:, SharePart.SOURCE]
        phi = self.dispersion()[:, 3, 0]
        gained = (y * np.log(p / lost) + others * np.log((1 - p) / (1 - lost))) / phi
        self.recovery = np.where(self.found, np.maximum(self.recovery + gained, 0.0), 0.0)
        renewed = self.found & (end_s - self.found_s >= NEW_NORMAL_S)
        ended = self.found & ((self.recovery >= _CLEAR) | renewed)
        self.kept[renewed] = 0.0
        self.kept[renewed, -1] = self.blocks[renewed].sum(axis=1)
        self.found = self.found & ~ended
        self._forget(ended)
        self.blocks[ended] = 0.0

    def _forget(self, which: Bools) -> None:
        """Do not learn from the last minutes of these series."""
        for array in (self.pending, self.minute, self.open):
            array[which] = 0.0

    def _learn(self, sums: Floats, end_s: int, dt_s: int) -> None:
        learnable = (~self.found & ~self.suspected)[:, None]
        self.minute += sums * learnable
        self.open += (sums * learnable)[:, None]
        self._measure(dt_s)
        if end_s % _MINUTE_S >= dt_s:
            return
        if end_s % (_LEVEL_MIN * _MINUTE_S) < dt_s:
            enough = self.kept[:, -1, SharePart.SECONDS] >= _LEAST_LEVEL_S
            self.kept[enough] = np.roll(self.kept[enough], -1, axis=1)
            self.kept[enough, -1] = 0.0
        self.kept[:, -1] += self.pending[:, 0]
        self.pending = np.concatenate((self.pending[:, 1:], self.minute[:, None]), axis=1)
        self.minute = np.zeros_like(self.minute)

    def _measure(self, dt_s: int) -> None:
        """Add the full windows to the dispersion."""
        full = self.open[..., SharePart.SECONDS] >= WINDOWS * BLOCK_S
        if not full.any():
            return
        y, n, seconds = (self.open[..., part] for part in SharePart)
        usual = self.kept[:, -_HOUR:].sum(axis=1)
        p, own = (
            ratio(usual[:, SharePart.SOURCE], usual[:, SharePart.TOPIC])[:, None],
            ratio(usual[:, SharePart.SOURCE], usual[:, SharePart.SECONDS])[:, None] * seconds,
        )
        variance = np.nan_to_num(n * p * (1 - p))
        of_share = np.divide((y - n * p) ** 2, variance, out=np.zeros_like(y), where=variance > 0)
        of_own = np.divide((y - own) ** 2, own, out=np.zeros_like(y), where=own > 0)
        usable = full & (variance > 1) & (own > 1)
        keep = 0.5 ** (np.maximum(WINDOWS * BLOCK_S, dt_s) / _DISPERSION_HALF_LIFE_S)
        self.spread *= np.where(full, keep, 1.0)[..., None]
        terms = np.stack((np.minimum(of_share, _MOST), np.minimum(of_own, _MOST), np.ones_like(y)), axis=2)
        self.spread += terms * usable[..., None]
        self.open[full] = 0.0


def _lower(kept: Floats, per: SharePart, parts: int) -> Floats:
    """The mean of the lowest `parts` of the levels, or the latest level if it is lower; NaN if unknown."""
    levels = np.where(
        kept[..., SharePart.SECONDS] >= _LEAST_LEVEL_S, ratio(kept[..., SharePart.SOURCE], kept[..., per]), np.nan
    )
    latest = np.where(np.isnan(levels[:, -1]), levels[:, -2], levels[:, -1])
    levels.sort(axis=1)  # NaN last
    known = np.isfinite(levels).sum(axis=1)
    lower = np.arange(levels.shape[1]) < (known[:, None] + parts - 1) // parts
    mean = ratio(np.where(lower, np.nan_to_num(levels), 0.0).sum(axis=1), lower.sum(axis=1).astype(np.float64))
    result: Floats = np.fmin(mean, latest)
    return result
