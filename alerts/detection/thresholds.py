"""Detector of threshold and change rules on tables.

A series keeps its condition until it has lacked data for its whole window and for at least 5 min; then it is stale, and
its breach ends. Prometheus treats a series without samples as stale after 5 min ("Staleness"), Grafana after two
evaluations ("Stale alert instances"). Time in which the numbers are unreliable does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.detector import Breach, Observation, SeriesCounts
from alerts.detection.inputs import DetectionInputs, Table
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import SeriesIndex, to_label, to_labels
from alerts.findings import ExpectedRange, FindingReason, Series
from alerts.rules.detect import AnyDetector, ChangeDetector, Direction, ReferencePeriod, ThresholdDetector
from alerts.rules.rule import LossMethod, Rule, RuleScope
from alerts.rules.values import unit_of
from alerts.statistics.arrays import Bools, Floats, Ints, resized
from alerts.statistics.limits import ChangeBaseline, WeeklyHistory, breached_with_hysteresis, changed, usual
from streams.model.windows import LENGTH_S

evaluated_first = False
HISTORY_MIN = 60
"""Minutes of history for the reference RECENT."""
_LEFT_OUT_MIN = 5
"""The latest minutes, which are evaluated and so excluded from their own reference."""
_LEAST_MIN = 15
"""Minimum number of known minutes for that reference."""
_DAY_S = 86_400
_STALE_LEAST_S = 300
"""Minimum time without data until a series is stale."""


@dataclass(slots=True)
class ThresholdMemory:
    """Memory of one threshold or change rule. Arrays are by series."""

    places: SeriesIndex = field(default_factory=SeriesIndex)
    """The series by array index."""
    breached: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the series is breached."""
    since_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Start of the breach."""
    value: Floats = field(default_factory=lambda: np.zeros(0))
    """The latest number; NaN: none."""
    known: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether there is enough data."""
    evaluable: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether there is also a reference."""
    evaluable_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """When data and reference last existed, plus the time since then in which the numbers were unreliable."""
    stale: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether `evaluable_ms` is too long ago."""
    seen: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the series is in the rule's scopes now."""
    history: Floats = field(default_factory=lambda: np.zeros((0, HISTORY_MIN)))
    """# [series, minute]: for change rules that compare with RECENT; NaN if unknown"""
    minute: int = -1
    """The newest minute of the history, since the epoch."""
    as_of_ms: int = 0
    """The last evaluated as-of; 0: none."""
    weeks: WeeklyHistory = field(default_factory=WeeklyHistory)
    """For threshold rules with `beyond_usual`."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.breached, self.known = resized(self.breached, size), resized(self.known, size)
        self.seen, self.since_ms = resized(self.seen, size), resized(self.since_ms, size)
        self.evaluable = resized(self.evaluable, size)
        self.evaluable_ms, self.stale = resized(self.evaluable_ms, size), resized(self.stale, size)
        self.value = resized(self.value, size, np.nan)
        self.history = resized(self.history, size, np.nan)


@dataclass(frozen=True, slots=True)
class _ScopeNumbers:
    """One scope's numbers by series index."""

    at: Ints
    """# [row]: index"""
    values: Floats
    enough: Bools
    money: Floats
    """Minor units per minute."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits of a threshold rule by series."""

    limit: Floats
    clear: Floats
    above: bool

    @property
    def known(self) -> Bools:
        return np.ones(len(self.limit), np.bool_)

    def breached(self, values: Floats, was: Bools) -> Bools:
        return breached_with_hysteresis(values, was, limit=self.limit, clear=self.clear, above=self.above)

    def describe(self, i: int, value: float) -> tuple[float | None, ExpectedRange | None, float | None]:
        """(expected value, expected range, `fired_beyond`) of a breach."""
        inside = value <= self.limit[i] if self.above else value >= self.limit[i]
        limit = float(self.clear[i] if inside else self.limit[i])  # inside the limit, but not clear yet
        interval = ExpectedRange(None, limit) if self.above else ExpectedRange(limit, None)
        return None, interval, float(self.limit[i]) if inside else None


@dataclass(frozen=True, slots=True)
class _Reference:
    """The reference of a change rule by series."""

    detect: ChangeDetector
    baseline: ChangeBaseline

    @property
    def known(self) -> Bools:
        return ~np.isnan(self.baseline.middle)

    def breached(self, values: Floats, was: Bools) -> Bools:
        detect = self.detect
        return changed(
            values,
            self.baseline,
            was,
            by=detect.by,
            clear_by=detect.by / 2 if detect.clear_by is None else detect.clear_by,
            spreads=detect.spreads,
            rise=detect.direction is Direction.RISE,
        )

    def describe(self, i: int, value: float) -> tuple[float | None, ExpectedRange | None, float | None]:
        middle = float(self.baseline.middle[i])
        return None if np.isnan(middle) else middle, None, None


def signature(rule: Rule) -> str:
    """Identify the number, window and direction."""
    detect = _config(rule.detect)
    direction = f" {detect.direction}" if isinstance(detect, ChangeDetector) else ""
    return f"{detect.kind} {detect.value} {detect.window}{direction}"


