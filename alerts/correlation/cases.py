"""One judged series on its way to a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.detection.breach import Judged
from alerts.detection.schedule import InForce
from alerts.findings import Reason, Series, Severity

TOGETHER_MS = 300_000
"""What begins within so long of each other may be one incident."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is weighed against all others."""

    judged: Judged
    now: InForce
    series: Series
    reason: Reason
    held_by: Series | None = None

    @property
    def stands(self) -> bool:
        """Whether nothing else tells of it."""
        return self.held_by is None

    def behind(self, reason: Reason, by: Series) -> Case:
        """The same, held back by another."""
        return Case(self.judged, self.now, self.series, reason, by)

    def since_ms(self, as_of_ms: int) -> int:
        """Since when it is wrong, as far as that is known."""
        return as_of_ms if self.judged.since_ms is None else self.judged.since_ms


def siblings(one: Series, other: Series) -> bool:
    """Whether they are about different values of the same dimensions."""
    same = [name for name, _ in one.labels] == [name for name, _ in other.labels]
    return same and one.labels != other.labels


def root(case: Case, by_series: Mapping[Series, Case]) -> Series:
    """What tells of it in the end: a part may be held back by a whole that is held back itself."""
    series = case.series
    for _ in range(3):
        held_by = by_series[series].held_by if series in by_series else None
        if held_by is None:
            break
        series = held_by
    return series


@dataclass(slots=True)
class VerdictMemory:
    """What was decided before, so that it stays so."""

    faulty: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# topic: (the fault, until when (ms) it explains what is odd)"""
    leaders: dict[str, Series] = field(default_factory=dict)
    """# incident: who tells of it"""
    held: dict[Series, tuple[Series, int]] = field(default_factory=dict)
    """Held back by another rule: (which, until when, ms)."""
    caused: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (what causes it, until when (ms))"""
    last: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who told of it last, until when (ms) that is of any meaning)"""
    lasts: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who tells of it, since when (ms) it has been wrong, by all who told of it)"""
    over: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """The same of incidents that ended in the last evaluation."""
    continues: dict[Series, Series] = field(default_factory=dict)
    """What is told of now in place of what was told of before."""
    told: dict[Series, Severity] = field(default_factory=dict)
    """What is told of now, and how bad it has been at its worst."""
