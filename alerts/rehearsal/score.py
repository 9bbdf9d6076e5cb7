"""Score pages against actual incidents: right, false, missed, and their delay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from alerts.rehearsal.play import Page, RehearsalResult

LATE_PAGE_WITHIN_MS = 300_000
"""A page within this time after an incident's end still belongs to it, but is late, unless its rule is in `plain`."""

DETECTED_AS: Mapping[str, frozenset[str]] = {
    "conversion_drop": frozenset({"orders"}),
    "payment_failures": frozenset({"orders"}),
    "order_stop": frozenset({"orders"}),
    "click_stop": frozenset({"clicks", "orders"}),
    "stockout": frozenset({"stock-out", "stock-out-soon", "oversold"}),
    "producer_silent": frozenset({"producer"}),
    "refund_surge": frozenset({"refunds"}),
    "ship_delay": frozenset({"shipping"}),
    "price_error": frozenset(),
    "traffic_surge": frozenset(),
    "traffic_drop": frozenset(),
}
"""# kind of simulated incident: matching `incident` of rules"""


@dataclass(frozen=True, slots=True)
class ActualIncident:
    """An actual incident, `[start_ms, end_ms)`."""

    kind: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class DetectedIncident:
    """An actual incident with its pages; `first` is None if no page came in time."""

    happened: ActualIncident
    first: Page | None
    pages: int
    """Number of pages, including late ones."""

    @property
    def delay_s(self) -> float | None:
        """Delay of the first page."""
        return None if self.first is None else (self.first.fired_ms - self.happened.start_ms) / 1000


@dataclass(slots=True)
class RuleScore:
    """Score of one rule over several sales."""

    right: int = 0
    false: int = 0
    late: int = 0
    """See `Score.late`."""
    plain: int = 0
    """See `Score.plain`."""
    delays_s: list[float] = field(default_factory=list)
    """Delays of its right pages."""

    @property
    def pages(self) -> int:
        """Number of its pages."""
        return self.right + self.false + self.late + self.plain

    @property
    def precision(self) -> float | None:
        """Share of right pages among those that report an incident."""
        judged_pages = self.right + self.false + self.late
        return self.right / judged_pages if judged_pages else None


@dataclass(slots=True)
class Score:
    """Score over several sales."""

    days: float = 0.0
    rules: dict[str, RuleScore] = field(default_factory=dict)
    detected: list[DetectedIncident] = field(default_factory=list)
    false: list[Page] = field(default_factory=list)
    late: list[Page] = field(default_factory=list)
    """Pages that started soon after the end of their incident."""
    plain: list[Page] = field(default_factory=list)
    """Pages about no incident that are not false: the value did exceed the rule's limit."""

    @property
    def recall(self) -> float | None:
        """Share of the actual incidents that were paged in time."""
        return (
            sum(incident.first is not None for incident in self.detected) / len(self.detected)
            if self.detected
            else None
        )

    @property
    def false_per_day(self) -> float | None:
        """False pages per day of the sales."""
        return len(self.false) / self.days if self.days else None


def score(
    score: Score, played: RehearsalResult, happened: Sequence[ActualIncident], plain: Collection[str] = ()
) -> None:
    """Add one sale. `plain`: rules that report a counted fact, whatever its cause."""
    score.days += played.days
    wanted = [actual for actual in happened if DETECTED_AS[actual.kind]]
    firsts: dict[int, Page] = {}
    counts = [0] * len(wanted)
    for page in played.pages:
        candidates = [i for i, actual in enumerate(wanted) if _is_about(page, actual, LATE_PAGE_WITHIN_MS)]
        of_rule = score.rules.setdefault(page.series.rule, RuleScore())
        if not candidates and page.series.rule in plain:
            of_rule.plain += 1
            score.plain.append(page)
            continue
        if not candidates:
            of_rule.false += 1
            score.false.append(page)
            continue
        in_time = [i for i in candidates if page.series.rule in plain or _is_about(page, wanted[i])]
        incident = (in_time or candidates)[-1]
        counts[incident] += 1
        if not in_time:
            of_rule.late += 1
            score.late.append(page)
            continue
        of_rule.right += 1
        of_rule.delays_s.append((page.fired_ms - wanted[incident].start_ms) / 1000)
        firsts.setdefault(incident, page)
    score.detected += [DetectedIncident(actual, firsts.get(i), counts[i]) for i, actual in enumerate(wanted)]


def _is_about(page: Page, happened: ActualIncident, afterwards_ms: int = 0) -> bool:
    in_time = happened.start_ms <= page.fired_ms < happened.end_ms + afterwards_ms
    return in_time and page.incident in DETECTED_AS[happened.kind]
