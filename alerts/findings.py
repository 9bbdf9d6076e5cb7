"""The result of evaluating the rules, as the alert states, silences and notifiers see it.

All times are event time (epoch ms) up to the evaluated as-of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerts.rule_states import RuleStatus
from streams.model.windows import Window
from streams.panes.counters import Unit


class Condition(StrEnum):
    """Condition of one series under one rule."""

    OK = "ok"
    """Not breached, or the rule does not apply now: a firing alert may resolve."""
    BREACHED = "breached"
    """Breached and not inhibited: an alert starts or continues."""
    UNKNOWN = "unknown"
    """Not enough data: an alert neither starts nor resolves."""
    INHIBITED = "inhibited"
    """Breached, but explained by another finding (`inhibited_by`), or without a loss: no notification is sent, and a
    firing alert does not resolve."""


class FindingReason(StrEnum):
    """Reason for a condition. A closed set."""

    WITHIN = "within"
    """ok: the value is as expected."""
    NOT_IN_FORCE = "not_in_force"
    """ok: the rule applies only to a promotion or phase that is not running, or is disabled."""
    GONE = "gone"
    """ok: the series left the rule's scope, such as a SKU that left the promotion."""
    NEW_NORMAL = "new_normal"
    """ok: the new level has lasted long enough to become the baseline."""
    STALE = "stale"
    """ok: a whole window had too little data."""
    BEYOND = "beyond"
    """breached: the value is beyond the rule's threshold."""
    CHANGED = "changed"
    """breached: the value is too far from its baseline."""
    EVIDENCE = "evidence"
    """breached: a sequential test has enough evidence of a change of at least `least_effect`."""
    SILENT = "silent"
    """breached: no events, although some were expected."""
    NO_DATA = "no_data"
    """unknown: the value does not exist, such as a ratio over 0."""
    LEARNING = "learning"
    """unknown: there is no baseline yet."""
    TOO_FEW = "too_few"
    """unknown: fewer events than the rule's `least_sample`."""
    NOTHING_LOST = "nothing_lost"
    """inhibited: a ratio changed and nothing is lost: it is per more, such as visits that do not buy, or per less."""
    DATA_FAULT = "data_fault"
    """inhibited: a data fault explains the value and sends its own page."""
    PARENT = "parent"
    """inhibited: the whole shop is breached."""
    CHILD = "child"
    """inhibited: one part explains the change and is breached."""
    SAME_INCIDENT = "same_incident"
    """inhibited: another rule reports the same incident."""


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
        (
            FindingReason.NOTHING_LOST,
            FindingReason.DATA_FAULT,
            FindingReason.PARENT,
            FindingReason.CHILD,
            FindingReason.SAME_INCIDENT,
        ),
        Condition.INHIBITED,
    ),
}
"""Condition of each reason."""


class Severity(StrEnum):
    """Severity of an alert, most severe first."""

    CRITICAL = "critical"
    """Page someone now."""
    WARNING = "warning"
    """Act today."""
    INFO = "info"
    """For information."""


SEVERITY_ORDER: dict[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}
"""Rank by severity; 0 is the most severe."""


class Category(StrEnum):
    """Subject of a rule."""

    BUSINESS = "business"
    """The shop's numbers."""
    DATA = "data"
    """The data and the monitor itself: producers, topics, workers."""


Labels = tuple[tuple[str, str], ...]
"""Sorted (dimension, value) pairs with distinct names; empty for the whole shop. Dimensions are those of the metric
dictionary (`channel`, `sku`, …), `promotion`, and for data faults `topic`, `partition`, `source`, `reason`."""


@dataclass(frozen=True, slots=True)
class Series:
    """One time series of one rule: an alert's identity for as long as the rule keeps its name."""

    rule: str
    labels: Labels = ()

    def __str__(self) -> str:
        """Format as `conversion-drop{channel="app"}`."""
        inner = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.rule}{{{inner}}}" if inner else self.rule


