"""What a detector says of one series, before it is weighed against all others."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.detection.panes import ScopeValue
from alerts.findings import Contributor, ExpectedRange, FindingReason, Labels
from streams.panes.counters import Unit


@dataclass(frozen=True, slots=True)
class Breach:
    """One series of one rule."""

    rule: str
    label: ScopeValue
    labels: Labels
    reason: FindingReason
    unit: Unit = Unit.COUNT
    value: float | None = None
    expected: float | None = None
    interval: ExpectedRange | None = None
    fired_beyond: float | None = None
    """The limit beyond which it became wrong, where it is within that now and not right again yet: `interval` then has
    the limit at which it clears."""
    since_ms: int | None = None
    money_per_minute: float | None = None
    """Minor units."""
    contributors: tuple[Contributor, ...] = ()
    explained_by: ScopeValue | None = None
    """Of the whole shop: the one part that it comes from."""
