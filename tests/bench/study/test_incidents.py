"""Incidents change what they say, and nothing else."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from tests.bench.study import shop
from tests.bench.study.cases import GROUPS, RATES, cases
from tests.bench.study.incidents import StudyCase, calm_truth, inject, sold_out
from tests.bench.study.inputs import COUNTERS, LABELS, counters
from tests.bench.study.journeys import NEVER, Seconds, StudyDay, day
from tests.bench.study.table_inputs import STEP_S, StudyTables
from tests.bench.study.truth import IncidentSpec, ReportedAs

START_S, LASTS_S = 900, 600


@cache
def calm() -> StudyDay:
    return day("plain", 1000, 4, 0.75)


@cache
def struck(spec: IncidentSpec) -> StudyCase:
    return inject(calm(), [spec])


def window(at: Seconds, from_s: float = 0, to_s: float = LASTS_S) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which events are in this part of the incident."""
    start = calm().sale_s + START_S
    return (at >= start + from_s) & (at < start + to_s)


def test_a_drop_removes_its_share_of_the_part_and_what_follows() -> None:
    case = struck(IncidentSpec("drop_orders", size=0.4, labels=(("region", "west"),)))
    before, after = calm().journeys, case.journeys
    west = shop.REGION_OF[before.order_cell] == list(shop.REGIONS).index("west")
    inside = window(before.order_at)
    gone = after.order_at == NEVER
    assert gone[inside & west].mean() == pytest.approx(0.4, abs=0.06)
    assert not gone[~(inside & west)].any()
    assert (after.paid_at[gone] == NEVER).all()
    assert (after.cancel_at[gone] == NEVER).all()
    assert (after.checkout_at == before.checkout_at).all()
    (incident,) = case.incidents
    assert incident.lost == before.amount[gone & (before.paid_at < NEVER)].sum()
    assert incident.names == {(), (("region", "west"),)}


@pytest.mark.parametrize("kind", ["drop_checkouts", "drop_carts"])
def test_a_drop_at_an_earlier_stage_loses_the_orders_too(kind: str) -> None:
    (incident,) = struck(IncidentSpec(kind, size=0.5)).incidents
    usual = calm().journeys.amount[window(calm().journeys.paid_at)].sum()
    assert incident.lost == pytest.approx(usual * 0.5, rel=0.2)
    assert incident.bound_s < incident.poisson_s


def test_failed_payments_lose_less_than_they_fail_because_most_are_repeated() -> None:
    case = struck(IncidentSpec("payment_failures", size=0.5))
    (incident,) = case.incidents
    usual = calm().journeys.amount[window(calm().journeys.paid_at)].sum()
    assert 0.05 * usual < incident.lost < 0.4 * usual
    failed, paid = window(case.journeys.failed_at, 60).sum(), window(case.journeys.paid_at, 60).sum()
    assert failed / (failed + paid) == pytest.approx(0.54, abs=0.06)


def test_orders_that_stop_come_back_in_part() -> None:
    case = struck(IncidentSpec("order_stop", lasts_s=300))
    assert window(case.journeys.order_at, 0, 300).sum() == 0
    back = window(case.journeys.order_at, 300, 600).sum() - window(calm().journeys.order_at, 300, 600).sum()
    assert back == pytest.approx(0.4 * window(calm().journeys.order_at, 0, 300).sum(), rel=0.25)


def test_an_outage_stops_clicks_and_orders() -> None:
    case = struck(IncidentSpec("outage", lasts_s=300))
    at = slice(shop.WARM_S + START_S, shop.WARM_S + START_S + 300)
    table = counters(case.day, case.journeys).panes.table
    assert table[at, 0, :5].sum() == 0


@pytest.mark.parametrize(
    ("kind", "labels", "name"),
    [
        ("tracking_loss", (("channel", "app"),), (("source", "app-sdk"), ("topic", "clicks"))),
        ("producer_loses", (("source", "orders/oms-2"),), (("source", "oms-2"), ("topic", "orders"))),
    ],
)
def test_faults_of_data_lose_no_money(
    kind: str, labels: tuple[tuple[str, str], ...], name: tuple[tuple[str, str], ...]
) -> None:
    case = struck(IncidentSpec(kind, size=0.5, labels=labels))
    (incident,) = case.incidents
    assert (incident.lost, incident.reported_as) == (0.0, ReportedAs.DATA)
    assert name in incident.names
    assert len(case.faults) == 1


