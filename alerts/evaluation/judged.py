"""What a detector says of one series, before it is weighed against all others."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.evaluation.panes import Label
from alerts.findings import Contributor, Interval, Labels, Reason
from streams.panes.counters import Unit


@dataclass(frozen=True, slots=True)
class Judged:
    """One series of one rule."""

    rule: str
    label: Label
    labels: Labels
    reason: Reason
    unit: Unit = Unit.COUNT
    value: float | None = None
    expected: float | None = None
    interval: Interval | None = None
    since_ms: int | None = None
    money_per_minute: float | None = None
    """Minor units."""
    contributors: tuple[Contributor, ...] = ()
    explained_by: Label | None = None
    """Of the whole shop: the one part that it comes from."""
