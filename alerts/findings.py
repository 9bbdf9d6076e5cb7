"""What evaluating the rules says: the boundary between what is computed and what is done about it.

`Evaluation` is all that the alert states, silences and notifiers know of rules and detectors. It holds no clock and no
I/O: every time is event time (epoch ms) up to the as-of that was evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from streams.model.windows import Window
from streams.panes.counters import Unit
from streams.panes.scopes import Scope


class Condition(StrEnum):
    """How one series stands under one rule."""

    OK = "ok"
    """Nothing is wrong, or the rule is not in force now: an alert may be resolved."""
    BREACHED = "breached"
    """Something is wrong, and nothing else explains it: an alert begins or goes on."""
    UNKNOWN = "unknown"
    """There is nothing to judge by: an alert neither begins nor is resolved."""
    INHIBITED = "inhibited"
    """Something is wrong, and another finding (`inhibited_by`) already tells of it: nobody is told of this one, and
    an alert that is firing is not resolved by it either."""


class FindingReason(StrEnum):
    """Why a condition is what it is. Closed; also a metric's label."""

    WITHIN = "within"
    """ok: what is measured is as expected."""
    NOT_IN_FORCE = "not_in_force"
    """ok: the rule is for a promotion or a phase that does not run, or is switched off then."""
    GONE = "gone"
    """ok: the series is no longer of the rule's scope (a SKU that left the promotion)."""
    NEW_NORMAL = "new_normal"
    """ok: it has stayed at its new level for so long that this is what is now expected."""
    STALE = "stale"
    """ok: for as long as its window there was nothing, or too little, to judge by: nothing can be said any more."""
    BEYOND = "beyond"
    """breached: beyond a threshold that the rule sets."""
    CHANGED = "changed"
    """breached: too far from its baseline."""
    EVIDENCE = "evidence"
    """breached: a sequential test has enough evidence of a change of at least the least effect."""
    SILENT = "silent"
    """breached: nothing came, where something was to be expected."""
    NO_DATA = "no_data"
    """unknown: the number does not exist (a ratio over 0, a scope without it)."""
    LEARNING = "learning"
    """unknown: there is no baseline to compare with yet."""
    TOO_FEW = "too_few"
    """unknown: fewer events than the rule's least sample."""
    DATA_FAULT = "data_fault"
    """held back: the numbers are wrong, not the shop; the fault pages its own owner."""
    PARENT = "parent"
    """held back: the whole tells of it."""
    CHILD = "child"
    """held back: one part explains it, and tells of it."""
    SAME_INCIDENT = "same_incident"
    """held back: another rule already tells of the same incident."""


CONDITION_BY_REASON: dict[FindingReason, Condition] = {
    **dict.fromkeys(
        (
            FindingReason.WITHIN,
            FindingReason.NOT_IN_FORCE,
            FindingReason.GONE,
            FindingReason.NEW_NORMAL,
            FindingReason.STALE,
        ),
        Condition.OK,
    ),
    **dict.fromkeys(
        (FindingReason.BEYOND, FindingReason.CHANGED, FindingReason.EVIDENCE, FindingReason.SILENT), Condition.BREACHED
    ),
    **dict.fromkeys((FindingReason.NO_DATA, FindingReason.LEARNING, FindingReason.TOO_FEW), Condition.UNKNOWN),
    **dict.fromkeys(
        (FindingReason.DATA_FAULT, FindingReason.PARENT, FindingReason.CHILD, FindingReason.SAME_INCIDENT),
        Condition.INHIBITED,
    ),
}
"""Each reason belongs to one condition."""


class Severity(StrEnum):
    """How bad it is, the worst first."""

    CRITICAL = "critical"
    """Wake somebody."""
    WARNING = "warning"
    """Look at it today."""
    INFO = "info"
    """Worth knowing."""


SEVERITY_ORDER: dict[Severity, int] = {severity: place for place, severity in enumerate(Severity)}
"""0 is the worst."""


class Category(StrEnum):
    """Whom a rule concerns."""

    BUSINESS = "business"
    """The shop is not as it should be."""
    DATA = "data"
    """What is measured of the shop is not as it should be: producers, topics, the monitor itself."""


Labels = tuple[tuple[str, str], ...]
"""(dimension, value) pairs, sorted, names distinct. Empty for the whole shop. Dimensions are those of the metric
dictionary (`channel`, `sku`, …), `promotion`, and for data faults `topic`, `partition`, `source`, `reason`."""


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that one rule watches: an alert's identity, the same for as long as the rule keeps its name."""

    rule: str
    labels: Labels = ()

    def __str__(self) -> str:
        """`conversion-drop{channel="app"}`, as people write it."""
        inner = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.rule}{{{inner}}}" if inner else self.rule


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """What was to be expected, as a range; None: no limit on that side."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Contributor:
    """One part of what happened, as a share of the whole change: its effects over all parts add up to 1."""

    labels: Labels
    rate_effect: float
    """Because the rate itself changed there."""
    mix_effect: float
    """Because more or less of the whole is there."""
    value: float | None
    expected: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """What to look at: a series of the API and its range."""

    name: str
    """A counter or KPI."""
    window: Window
    scope: Scope
    value: str
    """Value of the scope; empty in scope `all`."""
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says about one series at one as-of."""

    series: Series
    reason: FindingReason
    severity: Severity
    category: Category
    as_of_ms: int
    since_ms: int | None
    """Since when, by what was measured; None where nothing is wrong or it cannot be said."""
    unit: Unit
    """Of value, expected and interval; money is minor units."""
    value: float | None
    """What was measured."""
    expected: float | None
    interval: ExpectedRange | None
    money_per_minute: int | None
    """What is being lost, minor units a minute; None where no money can be put to it."""
    contributors: tuple[Contributor, ...]
    """The greatest first."""
    inhibited_by: Series | None
    """What tells of it instead, if it is held back."""
    continues: Series | None = field(default=None, kw_only=True)
    """What told of the same incident until now: people are told that it is more, and not of another incident."""
    incident: str
    """The same for all findings that are likely to be one incident: what to group notifications by."""
    title: str
    """What is wrong, in a few words: `Conversion dropped`."""
    summary: str
    """One sentence with the numbers, for people; no markup."""
    runbook: str
    """Address or path of what to do; may be empty."""
    chart: Chart | None

    @property
    def condition(self) -> Condition:
        """How the series stands."""
        return CONDITION_BY_REASON[self.reason]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All rules at one as-of.

    `findings` has every series that is breached or held back, and every watched one (that the caller has an alert of)
    in whatever condition, ordered: the worst severity first, then the most money lost. A series that was watched and is
    not there belongs to no rule any more.
    """

    as_of_ms: int
    findings: tuple[Finding, ...]
    unknown: tuple[tuple[str, FindingReason, int], ...] = ()
    """(rule, why, how many of its series) cannot be judged: for metrics, and for people who ask why nothing fires."""
    judged: tuple[tuple[str, int], ...] = ()
    """(rule, how many of its series) could be judged, right or wrong."""
