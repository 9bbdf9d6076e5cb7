"""Breaches as candidates for findings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerts.correlation.explanation import Effect
from alerts.correlation.extents import Extent
from alerts.detection.detector import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import Category, FindingReason, Series
from alerts.rules.rule import Rule

TRACKING = "tracking"
"""Incident key of clicks that are not recorded."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A breach that correlation may inhibit."""

    breach: Breach
    effective: EffectiveRule
    extent: Extent
    reason: FindingReason
    inhibited_by: Series | None = None

    @property
    def rule(self) -> Rule:
        """The breached rule."""
        return self.effective.rule

    @property
    def series(self) -> Series:
        """The breached series."""
        return self.extent.series

    @property
    def category(self) -> Category:
        """Subject of the finding: where only the recording failed, the data."""
        return Category.DATA if self.breach.is_tracking_loss else self.rule.category

    @property
    def incident_key(self) -> str:
        """Key of the incident that the finding belongs to."""
        return TRACKING if self.breach.is_tracking_loss else self.rule.incident_key

    @property
    def effect(self) -> Effect:
        """The breach as another one may explain it."""
        return Effect(self.rule, self.extent, self.incident_key)

    @property
    def is_root(self) -> bool:
        """Whether no other series inhibits it."""
        return self.inhibited_by is None

    def inhibited(self, reason: FindingReason, by: Series) -> Candidate:
        """Return the candidate as inhibited by another series."""
        return replace(self, reason=reason, inhibited_by=by)
