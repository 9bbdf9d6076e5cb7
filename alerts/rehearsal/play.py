"""Evaluate rules over a sale and collect the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import DensePanes
from alerts.evaluate import STEP_S, evaluate
from alerts.findings import Condition, Finding, FindingReason, Series
from alerts.memory import EvaluationMemory
from alerts.rules.rule import Rules
from alerts.state.alert import AlertState, Status
from alerts.state.machine import advance, series_with_pending_successor
from alerts.state.policy import Timing
from consumers.contract.events import TOPIC_BY_EVENT_TYPE, Promotion
from consumers.topics import Topic
from streams.panes.counters import COUNTERS, TYPE_COUNTERS

SETTLE_S = 2
"""Margin before the as-of, for events in transit."""
IDLE_AFTER_S = 10
"""How long the as-of waits for an idle topic."""


@dataclass(frozen=True, slots=True)
class Page:
    """One incident, from its start."""

    series: Series
    incident: str
    fired_ms: int
    """Start by the clock of the sale."""
    finding: Finding
    """The alert at the start."""
    resolved_ms: int | None = None
    """None: it did not end."""


@dataclass(slots=True)
class RehearsalResult:
    """The result of a rehearsal."""

    pages: list[Page] = field(default_factory=list)
    """In order of their start."""
    inhibited: dict[tuple[str, FindingReason], int] = field(default_factory=dict)
    """# (rule, reason): series that were inhibited"""
    judged: Counter[str] = field(default_factory=Counter)
    """# rule: evaluations with at least one evaluated series"""
    evaluations: int = 0
    """Number of evaluations."""
    start_ms: int = 0
    end_ms: int = 0

    @property
    def days(self) -> float:
        """Length of the sale."""
        return (self.end_ms - self.start_ms) / 86_400_000


def play(
    rules: Rules, snapshots: Iterable[DetectionInputs], *, from_ms: int = 0, step_s: int = STEP_S
) -> RehearsalResult:
    """Evaluate all inputs in turn. Inputs before `from_ms` are only learnt from; an alert that still fires then is a
    page. `step_s`: see `evaluate`."""
    played, memory = RehearsalResult(), EvaluationMemory()
    timing = {
        rule.name: Timing(for_ms=round(rule.for_s * 1000), clear_ms=round(rule.keep_firing_for * 1000))
        for rule in rules.rules
    }
    alerts: dict[Series, AlertState] = {}
    open_pages: dict[Series, int] = {}
    inhibited: set[tuple[Series, FindingReason]] = set()
    for snapshot in snapshots:
        at_ms = snapshot.as_of_ms if snapshot.seen_ms is None else snapshot.seen_ms
        counts = at_ms >= from_ms
        evaluation, memory = evaluate(rules, snapshot, memory, alerts.keys(), step_s=step_s)
        if counts:
            played.start_ms = played.start_ms or at_ms
            played.end_ms = at_ms
            played.evaluations += 1
            played.judged.update(name for name, _ in evaluation.judged)
        firing_before = {series for series, alert in alerts.items() if alert.status is Status.FIRING}
        waited_for = series_with_pending_successor(evaluation.findings, firing_before)
        for finding in evaluation.findings:
            series = finding.series
            if finding.condition is Condition.INHIBITED:
                inhibited.add((series, finding.reason))
            alert = advance(
                alerts.get(series), finding, timing[series.rule], at_ms, has_pending_successor=series in waited_for
            )
            firing = counts and alert is not None and alert.status is Status.FIRING
            if firing and finding.continues in open_pages and series not in open_pages:
                open_pages[series] = open_pages.pop(finding.continues)
            elif firing and series not in open_pages and finding.condition is Condition.BREACHED:
                open_pages[series] = len(played.pages)
                played.pages.append(Page(series, finding.incident, at_ms, finding))
            elif not firing and series in open_pages:
                place = open_pages.pop(series)
                played.pages[place] = replace(played.pages[place], resolved_ms=at_ms)
            if alert is None or alert.status is Status.RESOLVED:
                alerts.pop(series, None)
            else:
                alerts[series] = alert
    for series, reason in inhibited:
        played.inhibited[series.rule, reason] = played.inhibited.get((series.rule, reason), 0) + 1
    return played


def snapshots(
    panes: DensePanes, *, every_s: int = 2, seldom_until_s: int = 0, promotions: Mapping[str, Promotion]
) -> Iterator[DetectionInputs]:
    """Inputs of a sale as seen live: one every few seconds, up to the horizon.

    Until `seldom_until_s` there is one every 10 s only, as after a start. There are only panes, neither tables nor
    health readings.
    """
    last = _last_events(panes)
    taken = 0
    for now in [
        *range(STEP_S, seldom_until_s, STEP_S),
        *range(seldom_until_s + every_s, len(panes.table) + 1, every_s),
    ]:
        waits = [int(seconds[now - 1]) for seconds in last if now - seconds[now - 1] < IDLE_AFTER_S]
        until = min([*waits, now]) - SETTLE_S
        if until <= taken:
            continue
        part = DensePanes(panes.start_s + taken, panes.labels, panes.counters, panes.table[taken:until])
        taken = until
        yield DetectionInputs((panes.start_s + now) * 1000, part, promotions=promotions)


def _last_events(panes: DensePanes) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """For clicks and orders: at each second, the end of the last second with an event."""
    whole = panes.labels.index(("all", ""))
    found = []
    for topic in (Topic.CLICKS, Topic.ORDERS):
        names = {COUNTERS[place].name for kind, place in TYPE_COUNTERS.items() if TOPIC_BY_EVENT_TYPE[kind] is topic}
        columns = [i for i, name in enumerate(panes.counters) if name in names]
        some = panes.table[:, whole][:, columns].sum(axis=1) > 0
        found.append(np.maximum.accumulate(np.where(some, np.arange(1, len(some) + 1), 0)))
    return found
