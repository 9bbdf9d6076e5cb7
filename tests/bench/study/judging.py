"""The study's incidents as `alerts.rehearsal.score` judges pages of them, and the verdicts as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts.detection.series import to_label
from alerts.findings import Category
from alerts.rehearsal.play import Page, RehearsalResult
from alerts.rehearsal.score import DetectedIncident, Score, score
from alerts.rehearsal.truth import ActualIncident
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.inputs import START_S
from tests.bench.study.shop import PRE_S
from tests.bench.study.truth import WHOLE, ReportedAs, TrueIncident

_CATEGORIES: Mapping[ReportedAs, Category | None] = {
    ReportedAs.LOSS: Category.BUSINESS,
    ReportedAs.DATA: Category.DATA,
    ReportedAs.STOP: None,
    ReportedAs.DELAY: None,
}


def to_ms(at_s: float) -> int:
    """Epoch ms of seconds of the day as in `Journeys`."""
    return round(1000 * (at_s - PRE_S + START_S))


def fired_s(page: Page) -> float:
    """When a page started, in seconds of the day as in `Journeys`."""
    return page.fired_ms / 1000 - START_S + PRE_S


def actual(incident: TrueIncident) -> ActualIncident:
    """The incident as pages of it are judged."""
    is_priced = incident.reported_as in (ReportedAs.LOSS, ReportedAs.STOP) and incident.lost > 0
    return ActualIncident(
        kind=incident.spec.kind,
        start_ms=to_ms(incident.start_s),
        end_ms=to_ms(incident.end_s),
        facts=frozenset(pair for labels in incident.names for pair in labels),
        category=_CATEGORIES[incident.reported_as],
        lost_per_minute=incident.lost_per_minute if is_priced else None,
        early_ms=round(1000 * incident.early_s),
        is_delay=incident.reported_as is ReportedAs.DELAY,
        must_be_named=WHOLE not in incident.names,
    )


def judge(pages: Sequence[Page], incidents: Sequence[TrueIncident]) -> Score:
    """The score of one sale; its `detected` are the incidents, in their order."""
    total = Score()
    score(total, RehearsalResult(list(pages)), [actual(one) for one in incidents])
    return total


def incident_line(incident: TrueIncident, found: DetectedIncident) -> dict[str, Any]:
    """As JSON."""
    first, closed_after_s = found.first, found.closed_after_s
    money = None if first is None or found.happened.lost_per_minute is None else first.finding.money_per_minute
    return {
        "kind": incident.spec.kind,
        "size": incident.spec.size,
        "labels": dict(incident.spec.labels),
        "delay_s": found.delay_s,
        "bound_s": incident.bound_s,
        "poisson_s": incident.poisson_s,
        "delayed_s": incident.delayed_s,
        "pages": len(found.pages),
        "late": found.late,
        "first": None if first is None else str(first.series),
        "named": found.is_named is True,
        "open_to_end": closed_after_s is not None,
        "closed_after_s": closed_after_s,
        "lost_per_minute": found.happened.lost_per_minute,
        "money": money,
    }


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
