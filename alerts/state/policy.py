"""How a rule's alerts come and go, and who is told of which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerts.findings import Severity
from alerts.state.silences import Matcher
from alerts.state.weekly import WeeklyInterval

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When an alert of a rule fires and when it is over."""

    for_ms: int = 0
    """How long it must be so without a break before it fires."""
    clear_ms: int = 0
    """How long it must be clear without a break before it is resolved."""
    flap_count: int = 4
    """So many firings within `flap_window_ms` are flapping; 0: never."""
    flap_window_ms: int = 60 * MINUTE_MS
    flap_hold_ms: int = 15 * MINUTE_MS
    """While it flaps: how long it must be clear before it is resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """Who is told, how long after it began to fire."""

    after_ms: int
    receivers: tuple[str, ...]
    """Names of receivers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of some alerts to people."""

    matchers: tuple[Matcher, ...] = ()
    """All must match; without any it takes every alert. Labels `rule` and `severity` are there beside the alert's."""
    escalation: tuple[EscalationStep, ...]
    """In the order of their times. The next is taken unless it was acknowledged or is over before."""
    group_wait_ms: int = 1000
    """How long a message may wait for others to go with it; critical ones do not."""
    repeat_interval_ms: int | None = None
    """Tell again after so long, while it fires and nobody has acknowledged; None: once is enough."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether alerts with these labels go this way."""
        return all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Who is told of what, and when people are not to be disturbed."""

    routes: tuple[Route, ...] = ()
    """The first that takes an alert is its route."""
    quiet_hours: tuple[WeeklyInterval, ...] = ()
    """Hours in which only what is critical is told."""

    def route(self, labels: Mapping[str, str]) -> Route | None:
        """The route of an alert."""
        return next((route for route in self.routes if route.matches(labels)), None)

    def in_quiet_hours(self, severity: Severity, now_ms: int) -> bool:
        """Whether a message would come in quiet hours that it may not break."""
        return severity is not Severity.CRITICAL and any(hours.covers(now_ms) for hours in self.quiet_hours)

    @property
    def receivers(self) -> Iterable[str]:
        """Every receiver that is named, each once, in order."""
        return dict.fromkeys(name for route in self.routes for step in route.escalation for name in step.receivers)
