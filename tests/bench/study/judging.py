"""Whether pages are right: one that names an incident's value, or the whole that contains it, within its time.

Which rule it comes from does not matter. A fault of data alone is right only as a page of category `data`, a delay only
as a warning that says that something is late or missing. Findings of severity `info` are notes, not pages. A page that
lists several sold-out SKUs is right for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.detection.series import to_label
from alerts.findings import Category, Severity
from alerts.rehearsal.play import Page
from alerts.shop import ShopInfo
from alerts.wording.sentences import sentence
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.inputs import START_S
from tests.bench.study.shop import PRE_S
from tests.bench.study.truth import WHOLE, ReportedAs, TrueIncident

LATE_S = 300.0
"""A page so long after the end is late: neither right nor false."""
MONEY_WITHIN = 2.0
_SAYS_DELAY = re.compile(r"\b(late|later|delay\w*|missing|slow\w*|longer)\b", re.IGNORECASE)


@dataclass(slots=True)
class IncidentVerdict:
    """The pages of one incident."""

    incident: TrueIncident
    pages: list[Page] = field(default_factory=list)
    """Right ones, in order."""
    late: list[Page] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """As JSON."""
        incident = self.incident
        first = self.pages[0] if self.pages else None
        money = None if first is None else first.finding.money_per_minute
        is_priced = incident.reported_as is ReportedAs.LOSS and incident.lost > 0
        ends = [_resolved_s(page) for page in self.pages]
        closed_s = max(ends, default=float("nan"))
        return {
            "kind": incident.spec.kind,
            "size": incident.spec.size,
            "labels": dict(incident.spec.labels),
            "delay_s": None if first is None else max(0.0, fired_s(first) - incident.start_s),
            "bound_s": incident.bound_s,
            "poisson_s": incident.poisson_s,
            "pages": len(self.pages),
            "late": len(self.late),
            "first": None if first is None else str(first.series),
            "named": first is not None and _names_value(first, incident),
            "open_to_end": closed_s >= incident.end_s,
            "closed_after_s": closed_s - incident.end_s if closed_s >= incident.end_s else None,
            "lost_per_minute": incident.lost_per_minute if is_priced else None,
            "money": money if is_priced else None,
        }


@dataclass(slots=True)
class StudyVerdict:
    """The pages of one sale."""

    incidents: list[IncidentVerdict]
    pages: int = 0
    """All that are not notes."""
    false: list[Page] = field(default_factory=list)


def fired_s(page: Page) -> float:
    """When a page started, in seconds of the day as in `Journeys`."""
    return page.fired_ms / 1000 - START_S + PRE_S


def _resolved_s(page: Page) -> float:
    return float("inf") if page.resolved_ms is None else page.resolved_ms / 1000 - START_S + PRE_S


def orders_against_before(page: Page, panes: DensePanes) -> float | None:
    """Orders of the page's series in the five minutes from its start on, over the mean of the 20 min before; None where
    they are not counted."""
    label = to_label(page.series.labels)
    if label not in panes.labels:
        return None
    at = page.fired_ms // 1000 - panes.start_s
    orders = panes.table[:, panes.labels.index(label), panes.counters.index("orders_created")]
    before, after = orders[max(0, at - 1200) : at].mean(), orders[at : at + 300].mean()
    return round(float(after / before), 2) if before > 0 else None


def judge(pages: Sequence[Page], incidents: Sequence[TrueIncident]) -> StudyVerdict:
    """Assign each page to an incident, or find it false."""
    verdict = StudyVerdict([IncidentVerdict(one) for one in incidents])
    for page in pages:
        if page.finding.severity is Severity.INFO:
            continue
        verdict.pages += 1
        about = [one for one in verdict.incidents if _is_about(page, one.incident)]
        for chosen in _chosen(page, about):
            (chosen.pages if fired_s(page) < chosen.incident.end_s else chosen.late).append(page)
        if not about:
            verdict.false.append(page)
    return verdict


def _chosen(page: Page, about: list[IncidentVerdict]) -> list[IncidentVerdict]:
    """The incident that a page is about, or all that it lists."""
    listed = [one for one in about if _lists(page, one.incident)]
    if listed:
        return listed
    of_data = [
        one for one in about if page.finding.category is Category.DATA and one.incident.reported_as is ReportedAs.DATA
    ]
    about = of_data or about
    exact = [one for one in about if page.series.labels == one.incident.spec.labels or page.series.labels != WHOLE]
    fresh = [one for one in exact or about if not one.pages]
    return (fresh or exact or about)[-1:]


def _is_about(page: Page, incident: TrueIncident) -> bool:
    in_time = incident.start_s - incident.early_s <= fired_s(page) < incident.end_s + LATE_S
    names = page.series.labels in incident.names or _lists(page, incident)
    return in_time and names and _fits(page, incident.reported_as)


def _fits(page: Page, reported_as: ReportedAs) -> bool:
    if reported_as is ReportedAs.DATA:
        return page.finding.category is Category.DATA
    if reported_as is ReportedAs.DELAY:
        says = _SAYS_DELAY.search(sentence(page.finding, ShopInfo()))
        return says is not None and page.finding.severity is Severity.WARNING
    return True


def _names_value(page: Page, incident: TrueIncident) -> bool:
    right = incident.names - ({WHOLE} if incident.spec.labels else set())
    return page.series.labels in right or _lists(page, incident)


def _lists(page: Page, incident: TrueIncident) -> bool:
    """Whether a page about several SKUs has the incident's among them."""
    names = [value for dimension, value in incident.spec.labels if dimension == "sku"]
    if not names or page.series.labels == incident.spec.labels:
        return False
    finding = page.finding
    listed = {value for part in finding.contributors for _, value in part.labels}
    return (
        names[0] in listed
        or re.search(rf"(?<!\S){re.escape(names[0])}(?![\w-])", sentence(finding, ShopInfo())) is not None
    )
