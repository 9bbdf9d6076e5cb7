"""Breaches as candidates for findings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerts.correlation.explanation import Effect
from alerts.correlation.extents import Extent
from alerts.detection.detector import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series
from alerts.rules.rule import Rule


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
    def effect(self) -> Effect:
        """The breach as another one may explain it."""
        return Effect(self.rule, self.extent)

    @property
    def is_root(self) -> bool:
        """Whether no other series inhibits it."""
        return self.inhibited_by is None

    def inhibited(self, reason: FindingReason, by: Series) -> Candidate:
        """Return the candidate as inhibited by another series."""
        return replace(self, reason=reason, inhibited_by=by)
