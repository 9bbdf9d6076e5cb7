"""Score the pages of a rehearsal against the actual incidents.

A page is right if it names the incident's value, or the whole that contains it, within the incident's time, with money
within a factor of two where the loss is known. Which rule it comes from does not matter. A fault of data alone is right
only as a page of category `data`, a delay only as a warning that says that something is late or missing. Findings of
severity `info` are notes, not pages. Recall is over all incidents. Of several incidents at once, a page is about one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from alerts.findings import Category, Severity
from alerts.rehearsal.incident_rates import DelayBound
from alerts.rehearsal.play import Page, RehearsalResult
from alerts.rehearsal.truth import ActualIncident
from alerts.shop import ShopInfo
from alerts.wording.amounts import format_estimate
from alerts.wording.sentences import sentence

LATE_PAGE_WITHIN_MS = 300_000
"""A page within this time after an incident's end still belongs to it, but is late, unless its rule states a fact."""
MONEY_WITHIN = 2.0
"""Largest factor between the stated and the actual loss of a right page."""
_SAYS_DELAY = re.compile(r"\b(late|later|delay\w*|missing|slow\w*|longer)\b", re.IGNORECASE)


class PageVerdict(StrEnum):
    """The verdict on one page."""

    RIGHT = "right"
    WRONG_MONEY = "wrong money"
    """About an incident, but its loss is wrong by more than a factor of two."""
    LATE = "late"
    """It started soon after the end of its incident."""
    PLAIN = "plain"
    """About no incident, but not false: the value did exceed the rule's limit."""
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """A page and its verdict."""

    page: Page
    verdict: PageVerdict
    actual: ActualIncident | None = None
    """The incident that it is about."""

    def describe(self, shop: ShopInfo) -> str:
        """The page's sentence, with the stated and the actual loss if they differ too much."""
        text, stated = sentence(self.page.finding, shop), self.page.finding.money_per_minute
        if self.verdict is not PageVerdict.WRONG_MONEY or self.actual is None or self.actual.lost_per_minute is None:
            return text
        lost = format_estimate(self.actual.lost_per_minute, shop)
        return f"{text}; stated {format_estimate(stated or 0, shop)} a minute, lost {lost}"


@dataclass(slots=True)
class DetectedIncident:
    """An actual incident with its pages."""

    happened: ActualIncident
    is_shown: bool = True
    """Whether any of its time was evaluated; if not, no page could come."""
    pages: list[Page] = field(default_factory=list)
    """Pages in its time, in order."""
    late: int = 0
    """Number of pages soon after its end."""
    bound: DelayBound | None = None
    """The least mean delay of any detection; None: unknown."""

    @property
    def first(self) -> Page | None:
        """The first page in time."""
        return self.pages[0] if self.pages else None

    @property
    def delay_s(self) -> float | None:
        """Delay of the first page; 0 if it came before the start."""
        return None if self.first is None else max(0.0, (self.first.fired_ms - self.happened.start_ms) / 1000)

    @property
    def is_named(self) -> bool | None:
        """Whether the first page names the incident's value, not only the whole; None without a page."""
        if self.first is None:
            return None
        return self.happened.is_whole or bool(self.first.series.labels)

    @property
    def has_right_money(self) -> bool | None:
        """Whether the first page's loss is right; None if either loss is unknown."""
        return None if self.first is None else is_money_right(self.first, self.happened)

    @property
    def closed_after_s(self) -> float | None:
        """Time from its end until its last page ended, infinite for one that did not; None: no page was open then."""
        ends_ms = [math.inf if page.resolved_ms is None else page.resolved_ms for page in self.pages]
        after_s = (max(ends_ms, default=-math.inf) - self.happened.end_ms) / 1000
        return after_s if after_s >= 0 else None


@dataclass(slots=True)
class RuleScore:
    """Score of one rule over several sales."""

    verdicts: dict[PageVerdict, int] = field(default_factory=lambda: dict.fromkeys(PageVerdict, 0))
    delays_s: list[float] = field(default_factory=list)
    """Delays of its pages in time."""

    @property
    def pages(self) -> int:
        """Number of its pages."""
        return sum(self.verdicts.values())

    @property
    def precision(self) -> float | None:
        """Share of right pages among those that report an incident."""
        judged = self.pages - self.verdicts[PageVerdict.PLAIN]
        return self.verdicts[PageVerdict.RIGHT] / judged if judged else None


