"""One judged series on its way to a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerts.evaluation.calendar import InForce
from alerts.evaluation.judged import Judged
from alerts.findings import Reason, Series

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
