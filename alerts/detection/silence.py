"""Silence rules: counters in, who is silent out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.breach import Judged
from alerts.detection.panes import Label, Panes
from alerts.detection.revenue import Takings
from alerts.detection.series import Places, labels_of
from alerts.detectors.arrays import Bools
from alerts.detectors.silence import Silences
from alerts.findings import Reason
from alerts.rules.detect import Silence
from alerts.rules.rule import Each, Money, Rule
from streams.panes.counters import COUNTER_IDS, Unit


@dataclass(slots=True)
class QuietMemory:
    """What one silence rule remembers."""

    silences: Silences = field(default_factory=Silences)
    places: Places = field(default_factory=Places)
    until_s: int = 0


def listen(
    memory: QuietMemory,
    rule: Rule,
    detect: Silence,
    panes: Panes,
    row_of: Mapping[Label, int],
    steps: Iterable[tuple[int, int]],
) -> None:
    """Take in the panes, whose labels `row_of` numbers."""
    for scope, value in panes.labels:
        if scope in rule.for_each and (not rule.values or value in rule.values):
            memory.places.add((scope, value))
    memory.silences.fit(len(memory.places))
    rows = memory.places.rows(row_of)
    counters = tuple(COUNTER_IDS) if Each.SOURCE in rule.for_each else detect.count
    for start_s, end_s in steps:
        memory.silences.step(panes.counts(counters, rows, start_s, end_s), end_s - start_s)
        memory.until_s = end_s


def judge(memory: QuietMemory, rule: Rule, detect: Silence, shop: Takings) -> Iterator[Judged]:
    """Who is silent."""
    silences = memory.silences
    for place in np.flatnonzero(_silent(memory, detect)).tolist():
        label = memory.places.labels[place]
        whole = rule.money is Money.ALL_OF_IT and np.isfinite(shop.gmv_per_minute)
        yield Judged(
            rule=rule.name,
            label=label,
            labels=labels_of(label),
            reason=Reason.SILENT,
            unit=Unit.COUNT,
            value=0.0,
            expected=float(silences.missed[place]),
            since_ms=round((memory.until_s - float(silences.quiet_s[place])) * 1000),
            money_per_minute=shop.gmv_per_minute if whole else None,
        )


def state_of(memory: QuietMemory, detect: Silence, label: Label) -> Reason:
    """Why a series that is not silent is not."""
    place = memory.places.of.get(label)
    if place is None:
        return Reason.GONE
    return Reason.WITHIN if _is_known(memory, detect)[place] else Reason.LEARNING


def known(memory: QuietMemory, detect: Silence) -> int:
    """Of how many series enough has come for silence to say anything."""
    return int(_is_known(memory, detect).sum())


def heard(memory: QuietMemory, topic: str) -> bool:
    """Whether any source of a topic goes on."""
    mine = [place for label, place in memory.places.of.items() if label[1].startswith(topic + "/")]
    return bool((memory.silences.quiet_s[mine] == 0).any()) if mine else False


def _is_known(memory: QuietMemory, detect: Silence) -> Bools:
    answer: Bools = memory.silences.total >= 2 * detect.least_expected
    return answer


def _silent(memory: QuietMemory, detect: Silence) -> Bools:
    return memory.silences.silent(after_s=detect.after, least_expected=detect.least_expected)