def test_a_sold_out_sku_sells_no_more_but_what_is_given_back() -> None:
    case = struck(IncidentSpec("stock_out", lasts_s=1800, labels=(("sku", "phones-0"),)))
    mine = calm().journeys.order_sku == 0
    assert (
        window(case.journeys.order_at, 10, 1800)[mine].sum()
        < 0.15 * window(calm().journeys.order_at, 10, 1800)[mine].sum()
    )
    stock = StudyTables(case.day, case.journeys, every_table=False).stock
    (found,) = [one for one in sold_out(case.day, stock, STEP_S) if (("sku", "phones-0"),) in one.names]
    assert found.start_s == pytest.approx(calm().sale_s + START_S, abs=STEP_S)
    assert (("category", "phones"),) in found.names


def test_a_warehouse_that_stops_dispatches_nothing() -> None:
    case = struck(IncidentSpec("dispatch_stop", labels=(("source", "logistics/wms-west"),)))
    at = slice(calm().sale_s + START_S, calm().sale_s + START_S + LASTS_S)
    assert case.journeys.dispatched[at, :, 1].sum() == 0
    assert (case.journeys.dispatched[:, :, 0] == calm().journeys.dispatched[:, :, 0]).all()


@pytest.mark.parametrize("labels", [(("source", "orders/oms-1"),), ()], ids=["named", "unnamed"])
def test_late_orders_are_complete_when_they_have_come(labels: tuple[tuple[str, str], ...]) -> None:
    case = struck(IncidentSpec("late_orders", labels=labels))
    counted = counters(case.day, case.journeys, case.faults)
    assert counted.late is not None
    assert counted.late_s == 40
    created, before = COUNTERS.index("orders_created"), counters(calm(), calm().journeys).panes.table
    both = counted.panes.table + counted.late.table
    assert (both[:, 0, created] == before[:, 0, created]).all()
    at = slice(shop.WARM_S + START_S, shop.WARM_S + START_S + LASTS_S)
    assert counted.panes.table[at, 0, created].sum() / both[at, 0, created].sum() == pytest.approx(0.5, abs=0.05)
    rows = [row for row, (scope, value) in enumerate(LABELS) if scope == "source" and value.startswith("orders/")]
    assert both[:, rows, created].any() == bool(labels)
    assert case.incidents[0].lost == 0


def test_payments_that_are_slow_are_all_made() -> None:
    case = struck(IncidentSpec("slow_payments"))
    before, after = calm().journeys.paid_at, case.journeys.paid_at
    assert ((after < NEVER) == (before < NEVER)).all()
    assert window(after, 0, 180).sum() == 0
    assert set((after - before)[window(before)].tolist()) == {180}


def test_checkouts_that_are_not_recorded_lose_no_money() -> None:
    (incident,) = struck(IncidentSpec("checkouts_untracked", labels=(("channel", "app"),))).incidents
    assert (incident.lost, incident.reported_as) == (0.0, ReportedAs.DATA)


def test_calm_days_with_delays_say_when() -> None:
    (found,) = calm_truth(day("slow_payments", 200, 1, 3.0))
    assert json.dumps((found.spec.start_s, found.reported_as)) == '[3600.0, "delay"]'
    assert calm_truth(calm()) == []


def test_the_second_incident_is_beside_the_first() -> None:
    west, mini = (("region", "west"),), (("channel", "mini"),)
    case = inject(
        calm(),
        (IncidentSpec("payment_failures", size=0.6, labels=west), IncidentSpec("drop_carts", 1200, labels=mini)),
    )
    assert len(case.incidents) == 2
    assert case.incidents[1].start_s == case.incidents[0].start_s + 300
    in_mini = shop.CHANNEL_OF[case.journeys.cart_cell] == list(shop.CHANNELS).index("mini")
    assert window(case.journeys.cart_at, 300, 900)[in_mini].sum() == 0
    assert all(incident.lost > 0 for incident in case.incidents)


def test_a_round_has_more_than_200_incidents() -> None:
    def incidents(rate: float) -> int:
        sales = [sale for _, _, sale in cases("all") if rate in sale.rates]
        return sum(sale.many * len(sale.specs) for sale in sales)

    assert sum(map(incidents, RATES)) > 200
    assert all([*cases(group)] for group in GROUPS)


def test_of_two_neither_explains_the_other() -> None:
    pairs = [tuple((spec.kind, spec.labels) for spec in sale.specs) for _, _, sale in cases("two")]
    assert len(pairs) == len({*pairs}) == 71, "ordered pairs of nine kinds, but one"
    assert (("payment_failures", ()), ("payment_failures", (("region", "west"),))) not in pairs
