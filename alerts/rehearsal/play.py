"""Evaluate rules over a sale and collect the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from alerts.detection.inputs import DetectionInputs
from alerts.evaluate import STEP_S, evaluate
from alerts.findings import Condition, Finding, FindingReason, Series, Severity
from alerts.memory import EvaluationMemory
from alerts.rules.rule import Rules
from alerts.state.alert import AlertState, Status
from alerts.state.machine import advance, series_with_pending_successor
from alerts.state.timing import timing_of


@dataclass(frozen=True, slots=True)
class Transfer:
    """An open page continues under the series that succeeds its own."""

    at_ms: int
    finding: Finding


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
    transfers: tuple[Transfer, ...] = ()
    """The series that it continued under, in order; each sends an update."""


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
    """Evaluate all inputs in order. Inputs before `from_ms` are only learned from; an alert that still fires then is a
    page. `step_s`: see `evaluate`."""
    played, memory = RehearsalResult(), EvaluationMemory()
    timing = {rule.name: timing_of(rule) for rule in rules.rules}
    alerts: dict[Series, AlertState] = {}
    open_pages: dict[Series, int] = {}
    inhibited: set[tuple[Series, FindingReason]] = set()
    for inputs in snapshots:
        at_ms = inputs.as_of_ms if inputs.seen_ms is None else inputs.seen_ms
        is_scored = at_ms >= from_ms
        evaluation, memory = evaluate(rules, inputs, memory, alerts.keys(), step_s=step_s)
        if is_scored:
            played.start_ms = played.start_ms or at_ms
            played.end_ms = at_ms
            played.evaluations += 1
            played.judged.update(status.rule for status in evaluation.rules if status.watching)
        firing_before = {series for series, alert in alerts.items() if alert.status is Status.FIRING}
        with_pending_successor = series_with_pending_successor(evaluation.findings, firing_before)
        for finding in evaluation.findings:
            series = finding.series
            if finding.condition is Condition.INHIBITED:
                inhibited.add((series, finding.reason))
            alert = advance(
                alerts.get(series),
                finding,
                timing[series.rule],
                at_ms,
                has_pending_successor=series in with_pending_successor,
            )
            is_page = alert is not None and alert.status is Status.FIRING and alert.severity is not Severity.INFO
            firing = is_scored and is_page
            if firing and finding.continues in open_pages and series not in open_pages:
                index = open_pages[series] = open_pages.pop(finding.continues)
                page = played.pages[index]
                played.pages[index] = replace(page, transfers=(*page.transfers, Transfer(at_ms, finding)))
            elif firing and series not in open_pages and finding.condition is Condition.BREACHED:
                open_pages[series] = len(played.pages)
                played.pages.append(Page(series, finding.incident, at_ms, finding))
            elif not firing and series in open_pages:
                index = open_pages.pop(series)
                played.pages[index] = replace(played.pages[index], resolved_ms=at_ms)
            if alert is None or alert.status is Status.RESOLVED:
                alerts.pop(series, None)
            else:
                alerts[series] = alert
    for series, reason in inhibited:
        played.inhibited[series.rule, reason] = played.inhibited.get((series.rule, reason), 0) + 1
    return played
