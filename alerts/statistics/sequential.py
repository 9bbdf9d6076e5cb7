"""Sequential detection of rates: delays, baseline and evidence combined.

In each step, the expectation is the delayed `per` events (`delays`) times the usual level (`baseline`), both on the
side without a breach, and `evidence` compares the counts with it. An alarm needs enough evidence for the false-alarm
budget, the least sample, and an estimated change of at least the least effect. It ends when the latest counts are back
within half of that. During an alarm, nothing is learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio, resized
from alerts.statistics.baseline import MINUTE_S, Baseline, MinutePart
from alerts.statistics.delays import BLOCK_S, PLACES, Chain, Lag, stages
from alerts.statistics.evidence import Evidence, sizes_of

_RECENT_LEAST_S, _RECENT_MOST_S = 20.0, 1800.0
_LATELY_S = 60.0
_LEARN_EVERY_S = 60
NEW_NORMAL_S = 2 * 3600.0
"""An alarm ends after this time: the new level becomes the usual one."""
_LEAST_SEEN = 0.9


@dataclass(frozen=True, slots=True)
class SequentialParameters:
    """Parameters of a rule."""

    rise: bool
    least_effect: float
    least_sample: float
    least_baseline: float


@dataclass(frozen=True, slots=True)
class SequentialStep:
    """The events of `dt_s` seconds up to `end_s`: arrays by series."""

    end_s: int
    dt_s: int
    count: Floats
    per: Floats
    gmv: Floats
    frozen: Bools
    """Series with unreliable counters, which are neither tested nor learnt from."""


def _flags() -> Bools:
    return np.zeros(0, np.bool_)


def _numbers() -> Floats:
    return np.zeros(0)


@dataclass(slots=True)
class SequentialState:
    """All series of one rule. Series 0 is the whole shop, from which the lag is learnt."""

    lag: Lag
    chain: Chain
    baseline: Baseline = field(default_factory=Baseline)
    evidence: Evidence = field(default_factory=Evidence)
    alarm: Bools = field(default_factory=_flags)
    since_s: Floats = field(default_factory=_numbers)
    """Start of the change, for alarms."""
    alarm_s: Floats = field(default_factory=_numbers)
    """Start of the alarm."""
    renewed: Bools = field(default_factory=_flags)
    """Alarms ended in the last step by a new usual level."""
    recent: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    """# [series, (counted, expected, delayed `per`)]: exponential sums over about the least sample"""
    lately: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    """# [series, (counted, expected, delayed `per`)]: exponential sums over about a minute, for all series"""
    onset: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    """# [series, (counted, expected, delayed `per`)]: since the estimated start of the change, for alarms"""
    inputs: Floats = field(default_factory=_numbers)
    """# [series]: delayed `per` events per second, at the last step"""
    level: Floats = field(default_factory=_numbers)
    """The usual level, 0 if unknown; this and the next two are copied from the baseline every minute."""
    tested: Floats = field(default_factory=_numbers)
    """The reference level."""
    phi: Floats = field(default_factory=_numbers)
    """Dispersion, at least 1."""
    block_outputs: Floats = field(default_factory=lambda: np.zeros(PLACES))
    """# [stage]: sums of the chain's outputs for the whole shop in the current block"""
    block_count: float = 0.0
    """Counted events of the whole shop in the current block."""

    @classmethod
    def of(cls, lag_s: float) -> SequentialState:
        """Create the state for a lag of about this mean."""
        return cls(Lag.of(lag_s), Chain(stages(lag_s)))

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        if len(self.alarm) >= size:
            return
        for part in (self.chain, self.baseline, self.evidence):
            part.fit(size)
        self.level, self.tested, self.phi = (
            resized(self.level, size),
            resized(self.tested, size),
            resized(self.phi, size, 1),
        )
        self.alarm, self.renewed = resized(self.alarm, size, False), resized(self.renewed, size, False)
        self.since_s, self.alarm_s = resized(self.since_s, size), resized(self.alarm_s, size)
        self.recent, self.lately = resized(self.recent, size), resized(self.lately, size)
        self.inputs, self.onset = resized(self.inputs, size), resized(self.onset, size)

    def step(self, step: SequentialStep, terms: SequentialParameters, log_threshold: Floats) -> None:
        """Advance one step. `log_threshold`: log of the seconds between false alarms, by series."""
        outputs = self.chain.step(step.per / step.dt_s, step.dt_s)
        rate, uncertainty = self.lag.delayed(outputs)
        self.inputs = rate
        inputs = rate * step.dt_s
        self._follow(step, inputs, terms)
        known = self.ready(terms)
        bounded_inputs = np.maximum(rate + uncertainty if terms.rise else rate - uncertainty, 0.0) * step.dt_s
        mu = np.where(known, self.tested * bounded_inputs, 0.0)
        weighs = known & ~step.frozen & ~self.alarm
        sizes = sizes_of(terms.least_effect, rise=terms.rise)
        self.evidence.step(step.count, mu, sizes=sizes, phi=self.phi, end_s=step.end_s, dt_s=step.dt_s, weighs=weighs)
        self._raise(step, terms, log_threshold)
        self._learn(step, terms, inputs, outputs)

    def ready(self, terms: SequentialParameters) -> Bools:
        """Series with a sufficient baseline and most of a lag observed."""
        seen = float(self.chain.known @ self.lag.weights)
        result: Bools = (self.baseline.slow[:, MinutePart.COUNT] >= terms.least_baseline) & (seen >= _LEAST_SEEN)
        return result

    def lag_known_in_s(self) -> float:
        """Time until most of a lag is observed, to the minute; 0: it is."""
        return self.chain.known_in_s(self.lag.weights, _LEAST_SEEN)

    def _follow(self, step: SequentialStep, inputs: Floats, terms: SequentialParameters) -> None:
        """Update the recent sums, and end alarms."""
        expected = self.level * inputs
        with np.errstate(divide="ignore", over="ignore"):
            time_constant_s = 2 * terms.least_sample * step.dt_s / expected
        time_constant_s = np.clip(time_constant_s, _RECENT_LEAST_S, _RECENT_MOST_S)
        self.recent *= np.exp(-step.dt_s / time_constant_s)[:, None]
        sums = np.empty_like(self.recent)
        sums[:, 0], sums[:, 1], sums[:, 2] = step.count, expected, inputs
        self.recent += sums
        self.onset += sums * self.alarm[:, None]
        self.lately *= math.exp(-step.dt_s / _LATELY_S)
        self.lately += sums
        change = self.change()
        half = terms.least_effect / 2
        is_clear = change <= 1 + half if terms.rise else change >= 1 - half
        ended = self.alarm & is_clear & ~step.frozen
        self.renewed = self.alarm & ~ended & (step.end_s - self.alarm_s >= NEW_NORMAL_S)
        ended |= self.renewed
        if not ended.any():
            return
        self.baseline.accept(self.renewed, self.recent[:, 0], self.recent[:, 2])
        self._refresh_levels(terms)
        self.alarm &= ~ended
        self.evidence.reset(ended)

    def explain(self, which: Bools, from_s: float) -> None:
        """Discard evidence of these series since a moment, because an ended incident explains it: tests restart, alarms
        of that time end, and nothing is learnt from it. Earlier changes stay."""
        best = self.evidence.since_s[np.arange(len(which)), self.evidence.best()]
        explained = which & (np.where(self.alarm, self.since_s, best) >= from_s)
        self.alarm &= ~explained
        self.evidence.reset(explained)
        self.baseline.drop_recent(explained)
        for sums in (self.recent, self.lately, self.onset):
            sums[explained] = 0.0
        if explained[:1].any():
            self.lag.forget_recent()

    def seen_of(self, place: int) -> tuple[float, float, float]:
        """(counted, expected, delayed `per`) for the size of the breach: the recent sums, or the sums since the start
        of a younger alarm."""
        since, latest = self.onset[place], self.recent[place]
        is_young = self.alarm[place] and 0 < since[1] < latest[1]
        count, expected, inputs = (since if is_young else latest).tolist()
        return count, expected, inputs

    def change(self) -> Floats:
        """Counted over expected recently; NaN if nothing is expected."""
        return ratio(self.recent[:, 0], self.recent[:, 1])

    def _raise(self, step: SequentialStep, terms: SequentialParameters, log_threshold: Floats) -> None:
        evidence = self.evidence
        total = evidence.total()
        if not (total >= log_threshold).any():
            return
        sizes = evidence.best()
        usual = self.baseline.slow[:, MinutePart.COUNT]
        total -= evidence.unsure(sizes_of(terms.least_effect, rise=terms.rise), sizes, usual, self.phi)
        enough = ~self.alarm & (total >= log_threshold)
        best = (np.arange(len(enough)), sizes)
        seen, expected = evidence.seen[best], evidence.expected[best]
        effect = ratio(seen, expected) - 1
        large = effect >= terms.least_effect if terms.rise else effect <= -terms.least_effect
        raised = enough & large & (expected >= terms.least_sample)
        self.alarm |= raised
        self.since_s[raised] = evidence.since_s[best][raised]
        self.alarm_s[raised] = step.end_s
        inputs = np.divide(expected, self.tested, out=np.zeros_like(expected), where=self.tested > 0)
        self.onset[raised] = np.stack((seen, inputs * self.level, inputs), axis=1)[raised]
        self.baseline.drop_recent(raised)
        if raised[:1].any():
            self.lag.forget_recent()

    def _learn(self, step: SequentialStep, terms: SequentialParameters, inputs: Floats, outputs: Floats) -> None:
        sound = ~self.alarm & ~step.frozen
        self.baseline.take(step.count * sound, inputs * sound, step.gmv * sound)
        if sound[0]:
            self.block_count += float(step.count[0])
            self.block_outputs += outputs[0] * step.dt_s
        if step.end_s % BLOCK_S < step.dt_s:
            self.baseline.end_block(self.level)
            if sound[0]:
                self.lag.take(self.block_count, self.block_outputs)
            self.block_count, self.block_outputs = 0.0, np.zeros_like(self.block_outputs)
        if step.end_s % MINUTE_S < step.dt_s:
            self.baseline.end_minute(self.level, sound, spreads=self.lag.learnt)
            self._refresh_levels(terms)
        if step.end_s % _LEARN_EVERY_S < step.dt_s:
            self.lag.learn(float(self.phi[0]))

    def _refresh_levels(self, terms: SequentialParameters) -> None:
        """Copy the levels from the baseline."""
        self.level = np.nan_to_num(self.baseline.level())
        self.tested = np.nan_to_num(self.baseline.bounded(rise=terms.rise))
        self.phi = self.baseline.dispersion()


DAY_S = 86_400.0
PARENT_SHARE = 0.5
_LEAST_CHILDREN = 10
"""Minimum assumed number of children of a rule, so that thresholds do not change as children appear."""


def log_seconds_between_alarms(false_per_day: float, is_parent: Bools) -> Floats:
    """Log of the mean seconds between false alarms of each series of a rule: (series).

    The whole shop gets half of the rule's share, because it has most events; the children share the other half evenly.
    """
    children = max(int((~is_parent).sum()), _LEAST_CHILDREN)
    has_children = not bool(is_parent.all())
    of_parent = PARENT_SHARE if has_children else 1.0
    of_child = (1 - PARENT_SHARE if is_parent.any() else 1.0) / children
    result: Floats = np.log(DAY_S / (false_per_day * np.where(is_parent, of_parent, of_child)))
    return result
