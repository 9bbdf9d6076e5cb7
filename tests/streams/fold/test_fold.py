"""The contribution of events to the counters of the metric dictionary, for any batches."""

from __future__ import annotations

import itertools
from collections import defaultdict
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.topics import EVENT_TOPICS, Topic
from streams.fold.delta import PaneDelta, merge
from streams.fold.fold import fold
from streams.model.kpis import SHIPPING_NAMES, STOCK_NAMES, values
from streams.panes.counters import COUNTERS, DISTINCTS
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope, SourceDimension
from streams.shipping.expansion import ShippingLimits
from streams.shipping.join import join
from streams.worker.lateness import LATEST_MS
from tests.streams.distincts import estimates
from tests.streams.plain import plain
from tests.support.events import (
    Event,
    click,
    columns_of,
    line,
    ms,
    order,
    paid,
    refunded,
    shipment,
    some_events,
    stock_level,
)
from tests.support.oracle import SCOPES, Oracle, assert_agree


def folded(topic: Topic, events: list[Event], rows: RowIndex) -> PaneDelta:
    return fold(columns_of(topic, events, rows), rows)


def total(delta: PaneDelta, rows: RowIndex, scope: str = "all", value: str = "") -> dict[str, object]:
    """All sums of one value over all panes."""
    row = rows.row(Scope(scope), value)
    sums: dict[str, int] = defaultdict(int)
    for at in np.flatnonzero(delta.cells.rows == row).tolist():
        sums[COUNTERS[int(delta.cells.counters[at])].name] += int(delta.cells.amounts[at])
    counted = {counter.name: sums[counter.name] for counter in COUNTERS}
    ids = estimates([delta.sketches], np.array([row]))[0]
    counted |= {distinct.name: n for distinct, n in zip(DISTINCTS, ids, strict=True)}
    answer = values(counted, Scope(scope))
    if scope in ("category", "sku"):
        answer |= dict.fromkeys(("discounts", "repeat_creations", "repeat_payments"))
    return answer


@pytest.mark.parametrize("topic", EVENT_TOPICS)
@pytest.mark.parametrize("seed", range(3))
def test_every_counter_and_ratio_equals_the_oracles(topic: Topic, seed: int) -> None:
    events = some_events(topic, 300, seed, length=86_000)
    oracle = Oracle(**{topic.value: events})
    rows = RowIndex()
    columns = columns_of(topic, events, rows)
    order_facts = columns.order_facts.by_order()
    repeats = join(order_facts, dict.fromkeys(order_facts.facts), ShippingLimits(), rows).repeats
    delta = merge([fold(columns, rows), PaneDelta(repeats)])
    for scope in SCOPES:
        for value in [""] if scope == "all" else oracle.values("24h", ms(86_400), scope):
            answer = oracle.ask("24h", ms(86_400), scope, value)
            counted = {name: number for name, number in answer.items() if name not in STOCK_NAMES | SHIPPING_NAMES}
            assert_agree(total(delta, rows, scope, value), counted, scope, value)


@pytest.mark.parametrize("topic", EVENT_TOPICS)
@settings(max_examples=15)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 60), max_size=4), chance=st.randoms(use_true_random=False))
def test_batch_sizes_and_order_do_not_matter(topic: Topic, seed: int, cuts: list[int], chance: Random) -> None:
    events = some_events(topic, 60, seed, length=1500)
    whole_rows, rows = RowIndex(), RowIndex()
    whole = folded(topic, events, whole_rows)
    chance.shuffle(events)
    bounds = [0, *sorted(cuts), 60]
    parts = [folded(topic, events[a:b], rows) for a, b in itertools.pairwise(bounds)]
    chance.shuffle(parts)
    assert plain(merge(parts), rows) == plain(whole, whole_rows)


def test_an_empty_batch_folds_to_zero() -> None:
    for topic in EVENT_TOPICS:
        assert not folded(topic, [], RowIndex())


