"""Sequential rules: counters in, what is wrong out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alerts.correlation.cases import TOGETHER_MS, siblings
from alerts.detection.breach import Judged
from alerts.detection.contributors import Parts, contributors, one_part
from alerts.detection.panes import Label, Panes
from alerts.detection.revenue import Takings
from alerts.detection.series import ALL, Places, labels_of
from alerts.detectors.arrays import Bools, Floats, Ints, ratio
from alerts.detectors.baseline import Part
from alerts.detectors.sequential import Followed, Step, Terms, log_seconds_between
from alerts.findings import Interval, Reason, Series
from alerts.rules.detect import Direction, Sequential
from alerts.rules.rule import Each, Money, Rule
from streams.panes.counters import Unit


@dataclass(slots=True)
class RateMemory:
    """What one sequential rule remembers."""

    followed: Followed
    places: Places = field(default_factory=lambda: Places.from_labels([ALL]))
    watched: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Which places are of the rule's scopes; the whole shop is always followed."""
    named: Label | None = None
    """The part that an alarm of the whole shop comes from, for as long as that lasts."""

    @classmethod
    def of(cls, detect: Sequential) -> RateMemory:
        """Nothing seen."""
        return cls(Followed.of(detect.lag))


def signature(detect: Sequential) -> str:
    """What a memory was made for: with other counters it begins anew."""
    return f"{','.join(detect.count)}|{','.join(detect.per)}|{detect.lag}|{detect.direction}"


def terms_of(detect: Sequential) -> Terms:
    """As the detector takes them."""
    return Terms(detect.direction is Direction.RISE, detect.least_effect, detect.least_sample, detect.least_baseline)


def follow(
    memory: RateMemory,
    rule: Rule,
    detect: Sequential,
    panes: Panes,
    row_of: Mapping[Label, int],
    steps: Sequence[tuple[int, int]],
    *,
    budget: float,
    frozen: bool,
    skus: frozenset[str],
) -> None:
    """Take in the panes, whose labels `row_of` numbers.

    `budget`: false alarms a day for this rule. `frozen`: the counters are not to be believed.
    """
    places, followed = memory.places, memory.followed
    scopes = frozenset(rule.for_each)
    for label in panes.labels:
        if label[0] in scopes and label not in places.of and _is_watched(rule, label, skus):
            places.add(label)
    size = len(places)
    followed.fit(size)
    memory.watched = places.mask([label[0] in scopes and _is_watched(rule, label, skus) for label in places.labels])
    rows = places.rows(row_of)
    is_parent = np.zeros(size, np.bool_)
    is_parent[0] = True
    threshold = log_seconds_between(budget, is_parent)
    terms, is_frozen = terms_of(detect), np.full(size, frozen)
    for start_s, end_s in _telling(memory, detect, panes, rows, steps):
        count, per, gmv = (panes.counts(names, rows, start_s, end_s) for names in (detect.count, detect.per, ("gmv",)))
        followed.step(Step(end_s, end_s - start_s, count, per, gmv, is_frozen), terms, threshold)


