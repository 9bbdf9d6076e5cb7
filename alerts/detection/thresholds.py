"""Threshold and change rules: tables in, what is wrong out.

What there is nothing to judge by stays as it was, but not for ever: once its whole window has passed so, what was wrong
is *stale*, and over. Elsewhere a series without samples is stale after 5 min (Prometheus, "Staleness") or two
evaluations (Grafana, "Stale alert instances"); here a number that rests on too few events is still there, so that its
window, and no less than 5 min, is the time in which it would have said something. While the numbers are not to be
believed, that time stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.breach import Breach
from alerts.detection.inputs import DetectionInputs, Table
from alerts.detection.panes import ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import SeriesIndex, to_labels
from alerts.detectors.arrays import Bools, Floats, Ints, resized
from alerts.detectors.change import ChangeBaseline, changed, usual
from alerts.detectors.threshold import breached_with_hysteresis
from alerts.detectors.weeks import WeeklyHistory
from alerts.findings import ExpectedRange, FindingReason
from alerts.rules.detect import ChangeDetector, Direction, ReferencePeriod, ThresholdDetector
from alerts.rules.rule import LossMethod, RuleScope
from alerts.rules.values import unit_of
from streams.model.windows import LENGTH_S

HISTORY_MIN = 60
_LEFT_OUT_MIN = 5
"""The latest minutes of the own history: what is being judged is not what it is compared with."""
_LEAST_MIN = 15
_DAY_S = 86_400
_STALE_LEAST_S = 300


@dataclass(slots=True)
class ThresholdMemory:
    """What one threshold or change rule remembers. Arrays by series."""

    places: SeriesIndex = field(default_factory=SeriesIndex)
    wrong: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    since_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    value: Floats = field(default_factory=lambda: np.zeros(0))
    """The latest number, NaN where there is none."""
    known: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether there is a number to judge."""
    judged: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether there is also something to judge it by."""
    judged_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """When there last was both, and later by the time since in which the numbers were not to be believed."""
    stale: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether that is too long ago to say anything."""
    seen: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether it is of the rule's scopes now."""
    history: Floats = field(default_factory=lambda: np.zeros((0, HISTORY_MIN)))
    """# [series, minute]: of change rules that compare with RECENT; NaN where nothing is known"""
    minute: int = -1
    """The newest in the history, minutes since the epoch."""
    as_of_ms: int = 0
    """Of the last evaluation; 0: there was none."""
    weeks: WeeklyHistory = field(default_factory=WeeklyHistory)
    """Of threshold rules that ask what is usual."""

    def fit(self, size: int) -> None:
        """Room for so many series."""
        self.wrong, self.known = resized(self.wrong, size), resized(self.known, size)
        self.seen, self.since_ms = resized(self.seen, size), resized(self.since_ms, size)
        self.judged = resized(self.judged, size)
        self.judged_ms, self.stale = resized(self.judged_ms, size), resized(self.stale, size)
        self.value = resized(self.value, size, np.nan)
        self.history = resized(self.history, size, np.nan)


@dataclass(frozen=True, slots=True)
class _ScopeNumbers:
    """One scope's numbers in the order of places."""

    at: Ints
    """# [row]: place"""
    values: Floats
    enough: Bools
    money: Floats
    """Minor units a minute."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Of a threshold, series by series."""

    limit: Floats
    clear: Floats


def breaches(
    memory: ThresholdMemory, effective: EffectiveRule, snapshot: DetectionInputs, skus: frozenset[str], *, frozen: bool
) -> Iterator[Breach]:
    """The series that are wrong. `frozen`: the numbers are not to be believed, so everything stays as it was."""
    detect = effective.detect
    assert isinstance(detect, ThresholdDetector | ChangeDetector)
    if frozen and memory.as_of_ms:
        memory.judged_ms[memory.judged_ms > 0] += snapshot.as_of_ms - memory.as_of_ms
    memory.as_of_ms = snapshot.as_of_ms
    memory.seen = np.zeros(len(memory.places), np.bool_)
    for scope in effective.rule.for_each:
        table = snapshot.tables.get((detect.window, scope))
        if table is None:
            continue
        numbers = _numbers(memory, effective, detect, scope, table, skus)
        by: ChangeBaseline | _Limits
        if isinstance(detect, ChangeDetector):
            by = _baseline(memory, detect, scope, numbers, snapshot)
        else:
            by = _limits(memory, detect, numbers, snapshot.as_of_ms, frozen=frozen)
        if not frozen:
            _update_breached(memory, detect, numbers, by, snapshot.as_of_ms)
        yield from _breaches_of_scope(memory, effective, detect, numbers, by)
    memory.wrong[~memory.seen] = False