@dataclass(slots=True)
class Score:
    """Score over several sales."""

    days: float = 0.0
    rules: dict[str, RuleScore] = field(default_factory=dict)
    detected: list[DetectedIncident] = field(default_factory=list)
    judged: list[JudgedPage] = field(default_factory=list)
    """In order of their start in each sale; notes are not among them."""

    def of(self, verdict: PageVerdict) -> list[Page]:
        """The pages with a verdict."""
        return [judged.page for judged in self.judged if judged.verdict is verdict]

    @property
    def false(self) -> list[Page]:
        """False pages."""
        return self.of(PageVerdict.FALSE)

    @property
    def recall(self) -> float | None:
        """Share of all actual incidents that were paged in time, also of those that the recording does not show."""
        paged = sum(incident.first is not None for incident in self.detected)
        return paged / len(self.detected) if self.detected else None

    @property
    def false_per_day(self) -> float | None:
        """False pages per day of the sales."""
        return len(self.false) / self.days if self.days else None


def score(
    total: Score, played: RehearsalResult, happened: Sequence[ActualIncident], plain: Collection[str] = ()
) -> list[DetectedIncident]:
    """Add one sale, and return its incidents. `plain`: rules that report a counted fact, whatever its cause."""
    total.days += played.days
    detected = [DetectedIncident(actual, _is_shown(actual, played)) for actual in happened]
    for page in played.pages:
        if page.finding.severity is Severity.INFO:
            continue
        verdict, incident = _judge(page, detected, states_fact=page.series.rule in plain)
        of_rule = total.rules.setdefault(page.series.rule, RuleScore())
        of_rule.verdicts[verdict] += 1
        total.judged.append(JudgedPage(page, verdict, None if incident is None else incident.happened))
        if verdict is PageVerdict.LATE and incident is not None:
            incident.late += 1
        elif incident is not None:
            incident.pages.append(page)
            of_rule.delays_s.append(max(0.0, (page.fired_ms - incident.happened.start_ms) / 1000))
    _add_transfers(played.pages, detected)
    total.detected += detected
    return detected


def is_money_right(page: Page, actual: ActualIncident) -> bool | None:
    """Whether a page's loss is within a factor of two of the actual one; None if either is unknown."""
    stated, lost = page.finding.money_per_minute, actual.lost_per_minute
    if stated is None or lost is None:
        return None
    return lost / MONEY_WITHIN <= stated <= lost * MONEY_WITHIN


def _judge(
    page: Page, detected: Sequence[DetectedIncident], *, states_fact: bool
) -> tuple[PageVerdict, DetectedIncident | None]:
    """The verdict, and the incident that the page is about."""
    afterwards_ms = LATE_PAGE_WITHIN_MS if states_fact else 0  # limits are exceeded by consequences, too
    if in_time := [one for one in detected if _is_about(page, one.happened, afterwards_ms)]:
        chosen = _chosen(page, in_time)
        is_wrong = is_money_right(page, chosen.happened) is False
        return PageVerdict.WRONG_MONEY if is_wrong else PageVerdict.RIGHT, chosen
    if late := [one for one in detected if _is_about(page, one.happened, LATE_PAGE_WITHIN_MS)]:
        return PageVerdict.LATE, _chosen(page, late)
    return PageVerdict.PLAIN if states_fact else PageVerdict.FALSE, None


def _add_transfers(pages: Sequence[Page], detected: Sequence[DetectedIncident]) -> None:
    """An open page that continues under an incident's series reports an incident that has no page of its own."""
    updates = (
        replace(page, series=update.finding.series, fired_ms=update.at_ms, finding=update.finding, transfers=())
        for page in pages
        for update in page.transfers
    )
    for page in sorted(updates, key=lambda one: one.fired_ms):
        missed = [one for one in detected if not one.pages and _is_about(page, one.happened, 0)]
        if missed:
            _chosen(page, missed).pages.append(page)


def _chosen(page: Page, candidates: Sequence[DetectedIncident]) -> DetectedIncident:
    """The incident that a page is about, of several at once: a fault of data, if the page is about data; one whose
    value it names rather than the whole; one without a page; the latest."""

    def rank(incident: DetectedIncident) -> tuple[bool, bool, bool, int]:
        is_fault = incident.happened.category is page.finding.category is Category.DATA
        is_named = bool(page.series.labels) or incident.happened.is_whole
        return is_fault, is_named, not incident.pages, incident.happened.start_ms

    return max(candidates, key=rank)


def _is_about(page: Page, happened: ActualIncident, afterwards_ms: int) -> bool:
    in_time = happened.start_ms - happened.early_ms <= page.fired_ms < happened.end_ms + afterwards_ms
    fits = happened.category in (None, page.finding.category)
    return in_time and fits and happened.contains(page.series.labels) and (not happened.is_delay or _says_delay(page))


def _says_delay(page: Page) -> bool:
    is_warning = page.finding.severity is Severity.WARNING
    return is_warning and _SAYS_DELAY.search(sentence(page.finding, ShopInfo())) is not None


def _is_shown(actual: ActualIncident, played: RehearsalResult) -> bool:
    return actual.start_ms < played.end_ms and actual.end_ms > played.start_ms
