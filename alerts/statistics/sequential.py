"""Sequential detection of rates: delays, baseline, evidence and losses combined.

In each step, the expectation is the delayed `per` events (`delays`) times the reference level (`baseline`), both on the
side without a breach. `evidence` compares the counts with it, `losses` with their own trends. A breach needs enough
evidence for the false-alarm budget, the least sample, and an estimated change of about the least effect.

- **Note or alarm**: a ratio also falls where `per` rises: crowds, crawlers, campaigns. A breach of a drop is an alarm
  only if `count` fell surely below its own trend, by more than `per` rose above its own, and further than `per` fell;
  where orders come later than `count`, they must have fallen by half as much, too. A breach of a rise is an alarm only
  if `count` rose surely above its own trend. Otherwise it is a note: a breach without a loss.
- **End**: Page's CUSUM (Biometrika 41, 1954) of "the ratio is 1" against "at least half of the change, or the least
  effect, persists", at a likelihood ratio of 1,000.
- Nothing is learned in an alarm. In a note, levels follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio, resized
from alerts.statistics.arrears import Arrears
from alerts.statistics.baseline import MINUTE_S, N_PARTS, NEW_NORMAL_S, Baseline, MinutePart
from alerts.statistics.batches import BatchAllowance
from alerts.statistics.delays import BLOCK_S, PLACES, Chain, Lag, stages
from alerts.statistics.evidence import LENGTHS_S, Evidence, log_threshold
from alerts.statistics.losses import OwnTrends, has_fallen, has_risen, is_followed
from alerts.statistics.mix import is_shift_of_mix
from alerts.statistics.steps import PARTS, SequentialParameters, SequentialStep, WindowPart

_RECENT_LEAST_S, _RECENT_MOST_S = 20.0, 1800.0
_LATELY_S = 60.0
_LEARN_EVERY_S = 60
_LEAST_SEEN = 0.9
LEAST_ESTIMATE = 0.8
"""The estimated change must be this share of the least effect."""
_LOG_ENDED = math.log(1000)
_END_LENGTH = 6
_LEAST_END_DISPERSION = 0.4
_SHORT_LENGTH = 3
_LATEST_LENGTH = 7
"""Length index of the latest window in which a long breach is compared with own trends: 128 s."""
_LATEST_S = 150.0
_FOLLOWED_LENGTH = 5
"""Length index of the latest window of the events that follow: 32 s."""


def _flags() -> Bools:
    return np.zeros(0, np.bool_)


def _numbers() -> Floats:
    return np.zeros(0)


def _sums() -> Floats:
    return np.zeros((0, PARTS))


@dataclass(slots=True)
class SequentialState:
    """All series of one rule. Series 0 is the whole shop, from which the lag is learned."""

    lag: Lag
    chain: Chain
    baseline: Baseline = field(default_factory=Baseline)
    evidence: Evidence = field(default_factory=lambda: Evidence.of(PARTS))
    batches: BatchAllowance = field(default_factory=BatchAllowance)
    arrears: Arrears = field(default_factory=Arrears)
    """For events that may be late."""
    alarm: Bools = field(default_factory=_flags)
    note: Bools = field(default_factory=_flags)
    """Breaches without a loss."""
    tracking: Bools = field(default_factory=_flags)
    """Notes in which `count` fell surely, and the `loss` events that follow did not: events are not recorded."""
    since_s: Floats = field(default_factory=_numbers)
    """Start of the change, for breaches."""
    before: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """# [series, part]: own trends as the breach began"""
    alarm_s: Floats = field(default_factory=_numbers)
    """Start of the alarm."""
    renewed: Bools = field(default_factory=_flags)
    """Alarms ended in the last step by a new usual level."""
    recent: Floats = field(default_factory=_sums)
    """# [series, part]: exponential sums over about the least sample"""
    lately: Floats = field(default_factory=_sums)
    """# [series, part]: exponential sums over about a minute"""
    onset: Floats = field(default_factory=_sums)
    """# [series, part]: since the estimated start of the change, for breaches"""
    recovery: Floats = field(default_factory=_numbers)
    """CUSUM of the end of a breach."""
    inputs: Floats = field(default_factory=_numbers)
    """# [series]: delayed `per` events per second, at the last step"""
    level: Floats = field(default_factory=_numbers)
    """The usual level, 0 if unknown; the fields from here to `crowd` are copied from the baseline every minute."""
    reference: Floats = field(default_factory=_numbers)
    """The reference level."""
    estimated_from: Floats = field(default_factory=_numbers)
    """Counted events that the reference level is estimated from."""
    uses_short_level: Bools = field(default_factory=_flags)
    """Whether `reference` is a level of minutes, not of hours."""
    own: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """# [series, part]: own trends, events per second"""
    hourly: Floats = field(default_factory=_numbers)
    """`count` events per second in the last hours."""
    crowd: Floats = field(default_factory=_numbers)
    """`per` events lately over those of the last hours, where there are surely more, else 1."""
    were_alarms_off: bool = False
    """Whether breaches were notes in the last step, whatever was lost."""
    end_s: int = 0
    """End of the last step."""
    block_outputs: Floats = field(default_factory=lambda: np.zeros(PLACES))
    """# [stage]: sums of the chain's outputs for the whole shop in the current block"""
    block_count: float = 0.0
    """Counted events of the whole shop in the current block."""

    @classmethod
    def of(cls, lag_s: float) -> SequentialState:
        """Create the state for a lag of about this mean."""
        return cls(Lag.of(lag_s), Chain(stages(lag_s)), batches=BatchAllowance.of(lag_s))

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        if len(self.alarm) >= size:
            return
        for part in (self.chain, self.baseline, self.evidence, self.batches, self.arrears):
            part.fit(size)
        for name in ("alarm", "note", "tracking", "renewed", "uses_short_level"):
            setattr(self, name, resized(getattr(self, name), size, False))
        for name in ("since_s", "alarm_s", "recent", "lately", "onset", "recovery", "inputs"):
            setattr(self, name, resized(getattr(self, name), size))
        self.crowd = resized(self.crowd, size, 1.0)
        for name in ("level", "reference", "estimated_from", "own", "before", "hourly"):
            setattr(self, name, resized(getattr(self, name), size))

    @property
    def dispersion(self) -> Floats:
        """Dispersion of short windows."""
        result: Floats = self.evidence.dispersion[:, _SHORT_LENGTH]
        return result

    def step(self, step: SequentialStep, parameters: SequentialParameters, false_per_day: Floats) -> None:
        """Advance one step. `false_per_day`: budget of each series."""
        self.end_s = step.end_s
        outputs = self.chain.step(step.per / step.dt_s, step.dt_s)
        rate, uncertainty = self.lag.delayed(outputs)
        self.inputs = rate
        known = self.ready(parameters)
        bounded = np.maximum(rate + uncertainty if parameters.rise else rate - uncertainty, 0.0)
        sums = np.empty((len(rate), PARTS))
        sums[:, WindowPart.COUNT], sums[:, WindowPart.INPUT] = step.count, rate * step.dt_s
        sums[:, WindowPart.EXPECTED] = np.where(known, self.reference * bounded * step.dt_s, 0.0)
        sums[:, WindowPart.LOSS], sums[:, WindowPart.PER] = step.count if step.loss is None else step.loss, step.per
        sums[:, WindowPart.USUAL], sums[:, WindowPart.SECONDS] = self.level * sums[:, WindowPart.INPUT], step.dt_s
        self._follow(step, sums, parameters)
        self.evidence.step(sums * known[:, None], end_s=step.end_s, dt_s=step.dt_s)
        self._raise(step, parameters, known, false_per_day)
        self._escalate(step, parameters)
        self._learn(step, parameters, sums, known, outputs)

    def ready(self, parameters: SequentialParameters) -> Bools:
        """Series with a sufficient baseline and most of a lag observed."""
        seen = float(self.chain.known @ self.lag.weights)
        result: Bools = (self.baseline.counted >= parameters.least_baseline) & (seen >= _LEAST_SEEN)
        return result

    def lag_known_in_s(self) -> float:
        """Time until most of a lag is observed, to the minute; 0: it is."""
        return self.chain.known_in_s(self.lag.weights, _LEAST_SEEN)

    def _follow(self, step: SequentialStep, sums: Floats, parameters: SequentialParameters) -> None:
        """Update the recent sums, and end breaches."""
        with np.errstate(divide="ignore", over="ignore"):
            time_constant_s = 2 * parameters.least_sample * step.dt_s / sums[:, WindowPart.USUAL]
        time_constant_s = np.clip(time_constant_s, _RECENT_LEAST_S, _RECENT_MOST_S)
        self.recent *= np.exp(-step.dt_s / time_constant_s)[:, None]
        self.recent += sums
        self.lately *= math.exp(-step.dt_s / _LATELY_S)
        self.lately += sums
        breached = self.alarm | self.note
        self.onset += sums * breached[:, None]
        if not breached.any():
            self.renewed[:] = False
            return
        y, mu, r = step.count, sums[:, WindowPart.EXPECTED], self._persisting(parameters)
        evidence = (mu * (r - 1) - y * np.log(r)) / np.maximum(
            self.evidence.dispersion[:, _END_LENGTH], _LEAST_END_DISPERSION
        )
        self.recovery = np.maximum(self.recovery + evidence, 0.0) * breached
        ended = breached & (self.recovery >= _LOG_ENDED)
        self.renewed = self.alarm & ~ended & (step.end_s - self.alarm_s >= NEW_NORMAL_S)
        ended |= self.renewed
        if not ended.any():
            return
        self.baseline.accept(self.renewed, ratio(self.recent[:, WindowPart.COUNT], self.recent[:, WindowPart.INPUT]))
        self._refresh_levels(parameters)
        if parameters.late_s:
            self.arrears.add(ended & self.alarm & ~self.renewed, self.missing(parameters))
        self._clear(ended, step.end_s)

    def _persisting(self, parameters: SequentialParameters) -> Floats:
        """The ratio that the end of a breach is tested against."""
        change = np.nan_to_num(ratio(self.onset[:, WindowPart.COUNT], self.onset[:, WindowPart.EXPECTED]), nan=1.0)
        half = np.maximum(parameters.least_effect, np.abs(change - 1) / 2)
        result: Floats = np.maximum(1 + half if parameters.rise else 1 - half, 0.05)
        return result

    def missing(self, parameters: SequentialParameters) -> Floats:
        """Events that breaches lack since their start, or have too many."""
        excess = self.onset[:, WindowPart.COUNT] - self.onset[:, WindowPart.USUAL]
        return excess if parameters.rise else -excess

    def missing_s(self, parameters: SequentialParameters) -> Floats:
        """The same as the time in which so many come, seconds."""
        usual, seconds = self.onset[:, WindowPart.USUAL], self.onset[:, WindowPart.SECONDS]
        return np.nan_to_num(ratio(self.missing(parameters) * seconds, usual))

    def _clear(self, which: Bools, end_s: float) -> None:
        for flags in (self.alarm, self.note, self.tracking):
            flags &= ~which
        self.evidence.reset(which, end_s)
        self.recovery[which] = 0.0
        self.onset[which] = self.before[which] = 0.0

    def discard_since(self, which: Bools, from_s: float) -> None:
        """Discard evidence of these series since a moment, because an ended incident explains it: tests restart,
        breaches of that time end, and nothing is learned from it. Earlier changes stay."""
        explained = which & ~((self.alarm | self.note) & (self.since_s < from_s))
        self._clear(explained, self.end_s)
        self.baseline.drop_recent(explained)
        for sums in (self.recent, self.lately):
            sums[explained] = 0.0
        if explained[:1].any():
            self.lag.forget_recent()

    def sums_for_size(self, place: int) -> Floats:
        """The sums for the size of a breach: the recent ones, or those since the start of a younger breach."""
        since, latest = self.onset[place], self.recent[place]
        is_young = (self.alarm[place] or self.note[place]) and 0 < since[WindowPart.USUAL] < latest[WindowPart.USUAL]
        result: Floats = since if is_young else latest
        return result

    def change(self) -> Floats:
        """Counted over expected recently; NaN if nothing is expected."""
        return ratio(self.recent[:, WindowPart.COUNT], self.recent[:, WindowPart.USUAL])

    def _raise(
        self, step: SequentialStep, parameters: SequentialParameters, known: Bools, false_per_day: Floats
    ) -> None:
        evidence, least = self.evidence, LEAST_ESTIMATE * parameters.least_effect
        lengths = evidence.lengths(step.dt_s)
        found, y, mu = evidence.scan(
            lengths,
            self.estimated_from,
            rise=parameters.rise,
            end_s=step.end_s,
            allowance=self.batches.largest_batch() * self.reference,
        )
        enough = found >= log_threshold(false_per_day, lengths)
        if not enough.any():
            return
        enough &= y >= mu * (1 + least) if parameters.rise else y <= mu * (1 - least)
        enough &= np.maximum(y, mu) >= parameters.least_sample
        raised = enough.any(axis=1) & known & ~self.alarm & ~self.note
        places = np.flatnonzero(raised)
        if not len(places):
            return
        since_s, sums = evidence.onset(places, rise=parameters.rise)
        self.note |= raised
        self.since_s[places], self.onset[places] = since_s, sums
        self.onset[places, WindowPart.USUAL] = sums[:, WindowPart.INPUT] * self.level[places]
        self.before[places] = self.own[places]
        self.recovery[places] = 0.0

    def _escalate(self, step: SequentialStep, parameters: SequentialParameters) -> None:
        """Make alarms of the notes with a loss."""
        if step.opening.may_alarm and self.were_alarms_off and self.note.any():
            self._clear(self.note.copy(), step.end_s)
        self.were_alarms_off = not step.opening.may_alarm
        if not self.note.any() or self.were_alarms_off:
            return
        needs_loss = parameters.rise or step.opening.needs_loss
        lost = self.note & (self._is_lost(step, parameters) if needs_loss else self._is_still_low(step, parameters))
        if parameters.late_s:
            lost = lost & (self.missing_s(parameters) >= parameters.late_s)
            lost[1:] &= ~(self._is_of_whole() & self.note[0] & ~lost[0])[1:]
        if step.opening.is_after and not parameters.rise:
            lost = lost & self._is_no_delay(step, parameters)
        if lost[:1].any() and not parameters.rise and self._is_shift_of_mix(step):
            lost[0] = False
        if not lost.any():
            return
        self.alarm |= lost
        self.note &= ~lost
        self.tracking &= ~lost
        self.alarm_s[lost] = step.end_s
        self.baseline.drop_recent(lost)
        if lost[:1].any():
            self.lag.forget_recent()

    def _since(self, step: SequentialStep) -> Floats:
        """Sums since the start of each breach, or of the latest 128 s of longer ones."""
        latest, _ = self.evidence.window(_LATEST_LENGTH, step.end_s)
        result: Floats = np.where((step.end_s - self.since_s > _LATEST_S)[:, None], latest, self.onset)
        return result

    def _is_still_low(self, step: SequentialStep, parameters: SequentialParameters) -> Bools:
        """Whether the latest counts are below the usual level: a note may outlast what it was raised for."""
        window, least = self._since(step), 1 - LEAST_ESTIMATE * parameters.least_effect
        result: Bools = window[:, WindowPart.COUNT] <= least * window[:, WindowPart.USUAL]
        return result

    def _is_shift_of_mix(self, step: SequentialStep) -> bool:
        age_s = min(max(step.end_s - self.since_s[0], LENGTHS_S[_SHORT_LENGTH]), LENGTHS_S[_LATEST_LENGTH])
        window, _ = self.evidence.window(math.ceil(math.log2(age_s)), step.end_s)
        return is_shift_of_mix(window, self.level, step.dimensions)

    def _is_no_delay(self, step: SequentialStep, parameters: SequentialParameters) -> Bools:
        """Whether more is missing than one lag would hold back, the learned or the configured one, whichever is longer,
        or more in the latest window than exponential delays of that mean still would."""
        lag_s = max(self.lag.mean_s(self.chain.stage_s), parameters.lag_s)
        length = min(round(math.log2(max(lag_s, 1.0))), len(LENGTHS_S) - 1)
        latest, start_s = self.evidence.window(length, step.end_s)
        held_back = np.exp(np.minimum(self.since_s - start_s, 0.0) / max(lag_s, 1.0))
        most = 1 - LEAST_ESTIMATE * parameters.least_effect - held_back
        expected = latest[:, WindowPart.EXPECTED]
        is_still: Bools = latest[:, WindowPart.COUNT] <= most * expected - np.sqrt(expected)
        return is_still | (self.missing_s(parameters) >= lag_s)

    def _is_of_whole(self) -> Bools:
        """Whether the whole shop falls at least half as far."""
        change = np.nan_to_num(ratio(self.onset[:, WindowPart.COUNT], self.onset[:, WindowPart.USUAL]), nan=1.0)
        result: Bools = 2 * (1 - change[0]) >= 1 - change
        return result

    def _is_lost(self, step: SequentialStep, parameters: SequentialParameters) -> Bools:
        """Whether own trends show a loss; marks notes in which tracking is lost."""
        trends = OwnTrends(self.before, self.hourly, self.crowd, self.baseline.trend_dispersion())
        age_s = step.end_s - self.since_s
        window = self._since(step)
        if parameters.rise:
            return has_risen(window, trends, parameters.least_effect)
        lost = has_fallen(window, self.onset, trends, parameters.least_effect)
        if not parameters.loss_lag_s:
            return lost
        latest, _ = self.evidence.window(_FOLLOWED_LENGTH, step.end_s)
        followed, untracked = is_followed(window, latest, self.onset, age_s, trends)
        self.tracking = self.note & untracked & (age_s >= 2 * parameters.loss_lag_s)
        return lost & followed

    def _learn(
        self, step: SequentialStep, parameters: SequentialParameters, sums: Floats, known: Bools, outputs: Floats
    ) -> None:
        learnable = ~self.alarm & ~step.frozen
        parts = np.empty((len(learnable), N_PARTS))
        parts[:, MinutePart.COUNT], parts[:, MinutePart.INPUT] = step.count, sums[:, WindowPart.INPUT]
        parts[:, MinutePart.GMV], parts[:, MinutePart.LOSS] = step.gmv, sums[:, WindowPart.LOSS]
        parts[:, MinutePart.PER], parts[:, MinutePart.SECONDS] = step.per, step.dt_s
        self.baseline.add(parts * learnable[:, None])
        quiet = known & ~self.alarm & ~self.note & ~step.frozen
        self.evidence.learn(quiet, level=self.level, rise=parameters.rise, end_s=step.end_s, dt_s=step.dt_s)
        if learnable[0]:
            self.block_count += float(step.count[0])
            self.block_outputs += outputs[0] * step.dt_s
        if step.end_s % BLOCK_S < step.dt_s:
            if learnable[0]:
                self.lag.add(self.block_count, self.block_outputs)
            self.block_count, self.block_outputs = 0.0, np.zeros_like(self.block_outputs)
        if step.end_s % MINUTE_S < step.dt_s:
            self.batches.end_minute(self.baseline.minute[:, MinutePart.PER])
            uses_short_level = (self.note | self.uses_short_level) & (self.crowd > 1)
            if parameters.late_s:
                minute = self.baseline.minute
                usual = self.level * minute[:, MinutePart.INPUT]
                dispersion = self.evidence.dispersion[:, _END_LENGTH]
                learnable &= ~self.arrears.take_minute(minute[:, MinutePart.COUNT], usual, dispersion)
            self.baseline.end_minute(learnable, uses_short_level | (known & step.opening.is_around))
            self._refresh_levels(parameters)
        if step.end_s % _LEARN_EVERY_S < step.dt_s:
            self.lag.learn(float(self.dispersion[0]))

    def _refresh_levels(self, parameters: SequentialParameters) -> None:
        """Copy the levels from the baseline."""
        self.level = np.nan_to_num(self.baseline.level())
        reference, self.estimated_from, self.uses_short_level = self.baseline.reference(
            self.evidence.dispersion[:, _END_LENGTH], rise=parameters.rise
        )
        self.reference = np.nan_to_num(reference)
        self.own, self.crowd, self.hourly = self.baseline.rates(), self.baseline.crowd(), self.baseline.hourly()