def new_memory(rule: Rule) -> ThresholdMemory:
    """Create an empty memory."""
    return ThresholdMemory()


def observe(memory: ThresholdMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Do nothing: the memory changes with the breaches."""


def breaches(memory: ThresholdMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the breaches. Unreliable numbers change nothing."""
    detect, inputs, skus = _config(effective.detect), observation.inputs, observation.skus
    frozen = observation.is_frozen(effective.rule)
    if frozen and memory.as_of_ms:
        memory.evaluable_ms[memory.evaluable_ms > 0] += inputs.as_of_ms - memory.as_of_ms
    memory.as_of_ms = inputs.as_of_ms
    before, memory.seen = memory.seen, np.zeros(len(memory.places), np.bool_)
    for scope in effective.rule.for_each:
        table = inputs.tables.get((detect.window, scope))
        if table is None:  # the numbers of what was seen last are unknown
            labels = (memory.places.labels[index] for index in np.flatnonzero(before).tolist())
            table = Table(tuple(value for name, value in labels if name == scope), {})
        numbers = _numbers(memory, effective, detect, scope, table, skus)
        reference: _Reference | _Limits
        if isinstance(detect, ChangeDetector):
            reference = _Reference(detect, _baseline(memory, detect, scope, numbers, inputs))
        else:
            reference = _limits(memory, detect, numbers, inputs.as_of_ms, frozen=frozen)
        if not frozen:
            _update_breached(memory, detect, numbers, reference, inputs.as_of_ms)
        yield from _breaches_of_scope(memory, effective, detect, numbers, reference)
    memory.breached[~memory.seen] = False


def status(memory: ThresholdMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached, and its latest number."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None:
        return FindingReason.GONE, None
    value = float(memory.value[index]) if index < len(memory.value) and memory.known[index] else None
    if index >= len(memory.seen) or not memory.seen[index]:
        return FindingReason.GONE, value
    if memory.stale[index]:
        return FindingReason.STALE, value
    return FindingReason.WITHIN if memory.known[index] else FindingReason.NO_DATA, value


def counts(memory: ThresholdMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the series; those without enough data are NO_DATA, those without a reference LEARNING."""
    detect = _config(effective.detect)
    missing = int((memory.seen & ~memory.known).sum())
    learning = int((memory.seen & memory.known & ~memory.evaluable).sum())
    lacks = ""
    if missing:
        least = "" if detect.least is None else f", or fewer than {detect.least[1]:,.0f} {detect.least[0]}"
        lacks = f"no {detect.value} in {detect.window}{least}"
    elif learning and isinstance(detect, ChangeDetector):
        lacks = f"no value of {' or '.join(detect.against)} to compare with"
    return SeriesCounts(
        int((memory.seen & memory.evaluable).sum()),
        {FindingReason.NO_DATA: missing, FindingReason.LEARNING: learning},
        lacks,
    )


def _config(detect: AnyDetector) -> ThresholdDetector | ChangeDetector:
    assert isinstance(detect, ThresholdDetector | ChangeDetector)
    return detect


def _numbers(
    memory: ThresholdMemory,
    effective: EffectiveRule,
    detect: ThresholdDetector | ChangeDetector,
    scope: RuleScope,
    table: Table,
    skus: frozenset[str],
) -> _ScopeNumbers:
    rule = effective.rule
    selected = [
        (row, index)
        for row, value in enumerate(table.values)
        if not (rule.promoted and scope is RuleScope.SKU and value not in skus)
        and not (rule.values and value not in rule.values)
        and (index := memory.places.add((scope.value, value))) >= 0
    ]
    memory.fit(len(memory.places))
    rows = np.array([row for row, _ in selected], np.int64)
    at = np.array([index for _, index in selected], np.int64)
    values = table.column(detect.value)[rows]
    enough = ~np.isnan(values)
    if detect.least is not None:
        enough &= np.nan_to_num(table.column(detect.least[0])[rows]) >= detect.least[1]
    memory.seen[at] = True
    memory.value[at], memory.known[at] = values, enough
    minutes = LENGTH_S.get(detect.window, _DAY_S) / 60
    money = table.column("undispatched_gmv" if rule.money is LossMethod.DELAYED else "gmv")[rows]
    return _ScopeNumbers(at, values, enough, money / minutes)


def _limits(
    memory: ThresholdMemory, detect: ThresholdDetector, numbers: _ScopeNumbers, as_of_ms: int, *, frozen: bool
) -> _Limits:
    """The rule's limits, shifted where the usual value is beyond them."""
    clear = detect.limit if detect.clear is None else detect.clear
    usual_now = np.full(len(numbers.at), np.nan)
    by = detect.beyond_usual or 0.0
    if by:
        memory.weeks.fit(len(memory.places))
        if not frozen:
            memory.weeks.remember(numbers.at, numbers.values, as_of_ms)
        usual_now = memory.weeks.usual(numbers.at)
    sign = 1.0 if detect.above is not None else -1.0
    usually_beyond = sign * usual_now > sign * detect.limit
    return _Limits(
        np.where(usually_beyond, usual_now + sign * by, detect.limit),
        np.where(usually_beyond, usual_now + sign * by / 2, clear),
        above=detect.above is not None,
    )


def _baseline(
    memory: ThresholdMemory, detect: ChangeDetector, scope: RuleScope, numbers: _ScopeNumbers, inputs: DetectionInputs
) -> ChangeBaseline:
    """The reference by series, from the first period that has one."""
    middle, spread = np.full(len(numbers.at), np.nan), np.zeros(len(numbers.at))
    labels = [memory.places.labels[index][1] for index in numbers.at.tolist()]
    _remember(memory, numbers, inputs.as_of_ms)
    for against in detect.against:
        if against is ReferencePeriod.RECENT:
            past = memory.history[numbers.at, :-_LEFT_OUT_MIN].T
            past = np.where((~np.isnan(past)).sum(axis=0) >= _LEAST_MIN, past, np.nan)
        else:
            tables = inputs.past.get((detect.window, scope, against), ())
            past = np.array([_past(table, detect, labels) for table in tables], np.float64)
            past = past.reshape(len(tables), len(labels))
        comparable = usual(past)
        missing = np.isnan(middle)
        middle, spread = np.where(missing, comparable.middle, middle), np.where(missing, comparable.spread, spread)
    return ChangeBaseline(middle, spread)


def _remember(memory: ThresholdMemory, numbers: _ScopeNumbers, as_of_ms: int) -> None:
    minute = as_of_ms // 60_000
    shift = HISTORY_MIN if memory.minute < 0 else max(0, min(minute - memory.minute, HISTORY_MIN))
    if shift:
        memory.history = np.roll(memory.history, -shift, axis=1)
        memory.history[:, HISTORY_MIN - shift :] = np.nan
        memory.minute = minute
    learnable = numbers.enough & ~memory.breached[numbers.at]
    memory.history[numbers.at[learnable], -1] = numbers.values[learnable]


def _past(table: Table, detect: ChangeDetector, labels: list[str]) -> Floats:
    """The numbers of a comparable window; NaN if it had too little data."""
    values = _column(table, detect.value, labels)
    if detect.least is None:
        return values
    sample = np.nan_to_num(_column(table, detect.least[0], labels))
    result: Floats = np.where(sample >= detect.least[1], values, np.nan)
    return result


def _column(table: Table, name: str, labels: list[str]) -> Floats:
    row_of: Mapping[str, int] = {value: row for row, value in enumerate(table.values)}
    column = np.append(table.column(name), np.nan)
    result: Floats = column[[row_of.get(label, -1) for label in labels]]
    return result


def _update_breached(
    memory: ThresholdMemory,
    detect: ThresholdDetector | ChangeDetector,
    numbers: _ScopeNumbers,
    reference: _Reference | _Limits,
    as_of_ms: int,
) -> None:
    evaluable, was_breached = numbers.enough & reference.known, memory.breached[numbers.at]
    breached = reference.breached(np.where(numbers.enough, numbers.values, np.nan), was_breached)
    evaluable_ms = memory.evaluable_ms[numbers.at]
    evaluable_ms = np.where(evaluable | (evaluable_ms == 0), as_of_ms, evaluable_ms)
    stale = as_of_ms - evaluable_ms >= 1000 * max(LENGTH_S.get(detect.window, _DAY_S), _STALE_LEAST_S)
    breached &= ~stale
    memory.evaluable[numbers.at], memory.evaluable_ms[numbers.at], memory.stale[numbers.at] = (
        evaluable,
        evaluable_ms,
        stale,
    )
    memory.since_ms[numbers.at] = np.where(breached & ~was_breached, as_of_ms, memory.since_ms[numbers.at])
    memory.breached[numbers.at] = breached


def _breaches_of_scope(
    memory: ThresholdMemory,
    effective: EffectiveRule,
    detect: ThresholdDetector | ChangeDetector,
    numbers: _ScopeNumbers,
    reference: _Reference | _Limits,
) -> Iterator[Breach]:
    rule = effective.rule
    for i in np.flatnonzero(memory.breached[numbers.at]).tolist():
        index = int(numbers.at[i])
        label, value = memory.places.labels[index], float(numbers.values[i])
        expected, interval, fired_beyond = reference.describe(i, value)
        money = float(numbers.money[i]) if rule.money in (LossMethod.ALL_OF_IT, LossMethod.DELAYED) else None
        if rule.money is LossMethod.SHORTFALL and expected:
            money = float(numbers.money[i]) * max(0.0, expected / value - 1) if value > 0 else None
        yield Breach(
            rule=rule.name,
            label=label,
            labels=to_labels(label),
            reason=FindingReason.BEYOND if isinstance(detect, ThresholdDetector) else FindingReason.CHANGED,
            unit=unit_of(detect.value),
            value=None if np.isnan(value) else value,
            expected=expected,
            interval=interval,
            fired_beyond=fired_beyond,
            since_ms=int(memory.since_ms[index]),
            money_per_minute=None if money is None or np.isnan(money) else money,
            is_forecast=rule.money is LossMethod.DELAYED,
        )
