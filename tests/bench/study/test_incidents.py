"""Incidents change what they say, and nothing else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from alerts.findings import Category
from tests.bench.study import shop
from tests.bench.study.incidents import GROUPS, IncidentSpec, StudyCase, cases, inject, sold_out
from tests.bench.study.inputs import STEP_S, StudyTables, counters
from tests.bench.study.journeys import NEVER, Seconds, StudyDay, day

START_S, LASTS_S = 1800, 600


@cache
def calm() -> StudyDay:
    return day("plain", 1000, 4, 1.0)


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
        ("producer_silent", (("source", "orders/oms-2"),), (("source", "oms-2"), ("topic", "orders"))),
    ],
)
def test_faults_of_data_lose_no_money(
    kind: str, labels: tuple[tuple[str, str], ...], name: tuple[tuple[str, str], ...]
) -> None:
    case = struck(IncidentSpec(kind, size=0.5, labels=labels))
    (incident,) = case.incidents
    assert (incident.lost, incident.category) == (0.0, Category.DATA)
    assert name in incident.names
    assert () not in incident.names, "a fault of data is no loss of the shop"
    assert len(case.losses) == 1


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


def test_the_second_incident_is_beside_the_first() -> None:
    specs = GROUPS["two"][0]
    case = inject(calm(), specs)
    assert len(case.incidents) == 2
    assert case.incidents[1].start_s == case.incidents[0].start_s + 300
    mini = shop.CHANNEL_OF[case.journeys.cart_cell] == list(shop.CHANNELS).index("mini")
    assert window(case.journeys.cart_at, 300, 900)[mini].sum() == 0
    assert all(incident.lost > 0 for incident in case.incidents)


def test_a_round_of_all_incidents_at_three_rates_with_two_seeds_has_more_than_200() -> None:
    assert 3 * 2 * sum(len(specs) for specs in cases("all")) > 200
