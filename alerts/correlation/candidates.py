"""Breaches as candidates for findings, and the correlation memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.detection.detector import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series, Severity
from alerts.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Candidate:
    """A breach that correlation may inhibit."""

    breach: Breach
    effective: EffectiveRule
    series: Series
    reason: FindingReason
    inhibited_by: Series | None = None

    @property
    def rule(self) -> Rule:
        """The breached rule."""
        return self.effective.rule

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
    """The root of a candidate; inhibitions may be chained."""
    series = case.series
    for _ in range(3):
        inhibited_by = by_series[series].inhibited_by if series in by_series else None
        if inhibited_by is None:
            break
        series = inhibited_by
    return series


@dataclass(frozen=True, slots=True)
class ExpiringSeries:
    """A series that correlation considers until a time."""

    series: Series
    until_ms: int


@dataclass(frozen=True, slots=True)
class ActiveIncident:
    """The root of an incident, and the start of the breach across successive roots."""

    root: Series
    since_ms: int


@dataclass(slots=True)
class IncidentMemory:
    """The state of one incident key between evaluations."""

    leader: Series | None = None
    """The series that inhibits the incident's other rules."""
    active: ActiveIncident | None = None
    recent_root: ExpiringSeries | None = None
    inhibited_by: ExpiringSeries | None = None
    """The root of another incident that causes this one."""


@dataclass(slots=True)
class SeriesMemory:
    """The state of one candidate's series between evaluations."""

    reported: Severity | None = None
    """The highest severity reported; None: not reported at the last evaluation."""
    continues: Series | None = None
    """The root that this one succeeds."""
    inhibited_by: ExpiringSeries | None = None


@dataclass(slots=True)
class CorrelationMemory:
    """State of correlation between evaluations."""

    topic_faults: dict[str, ExpiringSeries] = field(default_factory=dict)
    """# topic: the data fault that inhibits its alerts"""
    incidents: dict[str, IncidentMemory] = field(default_factory=dict)
    """# incident key: its memory"""
    series: dict[Series, SeriesMemory] = field(default_factory=dict)

    def incident(self, key: str) -> IncidentMemory:
        """Return the memory of an incident, new if there is none."""
        return self.incidents.setdefault(key, IncidentMemory())

    def inhibition(self, series: Series) -> ExpiringSeries | None:
        """Return the lasting inhibition of a series."""
        return self.series[series].inhibited_by if series in self.series else None

    def reported(self) -> dict[Series, Severity]:
        """Return {series reported at the last evaluation: its highest severity}."""
        return {series: memory.reported for series, memory in self.series.items() if memory.reported is not None}

    def is_reported(self, series: Series) -> bool:
        """Whether a series was reported at the last evaluation."""
        return series in self.series and self.series[series].reported is not None

    def expire(self, now_ms: int) -> None:
        """Drop expired entries, and the memories that are then empty."""
        self.topic_faults = {topic: fault for topic, fault in self.topic_faults.items() if fault.until_ms > now_ms}
        for incident in self.incidents.values():
            incident.recent_root = _unexpired(incident.recent_root, now_ms)
            incident.inhibited_by = _unexpired(incident.inhibited_by, now_ms)
        for memory in self.series.values():
            memory.inhibited_by = _unexpired(memory.inhibited_by, now_ms)
        self.incidents = {key: memory for key, memory in self.incidents.items() if memory != IncidentMemory()}
        self.series = {series: memory for series, memory in self.series.items() if memory != SeriesMemory()}


def _unexpired(entry: ExpiringSeries | None, now_ms: int) -> ExpiringSeries | None:
    return entry if entry is not None and entry.until_ms > now_ms else None
