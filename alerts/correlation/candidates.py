"""One judged series on its way to a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.detection.breach import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series, Severity

SAME_INCIDENT_WITHIN_MS = 300_000
"""What begins within so long of each other may be one incident."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is weighed against all others."""

    breach: Breach
    effective: EffectiveRule
    series: Series
    reason: FindingReason
    inhibited_by: Series | None = None

    @property
    def is_root(self) -> bool:
        """Whether nothing else tells of it."""
        return self.inhibited_by is None

    def inhibited(self, reason: FindingReason, by: Series) -> Candidate:
        """The same, held back by another."""
        return Candidate(self.breach, self.effective, self.series, reason, by)

    def since_ms(self, as_of_ms: int) -> int:
        """Since when it is wrong, as far as that is known."""
        return as_of_ms if self.breach.since_ms is None else self.breach.since_ms


def siblings(one: Series, other: Series) -> bool:
    """Whether they are about different values of the same dimensions."""
    same = [name for name, _ in one.labels] == [name for name, _ in other.labels]
    return same and one.labels != other.labels


def root_series(case: Candidate, by_series: Mapping[Series, Candidate]) -> Series:
    """What tells of it in the end: a part may be held back by a whole that is held back itself."""
    series = case.series
    for _ in range(3):
        inhibited_by = by_series[series].inhibited_by if series in by_series else None
        if inhibited_by is None:
            break
        series = inhibited_by
    return series


@dataclass(slots=True)
class CorrelationMemory:
    """What was decided before, so that it stays so."""

    topic_faults: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# topic: (the fault, until when (ms) it explains what is odd)"""
    incident_roots: dict[str, Series] = field(default_factory=dict)
    """# incident: who tells of it"""
    inhibitions: dict[Series, tuple[Series, int]] = field(default_factory=dict)
    """Held back by another rule: (which, until when, ms)."""
    inhibited_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (what causes it, until when (ms))"""
    recent_roots: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who told of it last, until when (ms) that is of any meaning)"""
    active_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who tells of it, since when (ms) it has been wrong, by all who told of it)"""
    ended_incidents: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """The same of incidents that ended in the last evaluation."""
    continues: dict[Series, Series] = field(default_factory=dict)
    """What is told of now in place of what was told of before."""
    reported: dict[Series, Severity] = field(default_factory=dict)
    """What is told of now, and how bad it has been at its worst."""
