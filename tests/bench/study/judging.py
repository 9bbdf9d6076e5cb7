"""Whether pages are right: one that names an incident's value, or the whole that contains it, within its time.

Which rule it comes from does not matter. A fault of data alone is right only as a page of category `data`. Findings of
severity `info` are notes, not pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.detection.series import to_label
from alerts.findings import Category, Severity
from alerts.rehearsal.play import Page
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.incidents import WHOLE, TrueIncident
from tests.bench.study.inputs import START_S
from tests.bench.study.shop import PRE_S

LATE_S = 300.0
"""A page so long after the end is late: neither right nor false."""
MONEY_WITHIN = 2.0


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
        is_priced = incident.category is Category.BUSINESS and incident.lost > 0
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
            "named": first is not None
            and first.series.labels in incident.names - ({WHOLE} if incident.spec.labels else set()),
            "lost_per_minute": incident.lost_per_minute if is_priced else None,
            "money": money if is_priced else None,
        }


@dataclass(slots=True)
class Verdict:
    """The pages of one sale."""

    incidents: list[IncidentVerdict]
    false: list[Page] = field(default_factory=list)


def fired_s(page: Page) -> float:
    """When a page started, in seconds of the day as in `Journeys`."""
    return page.fired_ms / 1000 - START_S + PRE_S


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


def judge(pages: Sequence[Page], incidents: Sequence[TrueIncident]) -> Verdict:
    """Assign each page to an incident, or find it false."""
    verdict = Verdict([IncidentVerdict(one) for one in incidents])
    for page in pages:
        if page.finding.severity is Severity.INFO:
            continue
        about = [one for one in verdict.incidents if _is_about(page, one.incident)]
        if not about:
            verdict.false.append(page)
            continue
        exact = [one for one in about if page.series.labels == one.incident.spec.labels or page.series.labels != WHOLE]
        fresh = [one for one in exact or about if not one.pages]
        chosen = (fresh or exact or about)[-1]
        (chosen.pages if fired_s(page) < chosen.incident.end_s else chosen.late).append(page)
    return verdict


def _is_about(page: Page, incident: TrueIncident) -> bool:
    in_time = incident.start_s - incident.early_s <= fired_s(page) < incident.end_s + LATE_S
    fits = incident.category is not Category.DATA or page.finding.category is Category.DATA
    return in_time and fits and page.series.labels in incident.names
