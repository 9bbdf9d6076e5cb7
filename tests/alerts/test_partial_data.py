"""All default rules over partial and late data: what pages, and what must not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from alerts.findings import Category, Severity
from alerts.rehearsal.play import Page, play
from alerts.rules.loader import default_text, load
from tests.bench.study.incidents import inject
from tests.bench.study.inputs import START_S, counters, inputs
from tests.bench.study.journeys import day
from tests.bench.study.shop import WARM_S
from tests.bench.study.truth import IncidentSpec

BEGIN_S = 600.0
"""The incident begins so long after the calm hour that rules learn from."""
OMS_1 = (("source", "orders/oms-1"),)
APP = (("channel", "app"),)
pytestmark = pytest.mark.slow


def pages_of(
    spec: IncidentSpec, *, orders_a_minute: float = 200.0, seed: int = 1, hours: float = 0.5
) -> Sequence[Page]:
    """Pages of an incident in a sale, evaluated every 2 s in its first two minutes and then every 10 s."""
    case = inject(day("plain", orders_a_minute, seed, hours), [spec])
    counted = counters(case.day, case.journeys, case.faults)
    begin_s = round(WARM_S + spec.start_s)
    times = {*range(WARM_S, len(counted.panes.table) + 1, 10), *range(begin_s, begin_s + 120, 2)}
    seen = inputs(case.day, case.journeys, counted, sorted(times), faults=case.faults)
    return play(load(default_text(), "default").rules, seen, from_ms=1000 * (START_S + begin_s - 60)).pages


def delay_s(page: Page) -> float:
    """Seconds from the incident to the page."""
    return page.fired_ms / 1000 - (START_S + WARM_S + BEGIN_S)


def business(pages: Sequence[Page]) -> list[str]:
    return [str(page.series) for page in pages if page.finding.category is Category.BUSINESS]


@pytest.mark.parametrize(
    ("kind", "size", "labels", "source"),
    [
        ("one_of_two_loses", 0.5, OMS_1, "oms-1"),
        ("producer_loses", 1.0, (("source", "orders/oms-2"),), "oms-2"),
        ("tracking_loss", 0.5, APP, "app-sdk"),
    ],
)
def test_a_producer_that_loses_events_is_the_only_page(
    kind: str, size: float, labels: tuple[tuple[str, str]], source: str
) -> None:
    pages = pages_of(IncidentSpec(kind, BEGIN_S, 600.0, size, labels))
    assert [dict(page.series.labels)["source"] for page in pages] == [source]
    assert delay_s(pages[0]) <= 120
    assert pages[0].finding.category is Category.DATA


@pytest.mark.parametrize("labels", [OMS_1, ()], ids=["with source", "without source"])
def test_half_of_the_orders_that_are_late_page_for_no_loss(labels: tuple[tuple[str, str], ...]) -> None:
    pages = pages_of(IncidentSpec("late_orders", BEGIN_S, 600.0, labels=labels))
    assert not [page for page in pages if page.series.rule in ("producer-silent", "producer-share-drop")]
    assert not [page for page in pages if page.finding.severity is Severity.CRITICAL]
    assert [page.series.rule for page in pages if page.finding.category is Category.DATA] == ["producer-late"]
    if labels:
        assert business(pages) == [], "the suspected loss of the producer accounts for the fall"
    assert all(page.resolved_ms for page in pages)


def test_checkouts_of_an_app_that_are_not_recorded_are_a_data_fault() -> None:
    pages = pages_of(IncidentSpec("checkouts_untracked", BEGIN_S, 600.0, labels=APP))
    assert business(pages) == []
    assert len(pages) == 1
    assert delay_s(pages[0]) <= 120


def test_slow_payments_are_a_delay_that_ends_by_itself() -> None:
    pages = pages_of(IncidentSpec("slow_payments", BEGIN_S, 600.0), hours=0.75)
    assert [(page.finding.title, page.finding.severity) for page in pages] == [
        ("Payments are late or missing", Severity.WARNING)
    ]
    assert pages[0].series.labels == ()
    assert delay_s(pages[0]) <= 80
    assert pages[0].resolved_ms