def _telling(
    memory: RateMemory, detect: Sequential, panes: Panes, rows: Ints, steps: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """The steps; all of them as one while no `per` event has ever come: nothing is to be expected then at any step,
    nothing can be weighed, and what came adds up to the same."""
    if len(steps) < 2 or memory.followed.chain.held.any():
        return steps
    whole = steps[0][0], steps[-1][1]
    return steps if panes.counts(detect.per, rows, *whole).any() else [whole]


def _is_watched(rule: Rule, label: Label, skus: frozenset[str]) -> bool:
    """Whether a rule about the label's scope is about its value."""
    scope, value = label
    if rule.values and scope != Each.ALL and value not in rule.values:
        return False
    return not (rule.promoted and scope == Each.SKU and value not in skus)


def judge(memory: RateMemory, rule: Rule, detect: Sequential, shop: Takings) -> Iterator[Judged]:
    """The series that are wrong."""
    followed = memory.followed
    rise = detect.direction is Direction.RISE
    alarms = np.flatnonzero(followed.alarm & memory.watched).tolist()
    if 0 not in alarms:
        memory.named = None
    for place in alarms:
        parts = _parts(memory, rule) if place == 0 else {}
        found = _judged(memory, rule, place, rise, shop)
        if place == 0:
            memory.named = one_part(parts, least_effect=detect.least_effect, rise=rise, named=memory.named)
            found = replace(found, contributors=contributors(parts), explained_by=memory.named)
        yield found
    if memory.named is not None and memory.places.of[memory.named] not in alarms:
        since_ms = int(followed.since_s[0]) * 1000
        child = _judged(memory, rule, memory.places.of[memory.named], rise, shop)
        yield replace(child, since_ms=since_ms)


def explain(memory: RateMemory, rule: Rule, teller: Series, since_ms: int) -> None:
    """An incident that was told of is over: what was seen of it since then explains nothing else.

    Another value of the told one's dimension is an incident of its own, and so is what began well before.
    """
    own = [siblings(Series(rule.name, labels_of(label)), teller) for label in memory.places.labels]
    memory.followed.explain(~memory.places.mask(own), (since_ms - TOGETHER_MS) / 1000)


def unsure(memory: RateMemory, detect: Sequential) -> tuple[int, int]:
    """(series that are still being learnt, those of them with hardly any events)."""
    ready = memory.followed.ready(terms_of(detect))
    waiting = memory.watched & ~ready
    few = waiting & (memory.followed.baseline.slow[:, Part.COUNT] < 1)
    return int(waiting.sum() - few.sum()), int(few.sum())


def state_of(memory: RateMemory, detect: Sequential, label: Label) -> Reason:
    """Why a series that is not wrong is not."""
    place = memory.places.of.get(label)
    if place is None or place >= len(memory.watched) or not memory.watched[place]:
        return Reason.GONE
    if memory.followed.renewed[place]:
        return Reason.NEW_NORMAL
    return Reason.WITHIN if memory.followed.ready(terms_of(detect))[place] else Reason.LEARNING


def present(memory: RateMemory, label: Label) -> float | None:
    """The rate of the latest seconds; None where nothing was to be expected."""
    place = memory.places.of.get(label, -1)
    if not 0 <= place < len(memory.followed.recent):
        return None
    count, _, inputs = (float(x) for x in memory.followed.recent[place])
    return count / inputs if inputs > 0 else None


def _judged(memory: RateMemory, rule: Rule, place: int, rise: bool, shop: Takings) -> Judged:
    followed = memory.followed
    count, expected, inputs = followed.seen_of(place)
    level, phi = float(followed.level[place]), float(followed.phi[place])
    spread = 2 * float(np.sqrt(phi * max(expected, 1.0))) / inputs if inputs > 0 else 0.0
    change = count / expected if expected > 0 else 1.0
    input_rate = float(followed.inputs[place])
    money = None
    if rule.money is Money.SHORTFALL:
        money = 60 * float(followed.baseline.gmv_per_input()[place]) * input_rate * max(0.0, 1 - change)
    elif rule.money is Money.EXCESS:
        money = 60 * level * input_rate * max(0.0, change - 1) * shop.aov
    elif rule.money is Money.ALL_OF_IT:
        money = shop.gmv_per_minute
    label = memory.places.labels[place]
    return Judged(
        rule=rule.name,
        label=label,
        labels=labels_of(label),
        reason=Reason.EVIDENCE,
        unit=Unit.RATIO,
        value=count / inputs if inputs > 0 else None,
        expected=level,
        interval=Interval(max(0.0, level - spread), level + spread),
        since_ms=int(followed.since_s[place]) * 1000,
        money_per_minute=None if money is None or not np.isfinite(money) else money,
    )


def _parts(memory: RateMemory, rule: Rule) -> Mapping[str, Parts]:
    """The whole shop cut by each scope of the rule: what was usual, and what has been lately."""
    followed = memory.followed
    found: dict[str, Parts] = {}
    for scope in rule.for_each:
        if scope in (Each.ALL, Each.SKU):
            continue
        at = [i for i, label in enumerate(memory.places.labels) if label[0] == scope and memory.watched[i]]
        if len(at) < 2:
            continue
        slow, lately = followed.baseline.slow[at], followed.lately[at]
        found[scope] = Parts(
            labels=[memory.places.labels[i] for i in at],
            usual_share=_shares(slow[:, Part.INPUT]),
            share=_shares(lately[:, 2]),
            usual_rate=ratio(slow[:, Part.COUNT], slow[:, Part.INPUT]),
            rate=ratio(lately[:, 0], lately[:, 2]),
            counted=lately[:, 0],
            expected=lately[:, 1],
        )
    return found


def _shares(amounts: Floats) -> Floats:
    total = amounts.sum()
    return amounts / total if total > 0 else amounts