def siblings(one: Series, other: Series) -> bool:
    """Whether two series have different values of the same dimensions."""
    same = [name for name, _ in one.labels] == [name for name, _ in other.labels]
    return same and one.labels != other.labels


MAX_EXPLAINED = 10
"""Maximum explained series that a finding names."""
SAME_INCIDENT_WITHIN_MS = 300_000
"""Breaches that start within this time may belong to one incident."""


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """The expected range; None: unbounded on that side."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """The numbers that a rule compares, by their names in the API."""

    count: tuple[str, ...]
    """Counters that are added up, or one number, or one health check."""
    per: tuple[str, ...] = ()
    """Counters that `count` is compared with; empty: with a limit, or with an earlier time."""
    window: str = ""
    """The window of a number."""


@dataclass(frozen=True, slots=True)
class EventRate:
    """Events a minute in the recent past."""

    per_minute: float
    """Counted events a minute."""
    expected: ExpectedRange
    """Expected events a minute."""


@dataclass(frozen=True, slots=True)
class ExplainedSeries:
    """A breached series that another finding explains."""

    series: Series
    title: str


@dataclass(frozen=True, slots=True)
class Contributor:
    """One part of a change, as a share of it; the effects of all parts add up to 1."""

    labels: Labels
    rate_effect: float
    """Effect of the changed rate of this part."""
    mix_effect: float
    """Effect of the changed share of this part."""
    value: float | None
    expected: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart to show: a series of the API and its time range."""

    name: str
    """A counter or KPI."""
    window: Window
    scope: str
    value: str
    """Value of the scope; empty in scope `all`."""
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one rule for one series at one as-of."""

    series: Series
    reason: FindingReason
    severity: Severity
    category: Category
    as_of_ms: int
    since_ms: int | None = None
    """Start of the breach by the data; None: not breached, or unknown."""
    unit: Unit = Unit.COUNT
    """Unit of value, expected and interval; money is in minor units."""
    value: float | None = None
    """The measured value."""
    expected: float | None = None
    interval: ExpectedRange | None = None
    fired_beyond: float | None = None
    """The firing limit, if the value is inside it again but has not cleared; `interval` then holds the clear limit."""
    measure: Measure | None = None
    rate: EventRate | None = None
    """Counted and expected events, in addition to a ratio."""
    money_per_minute: int | None = None
    """Revenue lost per minute, minor units; None: not measurable."""
    money_lost: int | None = None
    """Revenue lost since the breach began, minor units; None: not measured apart from `money_per_minute`."""
    is_forecast: bool = False
    """Whether that loss has not begun yet."""
    stage: int = 0
    """Stage of an incident that gets worse in steps; a higher one updates its page."""
    contributors: tuple[Contributor, ...] = ()
    """Largest first."""
    inhibited_by: Series | None = None
    """If inhibited: the series that explains this one."""
    explains: tuple[ExplainedSeries, ...] = ()
    """The series that this one explains, at most `MAX_EXPLAINED`."""
    continues: Series | None = None
    """The series that reported the same incident before; its page continues under this one."""
    incident: str
    """Grouping key: the same for all findings that probably belong to one incident."""
    title: str
    """Short description of the problem, such as `Conversion dropped`."""
    summary: str = ""
    """A sentence in place of the counts, without markup; empty: `alerts.wording` writes one from them."""
    runbook: str = ""
    """Address or path of the runbook; may be empty."""
    chart: Chart | None = None

    @property
    def condition(self) -> Condition:
        """The condition of the reason."""
        return CONDITION_BY_REASON[self.reason]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of all rules at one as-of.

    `findings` has every breached or inhibited series and every watched one, ordered by severity, then by lost revenue.
    A watched series without a finding belongs to a removed rule.
    """

    as_of_ms: int
    findings: tuple[Finding, ...]
    rules: tuple[RuleStatus, ...] = ()
    """The status of each rule, in the order of the rule file."""
