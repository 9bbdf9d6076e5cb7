"""The protocol of detectors. The modules `health`, `sequential`, `silence` and `thresholds` implement it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from alerts.detection.breach import Breach
from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import ScopeValue
from alerts.detection.revenue import RevenueRate
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series
from alerts.rules.rule import Rule

Steps = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Observation:
    """The inputs of one evaluation, the same for all detectors."""

    inputs: DetectionInputs
    row_of: Mapping[ScopeValue, int]
    """# label: its row in the panes"""
    steps: Steps
    """[start_s, end_s) of the panes to observe, in order."""
    fine_steps: Steps
    """The same range by second, unless there is a backlog."""
    skus: frozenset[str]
    """SKUs of running promotions."""
    revenue: RevenueRate
    budgets: Mapping[str, float]
    """# rule: its false alarms per day"""
    unreliable_topics: frozenset[str] = frozenset()

    def is_frozen(self, rule: Rule) -> bool:
        """Whether a data fault makes the rule's numbers unreliable."""
        return bool(self.unreliable_topics & {str(topic) for topic in rule.topics})


@dataclass(frozen=True, slots=True)
class SeriesCounts:
    """How many series of a rule a detector could evaluate."""

    decided: int
    undecided: Mapping[FindingReason, int] = field(default_factory=dict)


class Detector(Protocol):
    """One kind of detector. It keeps its state in a memory of its own type, one for each rule."""

    @property
    def evaluated_first(self) -> bool:
        """Whether its breaches can make the numbers of other detectors unreliable."""

    def signature(self, rule: Rule) -> str:
        """Identifies the memory's content; a memory with another signature is replaced."""

    def new_memory(self, rule: Rule) -> Any:
        """Create an empty memory."""

    def observe(self, memory: Any, current: EffectiveRule, observation: Observation) -> None:
        """Update the memory; called for disabled rules, too."""

    def breaches(self, memory: Any, current: EffectiveRule, observation: Observation) -> Iterator[Breach]:
        """Yield the breaches of an enabled rule."""

    def status(self, memory: Any, current: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
        """Return why a series is not breached, and its value."""

    def counts(self, memory: Any, current: EffectiveRule) -> SeriesCounts:
        """Count the series."""
