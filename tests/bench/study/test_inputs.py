"""What rules read of a day."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from alerts.detection.inputs import table_queries
from alerts.rules.detect import HealthCheck
from alerts.rules.loader import default_text, load
from alerts.rules.rule import RuleScope
from streams.model.windows import Window
from tests.bench.study import shop
from tests.bench.study.faults import HealthFault, LateOrders, SourceLoss
from tests.bench.study.inputs import COUNTERS, LABELS, START_S, counters, inputs
from tests.bench.study.journeys import StudyDay, day
from tests.bench.study.table_inputs import StudyTables

HOURS = 0.5


@cache
def made(shape: str = "plain") -> StudyDay:
    return day(shape, 200, 3, HOURS)


def rows(scope: str) -> list[int]:
    return [row for row, label in enumerate(LABELS) if label[0] == scope]


def test_each_event_has_one_channel_region_category_and_source() -> None:
    table = counters(made(), made().journeys).panes.table
    clicks, orders = COUNTERS[:4], COUNTERS[4:9]
    for scope, names in (
        ("channel", COUNTERS[:-1]),
        ("region", COUNTERS),
        ("category", (*clicks[1:], *orders)),
        ("source", (*clicks, *orders, "dispatched")),
    ):
        for name in names:
            place = COUNTERS.index(name)
            assert np.allclose(table[:, rows(scope), place].sum(axis=1), table[:, 0, place], rtol=1e-9), (scope, name)
    assert table[:, rows("source"), COUNTERS.index("gmv")].sum() == 0, "sources count events"


def test_counters_are_those_of_the_journeys() -> None:
    one = made()
    table = counters(one, one.journeys).panes.table
    inside = (one.journeys.order_at >= shop.PRE_S) & (one.journeys.order_at < one.seconds)
    assert table[:, 0, COUNTERS.index("orders_created")].sum() == inside.sum()
    paid = (one.journeys.paid_at >= shop.PRE_S) & (one.journeys.paid_at < one.seconds)
    assert table[:, 0, COUNTERS.index("gmv")].sum() == one.journeys.amount[paid].sum()


def test_a_late_producer_is_missing_in_time_and_complete_later() -> None:
    one = day("late_producer", 200, 3, 2.0)
    found = counters(one, one.journeys)
    assert found.late is not None
    source, created = LABELS.index(("source", "orders/oms-1")), COUNTERS.index("orders_created")
    late = slice(shop.WARM_S + 3600, shop.WARM_S + 6000)
    assert found.panes.table[late, source, created].sum() == 0
    inside = (one.journeys.order_at >= shop.PRE_S) & (one.journeys.order_at < one.seconds)
    assert (found.panes.table[:, 0, created] + found.late.table[:, 0, created]).sum() == inside.sum()


def test_a_silent_producer_has_no_events() -> None:
    one, from_s = made(), made().sale_s
    table = counters(one, one.journeys, [SourceLoss("orders/oms-2", from_s, from_s + 60)]).panes.table
    lost = slice(shop.WARM_S, shop.WARM_S + 60)
    assert table[lost, LABELS.index(("source", "orders/oms-2"))].sum() == 0
    assert table[lost, LABELS.index(("source", "orders/oms-1"))].sum() > 0


def test_a_producer_of_clicks_loses_its_share() -> None:
    one, from_s = made(), made().sale_s
    whole = counters(one, one.journeys).panes.table
    table = counters(one, one.journeys, [SourceLoss("clicks/app-sdk", from_s, from_s + 600, 0.5)]).panes.table
    lost, app, web = (
        slice(shop.WARM_S, shop.WARM_S + 600),
        LABELS.index(("channel", "app")),
        LABELS.index(("channel", "web")),
    )
    for name in ("product_views", "cart_adds"):
        place = COUNTERS.index(name)
        assert abs(table[lost, app, place].sum() / whole[lost, app, place].sum() - 0.5) < 0.06
        assert (table[lost, web, place] == whole[lost, web, place]).all()
    assert (table[..., COUNTERS.index("orders_created")] == whole[..., COUNTERS.index("orders_created")]).all()


def test_each_table_of_the_default_rules_is_there() -> None:
    tables = StudyTables(made(), made().journeys, every_table=True).at(3000)
    for query in table_queries(load(default_text(), "default").rules):
        if query.against is None:
            assert query.names <= tables[query.window, query.scope].numbers.keys(), query


def test_stock_falls_by_orders_and_rises_by_cancellations() -> None:
    one = made()
    tables = StudyTables(one, one.journeys, every_table=False)
    table = tables.at(3602)[Window.M15, RuleScope.SKU]
    j, sku = one.journeys, shop.PROMOTED[0]
    mine = (j.order_sku == sku) & (j.order_at >= shop.PRE_S)
    end = shop.PRE_S + 3610
    left = one.stock[sku] - (mine & (j.order_at < end)).sum() + (mine & (j.cancel_at < end)).sum()
    assert table.column("stock_available")[0] == left
    paid = (j.order_sku == sku) & (j.paid_at >= end - 900) & (j.paid_at < end)
    assert table.column("minutes_to_stockout")[0] == left / (paid.sum() / 15)


def test_inputs_are_consecutive_seconds_up_to_the_horizon() -> None:
    one = made()
    counted = counters(one, one.journeys)
    found = list(inputs(one, one.journeys, counted, [10, 20, 21, 30]))
    assert [(part.panes.start_s - START_S, part.panes.end_s - START_S) for part in found] == [
        (0, 8),
        (8, 18),
        (18, 19),
        (19, 28),
    ]
    assert [part.as_of_ms // 1000 - START_S for part in found] == [10, 20, 21, 30]
    (promotion,) = found[0].promotions.values()
    assert len(promotion.skus or ()) == len(shop.PROMOTED)
    assert np.isfinite(found[0].tables[Window.M15, RuleScope.SKU].column("stock_available")).all()


def test_a_fault_of_health_has_its_reading_while_it_lasts() -> None:
    one = made()
    fault = HealthFault(HealthCheck.REPEATED, "orders", shop.PRE_S + 20, shop.PRE_S + 30, 0.3)
    found = list(inputs(one, one.journeys, counters(one, one.journeys), [10, 20, 30], faults=[fault]))
    assert [max(reading.value for reading in part.health_readings or ()) for part in found] == [0.004, 0.3, 0.004]


def test_one_producer_of_orders_loses_half() -> None:
    one, from_s = made(), made().sale_s
    whole = counters(one, one.journeys).panes.table
    table = counters(one, one.journeys, [SourceLoss("orders/oms-1", from_s, from_s + 900, 0.5)]).panes.table
    lost, created = slice(shop.WARM_S, shop.WARM_S + 900), COUNTERS.index("orders_created")
    row = LABELS.index(("source", "orders/oms-1"))
    assert table[lost, row, created].sum() / whole[lost, row, created].sum() == pytest.approx(0.5, abs=0.1)


def test_checkouts_can_be_lost_alone() -> None:
    one, from_s = made(), made().sale_s
    loss = SourceLoss("clicks/app-sdk", from_s, from_s + 900, counters=("checkouts",))
    table, whole = counters(one, one.journeys, [loss]).panes.table, counters(one, one.journeys).panes.table
    lost, app = slice(shop.WARM_S, shop.WARM_S + 900), LABELS.index(("channel", "app"))
    assert table[lost, app, COUNTERS.index("checkouts")].sum() == 0
    changed = (table != whole).any(axis=(0, 1))
    assert [name for name, differs in zip(COUNTERS, changed.tolist(), strict=True) if differs] == ["checkouts"]


def test_late_events_come_after_their_delay() -> None:
    one = made()
    from_s = one.sale_s
    counted = counters(one, one.journeys, [LateOrders(1, from_s, from_s + 60, 40)])
    assert counted.late is not None
    at = [*range(10, shop.WARM_S + 201, 10)]
    created, rows = ("orders_created",), np.array([0])
    come = [
        (part.as_of_ms // 1000 - START_S - shop.WARM_S, part.panes.corrections(created, rows)[0])
        for part in inputs(one, one.journeys, counted, at)
    ]
    assert all(many == 0 for second, many in come if second <= 40 or second > 100)
    assert sum(many for _, many in come) == counted.late.table[:, 0, COUNTERS.index("orders_created")].sum() > 0


def test_a_late_producer_is_read_as_such() -> None:
    one = made()
    from_s = one.sale_s
    counted = counters(one, one.journeys, [LateOrders(1, from_s, from_s + 600, 40)])
    at = [*range(shop.WARM_S - 60, shop.WARM_S + 301, 10)]
    readings = [
        {
            reading.labels: reading.value
            for reading in part.health_readings or ()
            if reading.name is HealthCheck.SOURCE_LATE
        }
        for part in inputs(one, one.journeys, counted, at)
    ]
    assert readings[0] == {}
    assert readings[-1].keys() == {(("source", "oms-1"), ("topic", "orders"))}
    assert readings[-1][("source", "oms-1"), ("topic", "orders")] == pytest.approx(40, abs=8)
