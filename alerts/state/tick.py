"""One evaluation, taken in by all alerts: what they become, what has changed, who is to be told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from alerts.findings import Condition, Evaluation, Finding, Series
from alerts.findings import Reason as Cause
from alerts.state.alert import Ack, Alert, Change, Status, What, fingerprint_of
from alerts.state.machine import advance, awaited, flapping, forgotten
from alerts.state.policy import Timing
from alerts.state.reasons import Reason
from alerts.state.telling import Notice, Surroundings, telling

REFRESH_MS = 10_000
"""How old the numbers of an alert may become that does not change otherwise."""

Alerts = Mapping[str, Alert]
"""By fingerprint."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What an evaluation comes to. To be written in one go: half of it would be a page lost, or sent twice."""

    changed: tuple[Alert, ...] = ()
    """What is to be kept instead of what was, in a change or only with newer numbers."""
    gone: tuple[str, ...] = ()
    """Fingerprints that are no longer kept."""
    changes: tuple[Change, ...] = ()
    notices: tuple[Notice, ...] = ()
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    """How many of the alerts that are kept have which."""

    def applied(self, alerts: Alerts) -> dict[str, Alert]:
        """The alerts after it."""
        kept = {name: alert for name, alert in alerts.items() if name not in set(self.gone)}
        return kept | {alert.fingerprint: alert for alert in self.changed}


def watched(alerts: Alerts) -> frozenset[Series]:
    """The series whose condition must be known in any case, since an alert of them is not over."""
    return frozenset(alert.series for alert in alerts.values() if alert.status in (Status.PENDING, Status.FIRING))


def tick(
    alerts: Alerts,
    evaluation: Evaluation,
    *,
    timing: Callable[[str], Timing],
    acks: Mapping[str, Ack],
    around: Surroundings,
    now_ms: int,
) -> Tick:
    """Take an evaluation in. `timing`: of a rule; `acks`: what people said, by fingerprint.

    An alert that was to be watched and has no finding belongs to no rule any more, and is over.
    """
    findings = {fingerprint_of(found.series): found for found in evaluation.findings}
    changed: list[Alert] = []
    gone: list[str] = []
    changes: list[Change] = []
    notices: list[Notice] = []
    reasons: dict[Reason, int] = {}
    firing = {alert.series for alert in alerts.values() if alert.status is Status.FIRING}
    waited_for = {fingerprint_of(series) for series in awaited(evaluation.findings, firing)}
    advanced = {
        name: _acknowledged(
            _advanced(
                alerts.get(name), findings.get(name), evaluation.as_of_ms, timing, now_ms, is_awaited=name in waited_for
            ),
            acks.get(name),
        )
        for name in [*alerts, *(name for name in findings if name not in alerts)]
    }
    breached = {name for name, found in findings.items() if found.condition is Condition.BREACHED}
    for name, after in _taken_over(advanced, breached, now_ms).items():
        before = alerts.get(name)
        if after is None:
            if before is not None:
                gone.append(name)
                changes.append(Change(now_ms, What.INACTIVE, replace(before, status=Status.INACTIVE, since_ms=now_ms)))
            continue
        told = telling(after, around, now_ms)
        reason = told.reason
        if reason is Reason.UNCHANGED and after.clear_ms is not None and _flaps(after, timing, now_ms):
            reason = Reason.FLAPPING
        after = replace(after, reason=reason, by=told.by, told=told.told, free_ms=told.free_ms)
        notices += told.notices
        reasons[reason] = reasons.get(reason, 0) + 1
        found = list(_changes(before, after, now_ms))
        changes += found
        if found or _must_keep(before, after):
            changed.append(after)
    return Tick(tuple(changed), tuple(gone), tuple(changes), tuple(notices), reasons)


def _advanced(
    before: Alert | None,
    finding: Finding | None,
    as_of_ms: int,
    timing: Callable[[str], Timing],
    now_ms: int,
    *,
    is_awaited: bool,
) -> Alert | None:
    if before is None:
        assert finding is not None
        begins = finding.condition in (Condition.BREACHED, Condition.HELD_BACK)
        return advance(None, finding, timing(finding.series.rule), now_ms) if begins else None
    if finding is None and before.status in (Status.PENDING, Status.FIRING):
        finding = replace(before.finding, reason=Cause.GONE, as_of_ms=as_of_ms, held_by=None)
    if finding is not None:
        return advance(before, finding, timing(before.series.rule), now_ms, is_awaited=is_awaited)
    return None if forgotten(before, now_ms) else before


def _taken_over(
    advanced: Mapping[str, Alert | None], breached: Collection[str], now_ms: int
) -> dict[str, Alert | None]:
    """Pages pass from what told of an incident to what tells of it from now on, with whoever was told and whoever is
    on it: as the new one fires, or back to one that fires still. `breached`: what tells of itself now."""
    found = dict(advanced)
    holders = {alert.page: name for name, alert in advanced.items() if alert is not None and alert.told}
    for name, alert in advanced.items():
        if alert is None or alert.status is not Status.FIRING or alert.told or name not in breached:
            continue
        continues = alert.finding.continues
        other = holders.get(alert.page) if continues is None else fingerprint_of(continues)
        held = None if other is None or other in breached else found.get(other)
        if held is None or not held.told:
            continue
        found[name] = replace(
            alert,
            told=held.told,
            ack=None if held.ack is None else replace(held.ack, fired_ms=alert.fired_ms or 0),
            continues=held.series,
            page_of="" if held.page == name else held.page,
            passed_ms=now_ms,
        )
        found[held.fingerprint] = replace(held, told=(), ack=None, passed_ms=now_ms)
    return found


def _acknowledged(alert: Alert | None, ack: Ack | None) -> Alert | None:
    if alert is None or ack is None or alert.status is not Status.FIRING or ack.fired_ms != alert.fired_ms:
        return alert
    return alert if ack.at_ms <= (alert.passed_ms or 0) else replace(alert, ack=ack)


def _flaps(alert: Alert, timing: Callable[[str], Timing], now_ms: int) -> bool:
    return flapping(alert, timing(alert.series.rule), now_ms)


def _changes(before: Alert | None, after: Alert, now_ms: int) -> Iterator[Change]:
    if before is None or before.status is not after.status:
        yield Change(now_ms, What(after.status.value), after)
        return
    if before.fired_ms != after.fired_ms:
        yield Change(now_ms, What.FIRING, after)
    elif before.severity is not after.severity and after.status is Status.FIRING:
        yield Change(now_ms, What.SEVERITY, after)
    elif before.ack != after.ack and after.ack is not None:
        yield Change(now_ms, What.ACKNOWLEDGED, after)
    elif (before.reason, before.by) != (after.reason, after.by) and _newsworthy(before.reason, after.reason):
        yield Change(now_ms, What.REASON, after)


def _newsworthy(before: Reason, after: Reason) -> bool:
    """That nobody more need be told after somebody was is no news."""
    return not (before is Reason.TOLD and after is Reason.UNCHANGED)


def _must_keep(before: Alert | None, after: Alert) -> bool:
    """Whether what is remembered differs, or its numbers have become old."""
    if before is None:
        return True
    if replace(before, finding=after.finding, lost=after.lost) != after:
        return True
    return after.finding.as_of_ms - before.finding.as_of_ms >= REFRESH_MS