def status(memory: ThresholdMemory, label: ScopeValue) -> FindingReason:
    """Why a series that is not wrong is not."""
    place = memory.places.of.get(label)
    if place is None or place >= len(memory.seen) or not memory.seen[place]:
        return FindingReason.GONE
    if memory.stale[place]:
        return FindingReason.STALE
    return FindingReason.WITHIN if memory.known[place] else FindingReason.NO_DATA


def current_value(memory: ThresholdMemory, label: ScopeValue) -> float | None:
    """A series' latest number, where it can be judged."""
    place = memory.places.of.get(label, -1)
    known = 0 <= place < len(memory.value) and bool(memory.known[place])
    return float(memory.value[place]) if known else None


def _numbers(
    memory: ThresholdMemory,
    effective: EffectiveRule,
    detect: ThresholdDetector | ChangeDetector,
    scope: RuleScope,
    table: Table,
    skus: frozenset[str],
) -> _ScopeNumbers:
    rule = effective.rule
    chosen = [
        (row, place)
        for row, value in enumerate(table.values)
        if not (rule.promoted and scope is RuleScope.SKU and value not in skus)
        and not (rule.values and value not in rule.values)
        and (place := memory.places.add((scope.value, value))) >= 0
    ]
    memory.fit(len(memory.places))
    rows = np.array([row for row, _ in chosen], np.int64)
    at = np.array([place for _, place in chosen], np.int64)
    values = table.column(detect.value)[rows]
    enough = ~np.isnan(values)
    if detect.least is not None:
        enough &= np.nan_to_num(table.column(detect.least[0])[rows]) >= detect.least[1]
    memory.seen[at] = True
    memory.value[at], memory.known[at] = values, enough
    minutes = LENGTH_S.get(detect.window, _DAY_S) / 60
    return _ScopeNumbers(at, values, enough, table.column("gmv")[rows] / minutes)


def _limits(
    memory: ThresholdMemory, detect: ThresholdDetector, numbers: _ScopeNumbers, as_of_ms: int, *, frozen: bool
) -> _Limits:
    """Those of the rule; where what is usual is beyond its limit already, so much beyond that."""
    clear = detect.limit if detect.clear is None else detect.clear
    usual_now = np.full(len(numbers.at), np.nan)
    by = detect.beyond_usual or 0.0
    if by:
        memory.weeks.fit(len(memory.places))
        if not frozen:
            memory.weeks.remember(numbers.at, numbers.values, as_of_ms)
        usual_now = memory.weeks.usual(numbers.at)
    sign = 1.0 if detect.above is not None else -1.0
    never_kept = sign * usual_now > sign * detect.limit
    return _Limits(
        np.where(never_kept, usual_now + sign * by, detect.limit),
        np.where(never_kept, usual_now + sign * by / 2, clear),
    )


def _baseline(
    memory: ThresholdMemory, detect: ChangeDetector, scope: RuleScope, numbers: _ScopeNumbers, snapshot: DetectionInputs
) -> ChangeBaseline:
    """Of the first kind that has one, series by series."""
    middle, spread = np.full(len(numbers.at), np.nan), np.zeros(len(numbers.at))
    labels = [memory.places.labels[place][1] for place in numbers.at.tolist()]
    _remember(memory, numbers, snapshot.as_of_ms)
    for against in detect.against:
        if against is ReferencePeriod.RECENT:
            past = memory.history[numbers.at, :-_LEFT_OUT_MIN].T
            past = np.where((~np.isnan(past)).sum(axis=0) >= _LEAST_MIN, past, np.nan)
        else:
            tables = snapshot.past.get((detect.window, scope, against), ())
            past = np.array([_past(table, detect, labels) for table in tables], np.float64)
            past = past.reshape(len(tables), len(labels))
        found = usual(past)
        missing = np.isnan(middle)
        middle, spread = np.where(missing, found.middle, middle), np.where(missing, found.spread, spread)
    return ChangeBaseline(middle, spread)


