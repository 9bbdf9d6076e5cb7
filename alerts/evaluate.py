"""All rules at one as-of: facts and silences first, for they say which numbers are to be believed; then the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

import numpy as np

from alerts.correlation.correlate import decide, faulty_topics, plain
from alerts.detection import health, rates, silence, thresholds
from alerts.detection.breach import Judged
from alerts.detection.health import FactMemory
from alerts.detection.inputs import Snapshot
from alerts.detection.panes import Label, Panes
from alerts.detection.rates import RateMemory
from alerts.detection.schedule import InForce, in_force, promoted_skus
from alerts.detection.series import ALL
from alerts.detection.silence import QuietMemory
from alerts.detection.thresholds import NumberMemory
from alerts.findings import Evaluation, Finding, Reason, Series
from alerts.memory import Memory, RuleMemory
from alerts.rules.detect import Change, OfFact, Sequential, Silence, Threshold
from alerts.rules.rule import Each, Rule, Rules
from consumers.topics import EVENT_TOPICS

STEP_S = 10
"""What has piled up is taken in by steps of so many seconds, while people watch."""
FINE_S = 60
"""Silences are looked for second by second where no more than this has piled up: in longer steps the last event of
before would hide the first seconds of silence."""


def evaluate(
    rules: Rules, snapshot: Snapshot, memory: Memory, watched: Collection[Series] = (), *, step_s: int = STEP_S
) -> tuple[Evaluation, Memory]:
    """What the rules say of a snapshot, and what to remember.

    `memory` is used up. `watched`: the series that there is an alert of; each gets a finding whatever it is.
    `step_s`: what has piled up is taken in by steps of so many seconds; longer ones are for years of history.
    """
    at_ms = snapshot.as_of_ms
    now = {rule.name: in_force(rule, snapshot.promotions, at_ms) for rule in rules.rules}
    _make_room(rules, memory)
    skus = promoted_skus(snapshot.promotions, at_ms)
    steps = _steps(snapshot.panes, memory.until_s, step_s)
    piled_up = sum(end_s - start_s for start_s, end_s in steps) > FINE_S
    fine = steps if piled_up else _steps(snapshot.panes, memory.until_s, 1)
    row_of = {label: row for row, label in enumerate(snapshot.panes.labels)}
    _take(memory, snapshot.panes, row_of, steps)
    found: dict[str, list[Judged]] = {}
    for name, current in now.items():
        found[name] = list(_first(memory, current, snapshot, row_of, fine)) if current.enabled else []
    faults = [one for judged in found.values() for one in judged]
    unheard = _unheard(rules, memory)
    budgets = _budgets(rules)
    faulty = {*faulty_topics(faults, now, unheard), *memory.verdicts.faulty}
    for name, current in now.items():
        frozen = bool(faulty & {str(topic) for topic in current.rule.topics})
        held = memory.rules[name]
        detect = current.detect
        if isinstance(held, RateMemory) and isinstance(detect, Sequential):
            # Learnt from also while the rule is not in force, so that it is ready when it is.
            rates.follow(
                held,
                current.rule,
                detect,
                snapshot.panes,
                row_of,
                steps,
                budget=budgets[name],
                frozen=frozen,
                skus=skus,
            )
            found[name] = list(rates.judge(held, current.rule, detect, memory.shop)) if current.enabled else []
        elif isinstance(held, NumberMemory) and current.enabled:
            found[name] = list(thresholds.judge(held, current, snapshot, skus, frozen=frozen))
    judged = [one for rule in rules.rules for one in found[rule.name]]
    findings = decide(judged, now, memory.verdicts, memory.shop, at_ms, unheard)
    _explain(memory, now)
    findings += _watched(watched, findings, now, memory, at_ms)
    if steps:
        memory.until_s = steps[-1][1]
    return Evaluation(at_ms, tuple(findings), tuple(_unknown(now, memory)), tuple(_sure(now, memory))), memory


def _explain(memory: Memory, now: Mapping[str, InForce]) -> None:
    """Incidents that are over explain what the tests of the same incident have seen of them."""
    for family, (teller, since_ms) in memory.verdicts.over.items():
        for name, current in now.items():
            held = memory.rules[name]
            if isinstance(held, RateMemory) and current.rule.family == family:
                rates.explain(held, current.rule, teller, since_ms)


def _steps(panes: Panes, until_s: int | None, step_s: int) -> list[tuple[int, int]]:
    start = panes.start_s if until_s is None else max(until_s, panes.start_s)
    edges = [*range(start, panes.end_s, step_s), panes.end_s]
    return list(pairwise(edges)) if panes.end_s > start else []


def _take(memory: Memory, panes: Panes, row_of: Mapping[Label, int], steps: list[tuple[int, int]]) -> None:
    """What the whole shop takes."""
    if ALL not in row_of:
        return
    row = np.array([row_of[ALL]])
    for start_s, end_s in steps:
        gmv, paid = (float(panes.counts((name,), row, start_s, end_s)[0]) for name in ("gmv", "orders_paid"))
        memory.shop.take(gmv, paid, end_s - start_s)


def _make_room(rules: Rules, memory: Memory) -> None:
    """A memory for each rule; a changed detector never reads what another one remembered."""
    for rule in rules.rules:
        made_for = _signature(rule)
        if memory.made_for.get(rule.name) != made_for:
            memory.rules[rule.name] = _new_memory(rule)
            memory.made_for[rule.name] = made_for
    names = {rule.name for rule in rules.rules}
    memory.rules = {name: held for name, held in memory.rules.items() if name in names}
    memory.made_for = {name: made for name, made in memory.made_for.items() if name in names}


def _signature(rule: Rule) -> str:
    match rule.detect:
        case Sequential() as detect:
            return f"sequential {rates.signature(detect)}"
        case Silence(count=count):
            return f"silence {','.join(count)} {Each.SOURCE in rule.for_each}"
        case Threshold(value=value, window=window):
            return f"threshold {value} {window}"
        case Change(value=value, window=window, direction=direction):
            return f"change {value} {window} {direction}"
        case OfFact(fact=fact):
            return f"fact {fact}"


def _new_memory(rule: Rule) -> RuleMemory:
    match rule.detect:
        case Sequential() as detect:
            return RateMemory.of(detect)
        case Silence():
            return QuietMemory()
        case OfFact():
            return FactMemory()
    return NumberMemory()


def _budgets(rules: Rules) -> dict[str, float]:
    """False alarms a day for each sequential rule."""
    weights = {one.name: one.detect.weight for one in rules.rules if isinstance(one.detect, Sequential) and one.enabled}
    total = sum(weights.values())
    shares = {name: rules.budget.false_pages_per_day * weight / total for name, weight in weights.items()}
    return {one.name: shares.get(one.name, rules.budget.false_pages_per_day) for one in rules.rules}


def _first(
    memory: Memory, current: InForce, snapshot: Snapshot, row_of: Mapping[Label, int], steps: list[tuple[int, int]]
) -> Iterator[Judged]:
    """Facts and silences."""
    held = memory.rules[current.rule.name]
    if isinstance(held, FactMemory):
        yield from health.judge(held, current, snapshot)
    elif isinstance(held, QuietMemory) and isinstance(current.detect, Silence):
        silence.listen(held, current.rule, current.detect, snapshot.panes, row_of, steps)
        yield from silence.judge(held, current.rule, current.detect, memory.shop)


def _unheard(rules: Rules, memory: Memory) -> frozenset[str]:
    """Topics of which no producer is heard."""
    found: set[str] = set()
    for rule in rules.rules:
        held = memory.rules[rule.name]
        if isinstance(held, QuietMemory) and Each.SOURCE in rule.for_each:
            found |= {str(topic) for topic in EVENT_TOPICS if not silence.heard(held, str(topic))}
    return frozenset(found)


def _watched(
    watched: Collection[Series], findings: list[Finding], now: Mapping[str, InForce], memory: Memory, at_ms: int
) -> list[Finding]:
    """A finding for each watched series that is not wrong; those of rules that are no more have none."""
    told = {finding.series for finding in findings}
    found = []
    for series in sorted(set(watched) - told, key=str):
        if (current := now.get(series.rule)) is not None:
            reason, value = _state(current, memory, series)
            found.append(plain(current.rule, series, reason, current.severity, at_ms, value))
    return found


def _state(current: InForce, memory: Memory, series: Series) -> tuple[Reason, float | None]:
    """Why a series that is not wrong is not, and what is measured of it."""
    if not current.enabled:
        return Reason.NOT_IN_FORCE, None
    held, detect = memory.rules[series.rule], current.detect
    label = _label(series)
    if isinstance(held, RateMemory) and isinstance(detect, Sequential):
        return rates.state_of(held, detect, label), rates.present(held, label)
    if isinstance(held, QuietMemory) and isinstance(detect, Silence):
        return silence.state_of(held, detect, label), None
    if isinstance(held, NumberMemory):
        return thresholds.state_of(held, label), thresholds.present(held, label)
    assert isinstance(held, FactMemory)
    return health.state_of(held, series.labels), health.present(held, series.labels)


def _label(series: Series) -> Label:
    labels = dict(series.labels)
    if not labels:
        return ALL
    if "source" in labels:
        return "source", f"{labels.get('topic', '')}/{labels['source']}"
    return series.labels[0]


def _sure(now: Mapping[str, InForce], memory: Memory) -> Iterator[tuple[str, int]]:
    """How many series each rule in force could judge."""
    for name, current in now.items():
        held, detect = memory.rules[name], current.detect
        if not current.enabled:
            continue
        if isinstance(held, RateMemory) and isinstance(detect, Sequential):
            many = int(held.watched.sum()) - sum(rates.unsure(held, detect))
        elif isinstance(held, QuietMemory) and isinstance(detect, Silence):
            many = silence.known(held, detect)
        elif isinstance(held, NumberMemory):
            many = int((held.seen & held.judged).sum())
        else:
            assert isinstance(held, FactMemory)
            many = len(held.seen)
        if many:
            yield name, many


def _unknown(now: Mapping[str, InForce], memory: Memory) -> Iterator[tuple[str, Reason, int]]:
    for name, current in now.items():
        held, detect = memory.rules[name], current.detect
        if not current.enabled:
            continue
        if isinstance(held, RateMemory) and isinstance(detect, Sequential):
            learning, few = rates.unsure(held, detect)
            yield from ((name, why, many) for why, many in ((Reason.LEARNING, learning), (Reason.TOO_FEW, few)) if many)
        elif isinstance(held, NumberMemory) and len(held.seen):
            missing = int((held.seen & ~held.known).sum())
            if missing:
                yield name, Reason.NO_DATA, missing
