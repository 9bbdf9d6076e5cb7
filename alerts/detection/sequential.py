"""Detector of sequential rules on counters."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from alerts.detection.contributors import DimensionBreakdown, contributors, find_explaining_part
from alerts.detection.detector import Breach, MeanValue, Observation, RevenueRate, SeriesCounts
from alerts.detection.openings import opening_effects
from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import WHOLE_SHOP, SeriesIndex, to_label, to_labels
from alerts.findings import SAME_INCIDENT_WITHIN_MS, EventRate, ExpectedRange, FindingReason, Series, siblings
from alerts.rules.detect import AnyDetector, Direction, SequentialDetector
from alerts.rules.rule import LossMethod, Rule, RuleScope
from alerts.statistics.arrays import Bools, Floats, Ints, ratio
from alerts.statistics.baseline import HOUR, MinutePart
from alerts.statistics.evidence import false_alarms_per_day
from alerts.statistics.losses import lacking_events, never_paid
from alerts.statistics.sequential import SequentialState
from alerts.statistics.steps import SequentialParameters, SequentialStep, WindowPart
from streams.panes.counters import Unit

evaluated_first = False
_LATELY_LENGTH = 7
"""Length index of the window of the last two minutes."""
_SURELY_MISSING = 5.0
"""Events are missing, and not only late, from this multiple of `late` on."""
_YOUNG_S = 150.0
"""Losses of a younger breach are measured since its start: sums over about a minute still hold the time before it."""
_FOLLOWED_LAGS = 3.0
"""Until this multiple of `loss_lag`, lost orders are those that the missing events would have become."""
_RISE_ERRORS = 2.0
"""Standard errors by which more may be missing from the own trend of payments: few come in the first seconds."""


@dataclass(slots=True)
class SequentialMemory:
    """Memory of one sequential rule."""

    state: SequentialState
    places: SeriesIndex = field(default_factory=lambda: SeriesIndex.from_labels([WHOLE_SHOP]))
    """The series by array index."""
    watched: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Which series are in the rule's scopes; the whole shop is always tracked."""
    explaining_part: ScopeValue | None = None
    """The part that explains an alarm of the whole shop, while the alarm lasts."""

    @classmethod
    def of(cls, detect: SequentialDetector) -> SequentialMemory:
        """Create an empty memory."""
        return cls(SequentialState.of(detect.lag))


def signature(rule: Rule) -> str:
    """Identify the counters, delay and direction."""
    detect = _config(rule.detect)
    counters = "|".join(",".join(names) for names in (detect.count, detect.per, detect.loss))
    return f"sequential {counters}|{detect.lag}|{detect.direction}"


def new_memory(rule: Rule) -> SequentialMemory:
    """Create an empty memory."""
    return SequentialMemory.of(_config(rule.detect))


def sequential_parameters(detect: SequentialDetector) -> SequentialParameters:
    """The parameters of the test."""
    return SequentialParameters(
        detect.direction is Direction.RISE,
        detect.least_effect,
        detect.least_sample,
        detect.least_baseline,
        detect.lag,
        detect.late,
        detect.loss_lag if _follows(detect) else 0.0,
    )


def _follows(detect: SequentialDetector) -> bool:
    """Whether the lost events are later ones than the counted."""
    return bool(detect.loss) and detect.loss != detect.count


