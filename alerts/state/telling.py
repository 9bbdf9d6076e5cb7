"""Whom to tell of an alert now, and why nobody else.

What receivers believe is part of the alert (`Told`): somebody is told that it fires once an incident, again when it
gets worse or a route says so; and everybody who was told that it fires is told when it is over, whatever became of
silences and acknowledgements meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from alerts.findings import SEVERITY_ORDER, Condition, Severity
from alerts.state.alert import Alert, Status, Told
from alerts.state.policy import Route, Routing
from alerts.state.reasons import WITHHELD, Reason
from alerts.state.silences import Silence, silencing


class Kind(StrEnum):
    """What a notice says."""

    FIRING = "firing"
    ESCALATED = "escalated"
    """Nobody has acknowledged it, so the next are called."""
    WORSE = "worse"
    """It has become more severe."""
    UPDATED = "updated"
    """It turned out to be more than was told: the same incident under another name."""
    REMINDER = "reminder"
    """It fires still."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that one receiver is to be told of one alert, as it was then."""

    id: str
    """The same however often it is sent."""
    receiver: str
    kind: Kind
    alert: Alert
    created_ms: int
    due_ms: int
    """From when on it may be sent."""
    failures: int = 0
    """How many attempts have failed."""
    alone: bool = False
    """It was refused in company: it goes by itself now, so that it cannot hold others up."""

    @property
    def critical(self) -> bool:
        return self.alert.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for all alerts at one moment."""

    routing: Routing
    silences: Sequence[Silence] = ()
    running: Collection[str] = ()
    """Ids of the promotions that run."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What was decided about one alert."""

    reason: Reason
    by: str = ""
    notices: tuple[Notice, ...] = ()
    told: tuple[Told, ...] = ()
    """What receivers believe once the notices are on their way."""
    free_ms: int | None = None
    """The alert's `free_ms` from now on."""


def telling(alert: Alert, around: Surroundings, now_ms: int) -> Telling:
    """Whom to tell now."""
    match alert.status:
        case Status.FIRING:
            return _firing(alert, around, now_ms)
        case Status.RESOLVED:
            return _resolved(alert, around, now_ms)
        case _:
            held = alert.finding.held_by if alert.finding.condition is Condition.HELD_BACK else None
            if held is not None:
                return Telling(Reason.HELD_BACK, str(held), told=alert.told)
            return Telling(Reason.PENDING, told=alert.told)


def _firing(alert: Alert, around: Surroundings, now_ms: int) -> Telling:
    def nobody(reason: Reason, by: str = "") -> Telling:
        return Telling(reason, by, told=alert.told, free_ms=alert.free_ms if reason in WITHHELD else free_ms)

    def due_from(free_ms: int | None) -> dict[str, Kind]:
        if route is None or alert.clear_ms is not None:
            return {}
        return _due(alert, route, max(alert.worse_ms or alert.fired_ms or now_ms, free_ms or 0), now_ms)

    free_ms = now_ms if alert.reason in WITHHELD and not alert.told else alert.free_ms
    if alert.finding.condition is Condition.HELD_BACK:
        return nobody(Reason.HELD_BACK, str(alert.finding.held_by or ""))
    if silence := silencing(around.silences, alert.labels, now_ms, around.running):
        return nobody(Reason.SILENCED, silence.id)
    route = around.routing.route(alert.labels)
    if route is None or not route.steps:
        return nobody(Reason.NO_ROUTE)
    if alert.acknowledged and alert.ack is not None:
        return nobody(Reason.ACKNOWLEDGED, alert.ack.by)
    if around.routing.disturbs(alert.severity, now_ms) and due_from(alert.free_ms):  # they are not over yet
        return nobody(Reason.QUIET_HOURS)
    due = due_from(free_ms)
    if not due:
        return nobody(Reason.UNCHANGED)
    due_ms = now_ms if alert.severity is Severity.CRITICAL else now_ms + route.gather_ms
    held = {told.receiver: told for told in alert.told}
    notices = []
    for receiver, kind in due.items():
        before = held.get(receiver)
        times = 1 if before is None else before.times + 1
        held[receiver] = Told(receiver, alert.severity, now_ms, times)
        notices.append(_notice(alert, receiver, kind, now_ms, due_ms))
    return Telling(Reason.TOLD, notices=tuple(notices), told=tuple(held.values()), free_ms=free_ms)


def _due(alert: Alert, route: Route, since_ms: int, now_ms: int) -> dict[str, Kind]:
    """Receivers that are to be told now if nothing speaks against it, each once, with what. `since_ms`: from when on
    the route's steps count."""
    held = {told.receiver: told for told in alert.told}
    due: dict[str, Kind] = {}
    for place, step in enumerate(route.steps):
        if now_ms - since_ms < step.after_ms:
            break
        for receiver in step.receivers:
            told = held.get(receiver)
            if told is None:
                due.setdefault(receiver, Kind.ESCALATED if place else Kind.FIRING)
            elif SEVERITY_ORDER[alert.severity] < SEVERITY_ORDER[told.severity]:
                due.setdefault(receiver, Kind.WORSE)
            elif told.at_ms < (alert.passed_ms or 0):  # told of what this one continues
                due.setdefault(receiver, Kind.UPDATED)
            elif told.at_ms < (alert.fired_ms or 0) or _repeats(route, told, now_ms):  # its end was never told
                due.setdefault(receiver, Kind.REMINDER)
    return due


def _repeats(route: Route, told: Told, now_ms: int) -> bool:
    return route.repeat_ms is not None and now_ms - told.at_ms >= route.repeat_ms


def _resolved(alert: Alert, around: Surroundings, now_ms: int) -> Telling:
    if not alert.told:
        known = alert.since_ms < now_ms and alert.reason in (Reason.TOLD, Reason.UNCHANGED)
        return Telling(Reason.UNCHANGED if known else Reason.NEVER_TOLD)
    if around.routing.disturbs(alert.severity, now_ms):
        return Telling(Reason.QUIET_HOURS, told=alert.told)
    route = around.routing.route(alert.labels)
    gather_ms = 0 if alert.severity is Severity.CRITICAL or route is None else route.gather_ms
    notices = tuple(_notice(alert, told.receiver, Kind.RESOLVED, now_ms, now_ms + gather_ms) for told in alert.told)
    return Telling(Reason.TOLD, notices=notices)


def _notice(alert: Alert, receiver: str, kind: Kind, now_ms: int, due_ms: int) -> Notice:
    name = f"{alert.key}:{kind}:{alert.severity}:{now_ms}:{receiver}"
    told = replace(alert, told=(), firings_ms=(), reason=Reason.TOLD, by="")
    return Notice(id=name, receiver=receiver, kind=kind, alert=told, created_ms=now_ms, due_ms=due_ms)
