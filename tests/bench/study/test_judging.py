"""The study's incidents as pages of them are judged; see `test_score` for when a page is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alerts.findings import Category, Finding, FindingReason, Labels, Series, Severity
from alerts.rehearsal.play import Page
from streams.panes.counters import Unit
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.inputs import START_S
from tests.bench.study.judging import incident_line, judge, orders_against_before, to_ms
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
    until_ms = None if until_s is None else to_ms(until_s)
    return Page(finding.series, "any", to_ms(at_s), finding, until_ms)


def incident(
    labels: Labels = APP, *names: Labels, start_s: float = 1000, reported_as: ReportedAs = ReportedAs.LOSS
) -> TrueIncident:
    spec = IncidentSpec("drop_orders", labels=labels)
    return TrueIncident(spec, start_s, start_s + 600, frozenset({labels, *names}), lost=1000.0, reported_as=reported_as)


def line(pages: list[Page], of: TrueIncident) -> dict[str, Any]:
    return incident_line(of, judge(pages, [of]).detected[0])


def test_a_line_has_delay_name_and_money_of_the_first_page() -> None:
    found = line([page(1010, APP), page(1020)], incident(APP, ()))
    assert (found["pages"], found["delay_s"], found["named"]) == (2, 10, True)
    assert (found["lost_per_minute"], found["money"]) == (100.0, 100)
    assert not line([page(1010)], incident(APP, ()))["named"]
    assert line([], incident(APP, ()))["delay_s"] is None


def test_a_part_of_a_whole_and_other_values_are_false() -> None:
    assert len(judge([page(1010, APP)], [incident(())]).false) == 1
    assert len(judge([page(1010, WEB)], [incident(APP, ())]).false) == 1


def test_what_is_too_small_to_show_in_the_whole_is_reported_by_name() -> None:
    sku: Labels = (("sku", "phones-1"),)
    sold_out = incident(sku, (("category", "phones"),))
    assert len(judge([page(1010)], [sold_out]).false) == 1
    assert not judge([page(1010, sku), page(1020, (("category", "phones"),))], [sold_out]).false


def test_a_page_soon_after_the_end_is_late() -> None:
    found = judge([page(1700, APP)], [incident(APP, ())])
    assert (found.detected[0].late, found.false) == (1, [])


def test_a_fault_of_data_has_no_loss() -> None:
    silent = incident(SILENT, reported_as=ReportedAs.DATA)
    found = line([page(1010, SILENT, category=Category.DATA)], silent)
    assert (found["pages"], found["lost_per_minute"], found["money"]) == (1, None, None)
    assert judge([page(1010, SILENT)], [silent]).false


@pytest.mark.parametrize("category", Category)
def test_a_stop_may_be_reported_as_either(category: Category) -> None:
    assert not judge([page(1010, category=category)], [incident((), reported_as=ReportedAs.STOP)]).false


def test_a_delay_is_reported_by_a_warning_that_says_so() -> None:
    late = incident((), reported_as=ReportedAs.DELAY)
    assert not judge([page(1010, severity=Severity.WARNING, summary="orders come late")], [late]).false
    assert judge([page(1010, severity=Severity.WARNING, summary="fewer orders")], [late]).false


def test_an_alarm_is_open_to_the_end_and_closed_some_time_after() -> None:
    ends = [line([page(1010, until_s=until_s)], incident(())) for until_s in (1500, 1700, None)]
    assert [one["open_to_end"] for one in ends] == [False, True, True]
    assert [one["closed_after_s"] for one in ends] == [None, 100, float("inf")]


def test_orders_after_a_page_are_compared_with_those_before() -> None:
    table = np.zeros((1800, 1, 1), np.int32)
    table[:1300], table[1300:] = 10, 5
    panes = DensePanes(START_S, [("all", "")], ("orders_created",), table)
    assert orders_against_before(page(PRE_S + 1300), panes) == 0.5
    assert orders_against_before(page(PRE_S + 1300, APP), panes) is None