def test_an_event_counts_in_the_second_of_its_event_time() -> None:
    events = [click(at=0), click(at=0.999), click(at=1), click(at=-0.001), click(at=10**8)]
    delta = folded(Topic.CLICKS, events, RowIndex())
    counted = dict(zip(delta.cells.panes.tolist(), delta.cells.amounts.tolist(), strict=True))
    assert counted == {ms(0) // 1000: 2, ms(1) // 1000: 1, ms(-1) // 1000: 1, ms(10**8) // 1000: 1}


@pytest.mark.parametrize("ts", [0, LATEST_MS])
def test_counts_events_at_the_first_and_last_time_that_panes_hold(ts: int) -> None:
    rows = RowIndex()
    events = [{**click(channel="app"), "ts": ts}, click(channel="app")]
    assert total(folded(Topic.CLICKS, events, rows), rows, "channel", "app")["page_views"] == 2


def test_an_event_without_a_field_counts_in_all_only() -> None:
    rows = RowIndex()
    delta = folded(Topic.CLICKS, [click()], rows)
    assert {label for _, label, _ in plain(delta, rows)[0]} == {(Scope.ALL, "")}


def test_lines_count_their_worth_in_a_batch_whose_orders_have_an_amount_of_zero() -> None:
    rows = RowIndex()
    delta = folded(Topic.ORDERS, [paid(items=[line("s-1", unit_price=900)], discount=900)], rows)
    assert (total(delta, rows, "sku", "s-1")["gmv"], total(delta, rows)["gmv"]) == (900, 0)


def test_an_order_counts_once_per_category_and_sku() -> None:
    rows = RowIndex()
    items = [
        line("s-1", qty=2, unit_price=500, category="toys"),
        line("s-1", qty=1, unit_price=700, category="toys"),
        line("s-2", qty=4, unit_price=100, category="toys"),
        line("s-3", qty=1, unit_price=9_000),
    ]
    delta = folded(Topic.ORDERS, [paid(items=items, discount=1_000, shipping_fee=300)], rows)
    seen = [
        [total(delta, rows, *at)[name] for name in ("orders_paid", "units", "gmv", "discounts", "buyers")]
        for at in (("all", ""), ("category", "toys"), ("sku", "s-1"), ("sku", "s-2"), ("sku", "s-3"))
    ]
    assert seen == [
        [1, 8, 10_400, 1_000, 1],
        [1, 7, 2_100, None, 1],
        [1, 3, 1_700, None, 1],
        [1, 4, 400, None, 1],
        [1, 1, 9_000, None, 1],
    ]


@pytest.mark.parametrize(
    ("amount", "worths", "shares"),
    [
        (100, [300, 100], [75, 25]),
        (1, [1, 1], [1, 1]),  # half each, rounded up
        (3, [1, 1], [2, 2]),
        (100, [1, 1, 1], [33, 33, 33]),
        (200, [1, 1, 1], [67, 67, 67]),
        (100, [0, 50], [0, 100]),  # a free item
        (100, [0, 0], [0, 0]),  # only the shipping fee was paid
        (0, [10, 20], [0, 0]),
        (10**15 - 1, [5 * 10**14, 5 * 10**14], [5 * 10**14, 5 * 10**14]),
    ],
)
def test_refunds_are_split_by_worth_and_rounded_half_up(amount: int, worths: list[int], shares: list[int]) -> None:
    rows = RowIndex()
    items = [line(f"s-{i}", unit_price=worth) for i, worth in enumerate(worths)]
    delta = folded(Topic.ORDERS, [refunded(amount, items=items)], rows)
    assert [total(delta, rows, "sku", f"s-{i}")["refunds"] for i in range(len(worths))] == shares
    assert total(delta, rows)["refunds"] == amount


def test_refund_shares_are_rounded_per_line() -> None:
    rows = RowIndex()
    items = [line(f"s-{i}", unit_price=1, category="toys") for i in range(3)]
    delta = folded(Topic.ORDERS, [refunded(2, items=items)], rows)
    assert total(delta, rows, "category", "toys")["refunds"] == 3  # 2/3 each, rounded to 1


def test_amounts_count_only_for_their_event_type() -> None:
    rows = RowIndex()
    unpaid = [order(kind, discount=5) for kind in ("order_created", "payment_failed", "order_cancelled")]
    answer = total(folded(Topic.ORDERS, unpaid, rows), rows)
    assert [answer[name] for name in ("gmv", "units", "discounts", "refunds", "buyers")] == [0, 0, 0, 0, 0]
    costly = [click("ad_impression", cost=7), click("ad_click", cost=11)]
    assert total(folded(Topic.CLICKS, costly, rows), rows)["ad_cost"] == 11


def test_a_dwell_time_of_zero_counts_and_a_missing_one_does_not() -> None:
    rows = RowIndex()
    delta = folded(Topic.CLICKS, [click(dwell_ms=0), click(dwell_ms=3_000), click(), click(dwell_ms=None)], rows)
    assert total(delta, rows)["avg_dwell_seconds"] == 1.5


def test_sums_of_the_largest_amounts_are_exact() -> None:
    rows = RowIndex()
    events = [paid(items=[line(unit_price=10**15)]) for _ in range(100)]
    assert total(folded(Topic.ORDERS, events, rows), rows)["gmv"] == 10**17


def test_stock_events_count_in_the_stock_event_log_only_and_returns_count_units() -> None:
    rows = RowIndex()
    level = folded(Topic.LOGISTICS, [stock_level(5)], rows)
    assert not len(level.cells.keys)
    assert level.stock.levels.amounts.tolist() == [5]
    events = [stock_level(5), shipment("return_received", qty=3, region="east"), shipment("return_received", qty=2)]
    delta = folded(Topic.LOGISTICS, events, rows)
    assert total(delta, rows)["returned_units"] == 5
    assert total(delta, rows, "sku", "s-1")["returned_units"] == 5
    assert total(delta, rows, "region", "east")["returned_units"] == 3


def test_returns_count_in_their_category() -> None:
    rows = RowIndex()
    events = [shipment("return_received", qty=3, category="toys"), shipment("return_received", qty=2)]
    delta = folded(Topic.LOGISTICS, events, rows)
    assert [total(delta, rows, *at)["returned_units"] for at in (("all", ""), ("category", "toys"))] == [5, 3]


def test_ad_impressions_are_no_visits() -> None:
    rows = RowIndex()
    events = [
        click("ad_impression", user="u-1", session="v-1", channel="app"),
        click("ad_click", user="u-2", session="v-2"),
        click("page_view", user="u-3", session="v-3"),
        click("ad_impression", user="u-3", session="v-3"),
    ]
    delta = folded(Topic.CLICKS, events, rows)
    assert [total(delta, rows)[name] for name in ("visitors", "sessions", "ad_impressions")] == [2, 2, 2]
    assert [total(delta, rows, "channel", "app")[name] for name in ("visitors", "ad_impressions")] == [0, 1]
    assert folded(Topic.CLICKS, events[:1], rows), "impressions only"


def test_an_event_without_member_does_not_count_in_scope_member() -> None:
    rows = RowIndex()
    delta = folded(Topic.CLICKS, [click(), click(member=False), click(member=True)], rows)
    assert total(delta, rows, "member", "false")["page_views"] == 1
    assert total(delta, rows, "member", "true")["page_views"] == 1


def test_counts_events_per_source_topic_and_type() -> None:
    rows = RowIndex()
    events = [click("page_view", source="web-1"), click("product_view", source="web-1"), click("page_view")]
    orders = [paid(source="web-1", items=[line()])]
    delta = merge([folded(Topic.CLICKS, events, rows), folded(Topic.ORDERS, orders, rows)])
    found = {
        (rows.labels[row][1], COUNTERS[counter].name): amount
        for row, counter, amount in zip(
            delta.cells.rows.tolist(), delta.cells.counters.tolist(), delta.cells.amounts.tolist(), strict=True
        )
        if rows.labels[row][0] is SourceDimension.SOURCE
    }
    assert found == {
        ("clicks/web-1", "page_views"): 1,
        ("clicks/web-1", "product_views"): 1,
        ("orders/web-1", "orders_paid"): 1,
    }