def observe(memory: SequentialMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Observe panes, also while the rule does not apply. Nothing is learned while a data fault loses events."""
    rule, detect, panes, skus = effective.rule, _config(effective.detect), observation.inputs.panes, observation.skus
    series, state = memory.places, memory.state
    scopes = frozenset(rule.for_each)
    for label in panes.labels:
        if label[0] in scopes and label not in series.of and _is_watched(rule, label, skus):
            series.add(label)
    size = len(series)
    state.fit(size)
    memory.watched = series.mask([label[0] in scopes and _is_watched(rule, label, skus) for label in series.labels])
    rows = series.rows(observation.row_of)
    false_per_day = false_alarms_per_day(observation.budgets[rule.name], np.arange(size) == 0)
    opening = opening_effects(observation.inputs, detect)
    parameters = sequential_parameters(detect)
    dimensions = _dimensions(memory, rule)
    is_frozen = observation.loses_events(rule) | _in_open_incidents(memory, rule, detect, observation)
    for start_s, end_s in _coalesced_steps(memory, detect, panes, rows, observation.steps):
        count, per, gmv = (panes.counts(names, rows, start_s, end_s) for names in (detect.count, detect.per, ("gmv",)))
        loss = panes.counts(detect.loss, rows, start_s, end_s) if _follows(detect) else None
        if start_s == observation.steps[0][0]:  # late events count when they arrive
            late = ((count, detect.count), (per, detect.per), (gmv, ("gmv",)), (loss, detect.loss))
            for sums, names in late:
                if sums is not None:
                    sums += panes.corrections(names, rows)
        dt_s = end_s - start_s
        step = SequentialStep(end_s, dt_s, count, per, gmv, is_frozen, loss, opening=opening, dimensions=dimensions)
        state.step(step, parameters, false_per_day)


def _coalesced_steps(
    memory: SequentialMemory, detect: SequentialDetector, panes: Panes, rows: Ints, steps: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """The steps, coalesced into one while no `per` event has occurred, which changes no result."""
    if len(steps) < 2 or memory.state.chain.held.any():
        return steps
    whole = steps[0][0], steps[-1][1]
    return steps if panes.counts(detect.per, rows, *whole).any() else [whole]


def _in_open_incidents(
    memory: SequentialMemory, rule: Rule, detect: SequentialDetector, observation: Observation
) -> Bools:
    """The series whose counts another rule's alert changes, such as payments while more of them fail."""
    affected = [
        to_label(labels)
        for other, labels in observation.open_incidents
        if other.name != rule.name and other.incident == rule.incident and rule.incident
        if isinstance(other.detect, SequentialDetector) and not set(other.detect.count).isdisjoint(detect.count)
    ]
    is_whole = WHOLE_SHOP in affected
    return memory.places.mask(
        [is_whole or label in affected or (bool(affected) and label == WHOLE_SHOP) for label in memory.places.labels]
    )


def _is_watched(rule: Rule, label: ScopeValue, skus: frozenset[str]) -> bool:
    """Whether the label is in the rule's scopes."""
    scope, value = label
    if rule.values and scope != RuleScope.ALL and value not in rule.values:
        return False
    return not (rule.promoted and scope == RuleScope.SKU and value not in skus)


def breaches(memory: SequentialMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the breaches."""
    rule, detect, revenue = effective.rule, _config(effective.detect), observation.revenue
    state = memory.state
    rise = detect.direction is Direction.RISE
    for index in np.flatnonzero(state.note & memory.watched).tolist():
        breach = _breach(memory, rule, index, rise, revenue)
        yield replace(breach, has_no_loss=True, is_tracking_loss=bool(state.tracking[index]))
    alarms = np.flatnonzero(state.alarm & memory.watched).tolist()
    if 0 not in alarms:
        memory.explaining_part = None
    for index in alarms:
        parts = _dimension_breakdowns(memory, rule) if index == 0 else {}
        breach = _breach(memory, rule, index, rise, revenue)
        if index == 0:
            memory.explaining_part = find_explaining_part(
                parts, least_effect=detect.least_effect, rise=rise, explaining_part=memory.explaining_part
            )
            breach = replace(breach, contributors=contributors(parts), explained_by=memory.explaining_part)
        yield breach
    if memory.explaining_part is not None and not state.alarm[memory.places.of[memory.explaining_part]]:
        since_ms = int(state.since_s[0]) * 1000
        child = _breach(memory, rule, memory.places.of[memory.explaining_part], rise, revenue)
        changes = state.change()[[0, memory.places.of[memory.explaining_part]]] * (1 if rise else -1)
        if changes[1] >= changes[0]:  # in the first seconds it may be chance which part is named
            yield replace(child, since_ms=since_ms, money_lost=None, mean=None, lately=None)


def discard_explained(memory: SequentialMemory, rule: Rule, root: Series, since_ms: int) -> None:
    """Discard the evidence that an ended incident explains.

    A different value of its dimension, or a breach that started well before, is a separate incident.
    """
    own = [siblings(Series(rule.name, to_labels(label)), root) for label in memory.places.labels]
    memory.state.discard_since(~memory.places.mask(own), (since_ms - SAME_INCIDENT_WITHIN_MS) / 1000)


def discard(memory: SequentialMemory, series: Series) -> None:
    """Start the test of a series again."""
    label = to_label(series.labels)
    memory.state.discard_since(memory.places.mask([one == label for one in memory.places.labels]), 0.0)


def discard_faulty(memory: SequentialMemory, rule: Rule, kept: Container[Series], since_ms: int) -> None:
    """Discard the evidence since the start of a data fault, except of the series in `kept`."""
    chosen = [Series(rule.name, to_labels(label)) not in kept for label in memory.places.labels]
    memory.state.discard_since(memory.places.mask(chosen), since_ms / 1000)


def counts(memory: SequentialMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the series; those without any event are TOO_FEW, others without a baseline LEARNING."""
    detect = _config(effective.detect)
    waiting = memory.watched & ~memory.state.ready(sequential_parameters(detect))
    few = int((waiting & (memory.state.baseline.seen() < 1)).sum())
    learning = int(waiting.sum()) - few
    return SeriesCounts(
        int(memory.watched.sum()) - learning - few,
        {FindingReason.LEARNING: learning, FindingReason.TOO_FEW: few},
        _lacks(memory, detect, waiting) if waiting.any() else "",
    )


def _lacks(memory: SequentialMemory, detect: SequentialDetector, waiting: Bools) -> str:
    """What the waiting series with most events lacks."""
    counted = float(memory.state.baseline.counted[waiting].max())
    missing = []
    if counted < detect.least_baseline:
        missing.append(f"{counted:,.0f} of {detect.least_baseline:,.0f} {' and '.join(detect.count)} in the baseline")
    if (known_in_s := memory.state.lag_known_in_s()) > 0:
        missing.append(f"{math.ceil(known_in_s / 60)} min until the lag is known")
    return ", ".join(missing)


def status(memory: SequentialMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached, and its latest rate."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None:
        return FindingReason.GONE, None
    value = None
    if index < len(memory.state.recent):
        count, inputs = (float(memory.state.recent[index, part]) for part in (WindowPart.COUNT, WindowPart.INPUT))
        value = count / inputs if inputs > 0 else None
    if index >= len(memory.watched) or not memory.watched[index]:
        return FindingReason.GONE, value
    if memory.state.renewed[index]:
        return FindingReason.NEW_NORMAL, value
    ready = memory.state.ready(sequential_parameters(_config(effective.detect)))[index]
    return FindingReason.WITHIN if ready else FindingReason.LEARNING, value


def _config(detect: AnyDetector) -> SequentialDetector:
    assert isinstance(detect, SequentialDetector)
    return detect


def _breach(memory: SequentialMemory, rule: Rule, index: int, rise: bool, revenue: RevenueRate) -> Breach:
    state = memory.state
    seen = state.sums_for_size(index)
    count, expected, inputs = (float(seen[part]) for part in (WindowPart.COUNT, WindowPart.USUAL, WindowPart.INPUT))
    level, dispersion = float(state.level[index]), float(state.dispersion[index])
    spread = 2 * float(np.sqrt(dispersion * max(expected, 1.0))) / inputs if inputs > 0 else 0.0
    money, lost = (None, None) if rule.money is None else _money(memory, rule, index, rise, revenue)
    label = memory.places.labels[index]
    return Breach(
        rule=rule.name,
        label=label,
        labels=to_labels(label),
        reason=FindingReason.EVIDENCE,
        unit=Unit.RATIO,
        value=count / inputs if inputs > 0 else None,
        expected=level,
        interval=ExpectedRange(max(0.0, level - spread), level + spread),
        rate=_event_rate(count, expected, inputs, float(state.inputs[index]), spread),
        since_ms=int(state.since_s[index]) * 1000,
        money_per_minute=None if money is None or not np.isfinite(money) else money,
        money_lost=None if lost is None or not np.isfinite(lost) else lost,
        mean=_mean(state.onset[index], dispersion),
        lately=_mean(state.evidence.window(_LATELY_LENGTH, state.end_s)[0][index], dispersion),
        weight=_weight(memory, index),
        may_come=_may_come(state, _config(rule.detect), index),
    )


def _may_come(state: SequentialState, detect: SequentialDetector, index: int) -> bool:
    """Whether the missing events may only be late."""
    if not detect.late or detect.direction is Direction.RISE:
        return False
    return bool(state.missing_s(sequential_parameters(detect))[index] < _SURELY_MISSING * detect.late)


def _mean(since: Floats, dispersion: float) -> MeanValue | None:
    """The ratio of some sums."""
    inputs = float(since[WindowPart.INPUT])
    if inputs <= 0:
        return None
    spread = 2 * math.sqrt(dispersion * max(float(since[WindowPart.USUAL]), 1.0)) / inputs
    return MeanValue(float(since[WindowPart.COUNT]) / inputs, spread)


def _weight(memory: SequentialMemory, index: int) -> float | None:
    """Usual share of the shop's revenue in a series."""
    gmv = memory.state.baseline.decayed[:, HOUR, MinutePart.GMV]
    return float(gmv[index] / gmv[0]) if gmv[0] > 0 else None


def _money(memory: SequentialMemory, rule: Rule, index: int, rise: bool, revenue: RevenueRate) -> tuple[float, float]:
    """Revenue lost (a minute, since the start), minor units.

    The lost events are those missing from the series' own trend, at most those that the ratio lacks; where the trend is
    no reference, the latter.
    """
    if rule.money is LossMethod.ALL_OF_IT:
        return revenue.gmv_per_minute, revenue.gmv_per_minute * _age_s(memory, index) / 60
    state, detect = memory.state, _config(rule.detect)
    since, seen = state.onset[index], state.sums_for_size(index)
    sign = 1.0 if rise else -1.0
    usual = max(float(seen[WindowPart.USUAL]), 1e-9)
    by_ratio = max(0.0, sign * (float(seen[WindowPart.COUNT]) / usual - 1)) * float(
        state.level[index] * state.inputs[index]
    )
    lost_by_ratio = max(0.0, sign * float(since[WindowPart.COUNT] - since[WindowPart.USUAL]))
    if rise and not detect.loss:
        return 60 * by_ratio * revenue.aov, lost_by_ratio * revenue.aov
    if rise:
        unpaid = never_paid(float(seen[WindowPart.COUNT]), float(seen[WindowPart.INPUT]))
        by_ratio, lost_by_ratio = by_ratio * unpaid, lost_by_ratio * unpaid
    own, hourly = state.before[index], state.baseline.decayed[index, HOUR]
    age_s, of_loss = _age_s(memory, index), 1.0
    counted, trend = WindowPart.LOSS, float(own[MinutePart.LOSS])
    if not rise and hourly[MinutePart.COUNT] > 0:  # lost events for each counted one
        share = float(hourly[MinutePart.LOSS] / hourly[MinutePart.COUNT])
        by_ratio, lost_by_ratio = by_ratio * share, lost_by_ratio * share
        if age_s < _FOLLOWED_LAGS * detect.loss_lag:  # most of the lost events would come later
            of_loss, counted, trend = share, WindowPart.COUNT, float(own[MinutePart.COUNT])
    dispersion = float(state.baseline.trend_dispersion()[index, 1])
    errors = _RISE_ERRORS if rise else 0.0
    latest = since if age_s < _YOUNG_S else state.lately[index]
    missing = partial(lacking_events, trend=trend, dispersion=dispersion, errors=errors)
    lacking, lacked = (
        of_loss * missing(seconds=float(window[WindowPart.SECONDS]), counted=float(window[counted]))
        for window in (latest, since)
    )
    lacking /= max(float(latest[WindowPart.SECONDS]), 1.0)
    if not rise and lacked == 0.0:  # an alarm without a fall of its own: traffic has risen
        lacking, lacked = by_ratio, lost_by_ratio
    gmv = float(state.baseline.gmv_per(MinutePart.LOSS)[index])
    return 60 * gmv * min(lacking, by_ratio), gmv * min(lacked, lost_by_ratio)


def _age_s(memory: SequentialMemory, index: int) -> float:
    return float(memory.state.onset[index, WindowPart.SECONDS])


def _event_rate(count: float, expected: float, inputs: float, input_rate: float, spread: float) -> EventRate | None:
    """Counted and expected events a minute, at the present rate of `per` events."""
    if inputs <= 0 or input_rate <= 0:
        return None
    minute = 60 * input_rate
    usual = expected / inputs
    return EventRate(
        minute * count / inputs, ExpectedRange(minute * max(0.0, usual - spread), minute * (usual + spread))
    )


def _dimension_breakdowns(memory: SequentialMemory, rule: Rule) -> Mapping[str, DimensionBreakdown]:
    """The whole shop by each scope of the rule: usual and recent values."""
    state = memory.state
    breakdowns: dict[str, DimensionBreakdown] = {}
    for indexes in _dimensions(memory, rule):
        slow, lately = state.baseline.decayed[indexes, HOUR], state.lately[indexes]
        breakdowns[memory.places.labels[indexes[0]][0]] = DimensionBreakdown(
            labels=[memory.places.labels[i] for i in indexes.tolist()],
            usual_share=_shares(slow[:, MinutePart.INPUT]),
            share=_shares(lately[:, WindowPart.INPUT]),
            usual_rate=ratio(slow[:, MinutePart.COUNT], slow[:, MinutePart.INPUT]),
            rate=ratio(lately[:, WindowPart.COUNT], lately[:, WindowPart.INPUT]),
            counted=lately[:, WindowPart.COUNT],
            expected=lately[:, WindowPart.USUAL],
        )
    return breakdowns


def _dimensions(memory: SequentialMemory, rule: Rule) -> Sequence[Ints]:
    """The watched series of each dimension of the rule that has two or more; not of SKUs, as most are not watched."""
    scopes = [scope for scope in rule.for_each if scope not in (RuleScope.ALL, RuleScope.SKU)]
    places = [np.array([label[0] == scope for label in memory.places.labels], np.bool_) for scope in scopes]
    found = [np.flatnonzero(one & memory.watched) for one in places]
    return [indexes for indexes in found if len(indexes) > 1]


def _shares(amounts: Floats) -> Floats:
    total = amounts.sum()
    return amounts / total if total > 0 else amounts
