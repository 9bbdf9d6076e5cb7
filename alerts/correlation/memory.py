"""What correlation remembers between evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.correlation.extents import Extent
from alerts.findings import Series, Severity

INHIBIT_AFTER_FAULT_MS = 180_000
"""How long a data fault inhibits after its end."""
INHIBIT_AFTER_ROOT_MS = 600_000
"""How long the root of an incident can explain other breaches, and be succeeded, after its end."""


@dataclass(frozen=True, slots=True)
class DataFault:
    """A data fault, until `INHIBIT_AFTER_FAULT_MS` after its end."""

    topics: tuple[str, ...]
    since_ms: int
    last_ms: int
    """The last evaluation that found it."""
    share: float
    """Largest lost share of the topics' events, 0 to 1; 1: their numbers are unreliable."""
    is_suspected: bool = False
    """Whether it was never more than likely."""


@dataclass(frozen=True, slots=True)
class ActiveIncident:
    """The latest root of an incident, and the start of the breach across successive roots."""

    root: Series
    since_ms: int


@dataclass(slots=True)
class CorrelationMemory:
    """State of correlation between evaluations."""

    faults: dict[Series, DataFault] = field(default_factory=dict)
    roots: dict[Series, Extent] = field(default_factory=dict)
    """The roots of incidents, until `INHIBIT_AFTER_ROOT_MS` after their end."""
    reported: dict[Series, Severity] = field(default_factory=dict)
    """# series reported at the last evaluation: its highest severity"""
    continues: dict[Series, Series] = field(default_factory=dict)
    """# reported series: the root that it succeeds"""
    inhibited: dict[Series, Series] = field(default_factory=dict)
    """# series inhibited at the last evaluation: by which"""
    active: dict[str, ActiveIncident] = field(default_factory=dict)
    """# incident key"""

    def expire(self, now_ms: int) -> dict[Series, DataFault]:
        """Drop expired entries; return the expired faults, except suspected ones."""
        until_ms = {series: fault.last_ms + INHIBIT_AFTER_FAULT_MS for series, fault in self.faults.items()}
        ended = {
            series: fault
            for series, fault in self.faults.items()
            if until_ms[series] < now_ms and not fault.is_suspected
        }
        self.faults = {series: fault for series, fault in self.faults.items() if until_ms[series] >= now_ms}
        self.roots = {
            series: root for series, root in self.roots.items() if root.last_ms + INHIBIT_AFTER_ROOT_MS > now_ms
        }
        return ended
