"""When a page is right."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.findings import Category, Finding, FindingReason, Labels, Series, Severity
from alerts.rehearsal.play import Page
from streams.panes.counters import Unit
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.inputs import START_S
from tests.bench.study.judging import judge, orders_against_before
from tests.bench.study.shop import PRE_S
from tests.bench.study.truth import IncidentSpec, ReportedAs, TrueIncident

APP: Labels = (("channel", "app"),)
WEB: Labels = (("channel", "web"),)
SILENT: Labels = (("source", "oms-2"), ("topic", "orders"))


def page(
    at_s: float,
    labels: Labels = (),
    *,
    category: Category = Category.BUSINESS,
    severity: Severity = Severity.CRITICAL,
    money: int | None = 100,
    summary: str = "",
    until_s: float | None = None,
) -> Page:
    finding = Finding(
        series=Series("rule", labels),
        reason=FindingReason.EVIDENCE,
        severity=severity,
        category=category,
        as_of_ms=0,
        since_ms=0,
        unit=Unit.RATIO,
        value=0.0,
        expected=0.0,
        interval=None,
        money_per_minute=money,
        contributors=(),
        inhibited_by=None,
        incident="any",
        title="",
        summary=summary,
        runbook="",
        chart=None,
    )
    until_ms = None if until_s is None else round(1000 * (until_s - PRE_S + START_S))
    return Page(finding.series, "any", round(1000 * (at_s - PRE_S + START_S)), finding, until_ms)


def incident(
    labels: Labels = APP, *names: Labels, start_s: float = 1000, reported_as: ReportedAs = ReportedAs.LOSS
) -> TrueIncident:
    spec = IncidentSpec("drop_orders", labels=labels)
    return TrueIncident(spec, start_s, start_s + 600, frozenset({labels, *names}), lost=1000.0, reported_as=reported_as)


def test_a_page_is_right_if_it_names_the_value_or_the_whole() -> None:
    verdict = judge([page(1010, APP), page(1020)], [incident(APP, ())])
    assert len(verdict.incidents[0].pages) == 2
    assert verdict.incidents[0].line()["delay_s"] == 10
    assert verdict.incidents[0].line()["named"]


def test_the_whole_is_right_but_does_not_name_the_part() -> None:
    assert not judge([page(1010)], [incident(APP, ())]).incidents[0].line()["named"]
    assert judge([page(1010)], [incident((), ())]).incidents[0].line()["named"]


@pytest.mark.parametrize(
    ("at_s", "labels"), [(999, APP), (1010, WEB), (1950, APP)], ids=["before it", "another value", "long after it"]
)
def test_other_pages_are_false(at_s: float, labels: Labels) -> None:
    verdict = judge([page(at_s, labels)], [incident(APP, ())])
    assert len(verdict.false) == 1
    assert not verdict.incidents[0].pages


def test_a_part_of_a_whole_that_is_struck_is_false() -> None:
    assert len(judge([page(1010, APP)], [incident(())]).false) == 1


def test_a_page_soon_after_the_end_is_late() -> None:
    verdict = judge([page(1700, APP)], [incident(APP, ())])
    assert (len(verdict.incidents[0].late), verdict.false) == (1, [])
    assert verdict.incidents[0].line()["delay_s"] is None


def test_a_note_is_no_page() -> None:
    verdict = judge([page(1010, APP, severity=Severity.INFO), page(10, severity=Severity.INFO)], [incident(APP, ())])
    assert (verdict.incidents[0].pages, verdict.false) == ([], [])


def test_a_fault_of_data_is_reported_as_such() -> None:
    silent = incident(SILENT, reported_as=ReportedAs.DATA)
    assert judge([page(1010, SILENT, category=Category.DATA)], [silent]).incidents[0].pages
    assert judge([page(1010, SILENT)], [silent]).false


def test_orders_after_a_page_are_compared_with_those_before() -> None:
    table = np.zeros((1800, 1, 1), np.int32)
    table[:1300], table[1300:] = 10, 5
    panes = DensePanes(START_S, [("all", "")], ("orders_created",), table)
    assert orders_against_before(page(PRE_S + 1300), panes) == 0.5
    assert orders_against_before(page(PRE_S + 1300, APP), panes) is None


def test_of_two_incidents_each_has_its_own_page() -> None:
    verdict = judge([page(1010, APP), page(1320)], [incident(APP, ()), incident(WEB, (), start_s=1300)])
    assert [len(found.pages) for found in verdict.incidents] == [1, 1]


@pytest.mark.parametrize(
    ("severity", "summary", "is_right"),
    [
        (Severity.WARNING, "orders paid come late, or are missing", True),
        (Severity.CRITICAL, "orders paid come late, or are missing", False),
        (Severity.WARNING, "orders paid are fewer", False),
    ],
)
def test_a_delay_is_reported_by_a_warning_that_says_so(severity: Severity, summary: str, is_right: bool) -> None:
    verdict = judge([page(1010, severity=severity, summary=summary)], [incident((), reported_as=ReportedAs.DELAY)])
    assert (not verdict.false) == is_right


def test_a_digest_is_right_for_each_sku_that_it_lists() -> None:
    skus = [incident((("sku", name),)) for name in ("phones-1", "phones-2", "phones-12")]
    verdict = judge([page(1010, summary="Sold out: phones-1, phones-12 and others")], skus)
    assert [len(found.pages) for found in verdict.incidents] == [1, 0, 1]
    assert verdict.pages == 1


def test_an_alarm_is_open_to_the_end_and_closed_some_time_after() -> None:
    ends = [judge([page(1010, until_s=until_s)], [incident(())]).incidents[0].line() for until_s in (1500, 1700, None)]
    assert [one["open_to_end"] for one in ends] == [False, True, True]
    assert [one["closed_after_s"] for one in ends] == [None, 100, float("inf")]


def test_a_page_of_data_is_about_the_fault_of_data() -> None:
    both = [incident(SILENT, (), reported_as=ReportedAs.DATA), incident((), start_s=1005)]
    verdict = judge([page(1010, category=Category.DATA), page(1020)], both)
    assert [len(found.pages) for found in verdict.incidents] == [1, 1]