def _remember(memory: ThresholdMemory, numbers: _ScopeNumbers, as_of_ms: int) -> None:
    minute = as_of_ms // 60_000
    ahead = HISTORY_MIN if memory.minute < 0 else max(0, min(minute - memory.minute, HISTORY_MIN))
    if ahead:
        memory.history = np.roll(memory.history, -ahead, axis=1)
        memory.history[:, HISTORY_MIN - ahead :] = np.nan
        memory.minute = minute
    sound = numbers.enough & ~memory.wrong[numbers.at]
    memory.history[numbers.at[sound], -1] = numbers.values[sound]


def _past(table: Table, detect: ChangeDetector, labels: list[str]) -> Floats:
    """The numbers of a comparable time; NaN also where too little happened then to compare with."""
    values = _column(table, detect.value, labels)
    if detect.least is None:
        return values
    happened = np.nan_to_num(_column(table, detect.least[0], labels))
    answer: Floats = np.where(happened >= detect.least[1], values, np.nan)
    return answer


def _column(table: Table, name: str, labels: list[str]) -> Floats:
    row_of: Mapping[str, int] = {value: row for row, value in enumerate(table.values)}
    column = np.append(table.column(name), np.nan)
    answer: Floats = column[[row_of.get(label, -1) for label in labels]]
    return answer


def _update_breached(
    memory: ThresholdMemory,
    detect: ThresholdDetector | ChangeDetector,
    numbers: _ScopeNumbers,
    by: ChangeBaseline | _Limits,
    as_of_ms: int,
) -> None:
    judged = numbers.enough & ~np.isnan(by.middle) if isinstance(by, ChangeBaseline) else numbers.enough
    values = np.where(numbers.enough, numbers.values, np.nan)
    was = memory.wrong[numbers.at]
    if isinstance(detect, ThresholdDetector):
        assert isinstance(by, _Limits)
        wrong = breached_with_hysteresis(values, was, limit=by.limit, clear=by.clear, above=detect.above is not None)
    else:
        assert isinstance(by, ChangeBaseline)
        wrong = changed(
            values,
            by,
            was,
            by=detect.by,
            clear_by=detect.by / 2 if detect.clear_by is None else detect.clear_by,
            spreads=detect.spreads,
            rise=detect.direction is Direction.RISE,
        )
    judged_ms = memory.judged_ms[numbers.at]
    judged_ms = np.where(judged | (judged_ms == 0), as_of_ms, judged_ms)
    stale = as_of_ms - judged_ms >= 1000 * max(LENGTH_S.get(detect.window, _DAY_S), _STALE_LEAST_S)
    wrong &= ~stale
    memory.judged[numbers.at], memory.judged_ms[numbers.at], memory.stale[numbers.at] = judged, judged_ms, stale
    memory.since_ms[numbers.at] = np.where(wrong & ~was, as_of_ms, memory.since_ms[numbers.at])
    memory.wrong[numbers.at] = wrong


def _breaches_of_scope(
    memory: ThresholdMemory,
    effective: EffectiveRule,
    detect: ThresholdDetector | ChangeDetector,
    numbers: _ScopeNumbers,
    by: ChangeBaseline | _Limits,
) -> Iterator[Breach]:
    rule = effective.rule
    for i in np.flatnonzero(memory.wrong[numbers.at]).tolist():
        place = int(numbers.at[i])
        label, value = memory.places.labels[place], float(numbers.values[i])
        expected, interval, fired_beyond = None, None, None
        if isinstance(detect, ThresholdDetector):
            assert isinstance(by, _Limits)
            inside = value <= by.limit[i] if detect.above is not None else value >= by.limit[i]
            limit = float(by.clear[i] if inside else by.limit[i])  # inside, it is not right again yet
            low, high = (None, limit) if detect.above is not None else (limit, None)
            interval = ExpectedRange(low, high)
            fired_beyond = float(by.limit[i]) if inside else None
        elif isinstance(by, ChangeBaseline) and not np.isnan(by.middle[i]):
            expected = float(by.middle[i])
        money = float(numbers.money[i]) if rule.money is LossMethod.ALL_OF_IT else None
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
            since_ms=int(memory.since_ms[place]),
            money_per_minute=None if money is None or np.isnan(money) else money,
        )
