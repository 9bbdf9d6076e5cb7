"""Timing of a rule's alerts, and the routing tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerts.findings import Severity
from alerts.state.silences import Matcher, WeeklyInterval

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When an alert of a rule fires and resolves."""

    for_ms: int = 0
    """How long the condition must be breached without interruption before the alert fires."""
    clear_ms: int = 0
    """How long the condition must be clear without interruption before the alert resolves."""
    digest_ms: int = 0
    """Notices that are not critical wait for the next multiple of this interval."""
    flap_count: int = 4
    """Number of incidents within `flap_window_ms` that counts as flapping; 0: never."""
    flap_window_ms: int = 60 * MINUTE_MS
    flap_hold_ms: int = 15 * MINUTE_MS
    """How long a flapping alert must be clear before it resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """The receivers to notify after a delay."""

    after_ms: int
    receivers: tuple[str, ...]
    """Names of receivers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Routes matching alerts to receivers."""

    matchers: tuple[Matcher, ...] = ()
    """All must match; an empty tuple matches every alert."""
    escalation: tuple[EscalationStep, ...]
    """Ordered by delay. Acknowledgement or resolution stops the escalation."""
    group_wait_ms: int = 1000
    """How long a notification waits to be grouped; critical ones do not wait."""
    repeat_interval_ms: int | None = None
    """Interval of reminders while the alert fires unacknowledged; None: no reminders."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the route matches these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    @property
    def sends_notes(self) -> bool:
        """Whether it notifies of severity info: only if it matches on `severity`."""
        return any(matcher.label == "severity" for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """All routes, and quiet hours."""

    routes: tuple[Route, ...] = ()
    """The first matching route applies."""
    quiet_hours: tuple[WeeklyInterval, ...] = ()
    """Intervals in which only critical alerts notify."""

    def route(self, labels: Mapping[str, str]) -> Route | None:
        """Return the route of an alert."""
        return next((route for route in self.routes if route.matches(labels)), None)

    def in_quiet_hours(self, severity: Severity, now_ms: int) -> bool:
        """Whether quiet hours suppress a notification of this severity."""
        return severity is not Severity.CRITICAL and any(hours.covers(now_ms) for hours in self.quiet_hours)

    @property
    def receivers(self) -> Iterable[str]:
        """Names of all receivers, without duplicates, in order."""
        return dict.fromkeys(name for route in self.routes for step in route.escalation for name in step.receivers)
