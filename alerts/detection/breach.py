"""A detector's result for one series, before correlation."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.detection.panes import ScopeValue
from alerts.findings import Contributor, ExpectedRange, FindingReason, Labels
from streams.panes.counters import Unit


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of one series."""

    rule: str
    label: ScopeValue
    labels: Labels
    reason: FindingReason
    unit: Unit = Unit.COUNT
    value: float | None = None
    expected: float | None = None
    interval: ExpectedRange | None = None
    fired_beyond: float | None = None
    """The firing limit, if the value is inside it again but has not cleared; `interval` then holds the clear limit."""
    since_ms: int | None = None
    money_per_minute: float | None = None
    """Minor units."""
    contributors: tuple[Contributor, ...] = ()
    explained_by: ScopeValue | None = None
    """For the whole shop: the one part that explains the change."""
