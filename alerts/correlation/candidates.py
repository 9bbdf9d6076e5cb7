"""Breaches as candidates for findings, and the correlation memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.detection.breach import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series, Severity


@dataclass(frozen=True, slots=True)
class Candidate:
    """A breach that correlation may inhibit."""

    breach: Breach
    effective: EffectiveRule
    series: Series
    reason: FindingReason
    inhibited_by: Series | None = None

    @property
    def is_root(self) -> bool:
        """Whether no other candidate inhibits it."""
        return self.inhibited_by is None

    def inhibited(self, reason: FindingReason, by: Series) -> Candidate:
        """Return the candidate as inhibited by another series."""
        return Candidate(self.breach, self.effective, self.series, reason, by)

    def since_ms(self, as_of_ms: int) -> int:
        """Start of the breach, or the given as-of if unknown."""
        return as_of_ms if self.breach.since_ms is None else self.breach.since_ms


def root_series(case: Candidate, by_series: Mapping[Series, Candidate]) -> Series:
    """The root of an inhibited series; inhibitions may be chained."""
    series = case.series
    for _ in range(3):
        inhibited_by = by_series[series].inhibited_by if series in by_series else None
        if inhibited_by is None:
            break
        series = inhibited_by
    return series


@dataclass(slots=True)
class CorrelationMemory:
    """State of correlation between evaluations."""

    topic_faults: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# topic: (data fault, end of its inhibition in ms)"""
    incident_roots: dict[str, Series] = field(default_factory=dict)
    """# incident: its root"""
    inhibitions: dict[Series, tuple[Series, int]] = field(default_factory=dict)
    """# inhibited series: (inhibiting series, end in ms)"""
    inhibited_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (its cause, end of the inhibition in ms)"""
    recent_roots: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (its last root, end of relevance in ms)"""
    active_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (its root, start of the breach in ms, across successive roots)"""
    ended_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """Active incidents that ended in the last evaluation."""
    continues: dict[Series, Series] = field(default_factory=dict)
    """# root: the root that it succeeds"""
    reported: dict[Series, Severity] = field(default_factory=dict)
    """# reported series: its highest severity"""
