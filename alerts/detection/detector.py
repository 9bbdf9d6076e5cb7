"""Breaches, and the protocol of detectors: `health`, `sequential`, `shares`, `silence`, `stock` and `thresholds`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.findings import Contributor, EventRate, ExpectedRange, FindingReason, Labels, Series, Severity
from alerts.rules.rule import Rule
from streams.panes.counters import Unit

_HALF_LIFE_S = 1800.0


@dataclass(slots=True)
class RevenueRate:
    """Revenue of the whole shop, the scale of losses: GMV and paid orders as exponential moving sums; minor units."""

    seconds: float = 0.0
    gmv: float = 0.0
    paid: float = 0.0

    def add(self, gmv: float, paid: float, dt_s: float) -> None:
        """Add the sums of `dt_s` seconds: GMV in minor units and the number of paid orders."""
        keep = 0.5 ** (dt_s / _HALF_LIFE_S)
        self.seconds = self.seconds * keep + dt_s
        self.gmv = self.gmv * keep + gmv
        self.paid = self.paid * keep + paid

    @property
    def gmv_per_minute(self) -> float:
        """GMV per minute; NaN without data."""
        return 60 * self.gmv / self.seconds if self.seconds else math.nan

    @property
    def aov(self) -> float:
        """Average order value; NaN without paid orders."""
        return self.gmv / self.paid if self.paid else math.nan


@dataclass(frozen=True, slots=True)
class MeanValue:
    """The mean value of some time, and two standard errors of it."""

    value: float
    spread: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of one series under one rule."""

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
    money_lost: float | None = None
    """Lost since the breach began, minor units; None: not measured apart from `money_per_minute`."""
    rate: EventRate | None = None
    """Counted and expected events a minute, in addition to a ratio."""
    is_forecast: bool = False
    """Whether the loss has not begun yet."""
    severity: Severity | None = None
    """None: the rule's, or by the loss."""
    stage: int = 0
    """Stage of an incident that gets worse in steps, such as sold out after soon sold out."""
    title: str = ""
    """Empty: the rule's."""
    numbers: str = ""
    """The measured facts in words; empty: from value and expected value."""
    has_no_loss: bool = False
    """Whether nothing is lost: a ratio changed, and what it counts did not. Never a page."""
    is_tracking_loss: bool = False
    """With `has_no_loss`: whether events went missing, and those that follow did not, so that only the recording
    failed."""
    contributors: tuple[Contributor, ...] = ()
    share: float | None = None
    """For data faults: the lost share of the topic's events, 0 to 1; None: unknown."""
    mean: MeanValue | None = None
    """Since the start."""
    lately: MeanValue | None = None
    """Of the last two minutes."""
    weight: float | None = None
    """Usual share of the shop's revenue in the series, or of its orders for a sold-out SKU, 0 to 1; None: unknown."""
    may_come: bool = False
    """Whether what is missing may only be late: never critical."""
    is_suspected: bool = False
    """Whether it only explains other breaches, and is no finding itself."""
    explained_by: ScopeValue | None = None
    """For the whole shop: the one part that explains the change."""


Steps = Sequence[tuple[int, int]]
"""[start_s, end_s) of each step."""


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
    """Topics whose numbers a data fault makes unreliable."""
    lossy_topics: frozenset[str] = frozenset()
    """Topics of which a data fault loses events."""
    open_incidents: tuple[tuple[Rule, Labels], ...] = ()
    """Rule and labels of each alert that was reported at the last evaluation."""

    def is_frozen(self, rule: Rule) -> bool:
        """Whether a data fault makes the rule's numbers unreliable."""
        return bool(self.unreliable_topics & {str(topic) for topic in rule.topics})

    def loses_events(self, rule: Rule) -> bool:
        """Whether a data fault loses events that the rule counts."""
        return bool(self.lossy_topics & {str(topic) for topic in rule.topics})


@dataclass(frozen=True, slots=True)
class SeriesCounts:
    """How many series of a rule a detector could evaluate."""

    decided: int
    undecided: Mapping[FindingReason, int] = field(default_factory=dict)
    lacks: str = ""
    """What the undecided series lack, for the one that lacks least; empty: nothing, or unknown."""
    is_complete_without_series: bool = False
    """Whether no series is no lack of data: a producer without a wrong clock has no reading."""


class Detector(Protocol):
    """One kind of detector. It keeps its state in a memory of its own type, one for each rule."""

    @property
    def evaluated_first(self) -> bool:
        """Whether its breaches can make the numbers of other detectors unreliable."""

    def signature(self, rule: Rule) -> str:
        """Identify the memory's content; a memory with another signature is replaced."""

    def new_memory(self, rule: Rule) -> Any:
        """Create an empty memory."""

    def observe(self, memory: Any, effective: EffectiveRule, observation: Observation) -> None:
        """Update the memory; called for disabled rules, too."""

    def breaches(self, memory: Any, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
        """Yield the breaches of an enabled rule."""

    def status(self, memory: Any, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
        """Return why a series is not breached, and its value."""

    def counts(self, memory: Any, effective: EffectiveRule) -> SeriesCounts:
        """Count the series that could and could not be evaluated."""
