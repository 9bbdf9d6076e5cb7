"""The oracle of models gives numbers that were computed by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.support.events import click, line, ms, paid, refunded, shipment
from tests.support.model_oracle import Answer, Event, ModelOracle, assert_model_agrees

MODEL = r"""
version: 1
fields:
  orders: {store: label, bank: label, tip: money, gift: flag}
  clicks: {store: label}
dimensions:
  - {name: store, field: store}
  - {name: bank, field: bank}
  - {name: gift, field: gift}
  - {name: price_band, bands: unit_price, edges: [1, 100.00, 300.5], labels: [traffic, profit, image]}
  - {name: hour, clock: hour}
  - {name: region_category, cross: [region, category]}
  - {name: bank_hour, cross: [bank, hour]}
measures:
  - {name: tips, sum: tip, of: order_paid, unit: money}
  - {name: cod_orders, count: order_paid, where: {payment_type: cod}}
  - {name: app_buyers, distinct: user_id, of: order_paid, where: {channel: app}, scopes: [all, region]}
  - {name: largest_order, max: amount, of: order_paid, unit: money}
  - {name: least_price, min: unit_price, of: order_paid}
  - {name: load, quantiles: load_ms, of: page_view, unit: milliseconds}
  - {name: plain_orders, count: order_paid, where: {gift: false, bank: {not: [south, ""]}}}
  - {name: big_tips, count: order_paid, where: {tip: [5, 7.5]}}
  - {name: tipped, count: order_paid, with: tip}
metrics:
  - {name: cod_rate, formula: cod_orders / orders_paid}
  - {name: tip_rate, formula: tips / gmv, good: up}
  - {name: tip_points, formula: 100 * tip_rate - 0.5, scopes: [all, bank]}
  - {name: margin, formula: -(tips - net_gmv) / (visitors + 1)}
"""
END = ms(300)


def asked(
    *events: Event, scope: str = "all", value: str = "", window: str = "5m", as_of_ms: int = END, **options: Any
) -> dict[str, Answer]:
    return oracle(*events, **options).ask(window, as_of_ms, scope, value)


def oracle(*events: Event, **options: Any) -> ModelOracle:
    topics: dict[str, list[Event]] = {"clicks": [], "orders": [], "logistics": []}
    for event in events:
        topics["clicks" if "session_id" in event else "orders" if "items" in event else "logistics"].append(event)
    return ModelOracle(MODEL, **topics, **options)


ORDERS = (
    paid(user="u-1", bank="north", tip=500, payment_type="cod", channel="app", region="east", items=[
        line("s-1", category="tea", qty=2, unit_price=9_999), line("s-2", category="tea", unit_price=30_050),
        line("s-3", category="cups", unit_price=50),
    ], discount=98),
    paid(at=60, user="u-2", bank="north", channel="app", gift=True, items=[line(category="tea", unit_price=10_000)]),
    paid(at=120, user="u-1", bank="south", tip=750, channel="app", region="west", items=[line(unit_price=2_000)]),
    paid(at=299, user="u-3", tip=0, bank="", items=[line(unit_price=100)], shipping_fee=25),
)  # fmt: skip
AMOUNTS = [2 * 9_999 + 30_050 + 50 - 98, 10_000, 2_000, 125]


def test_counts_and_sums_are_of_the_events_that_fit() -> None:
    numbers = asked(*ORDERS)
    assert (numbers["orders_paid"], numbers["gmv"], numbers["tips"], numbers["cod_orders"]) == (
        4,
        sum(AMOUNTS),
        1_250,
        1,
    )
    assert (numbers["plain_orders"], numbers["big_tips"], numbers["tipped"]) == (1, 2, 3)
    north = asked(*ORDERS, scope="bank", value="north")
    assert (north["orders_paid"], north["gmv"], north["tips"], north["tipped"]) == (2, AMOUNTS[0] + 10_000, 500, 1)
    assert asked(*ORDERS, scope="bank", value="none")["gmv"] == 0


def test_windows_are_half_open() -> None:
    at = [paid(at=second, tip=1) for second in (0, 60, 119.999, 120)]
    assert asked(*at, window="1m", as_of_ms=ms(120))["tips"] == 2
    assert asked(*at, as_of_ms=ms(120))["tips"] == 3


def test_distinct_counts_exist_in_their_scopes() -> None:
    assert asked(*ORDERS)["app_buyers"] == 2
    assert asked(*ORDERS, scope="region", value="east")["app_buyers"] == 1
    assert asked(*ORDERS, scope="channel", value="app")["app_buyers"] is None
    assert asked(*ORDERS, scope="channel", value="app")["buyers"] == 2
    assert asked(*ORDERS, scope="bank", value="north")["buyers"] is None


def test_extremes_are_of_whole_minutes() -> None:
    numbers = asked(*ORDERS)
    assert (numbers["largest_order"], numbers["least_price"]) == (AMOUNTS[0], 50)
    assert asked(*ORDERS, window="1m", as_of_ms=ms(90))["largest_order"] is None
    late = asked(*ORDERS, window="5m", as_of_ms=ms(330))
    assert (late["largest_order"], late["least_price"], late["orders_paid"]) == (10_000, 100, 3)
    assert asked(*ORDERS, scope="bank", value="south")["largest_order"] == 2_000
    assert asked(*ORDERS, scope="bank", value="other")["largest_order"] is None


def test_quantiles_are_values_of_the_sorted_list() -> None:
    loads = [click(load_ms=number) for number in range(101)]
    numbers = asked(*loads, click("search", load_ms=10**5), click())
    assert [numbers[f"load_{q}"] for q in ("p50", "p90", "p95", "p99")] == [50, 90, 95, 99]
    assert [asked(click(load_ms=7))[f"load_{q}"] for q in ("p50", "p99")] == [7, 7]
    assert asked()["load_p50"] is None


def test_bands_are_half_open_and_by_line() -> None:
    names = ("orders_paid", "gmv", "units", "least_price", "tips", "largest_order")

    def band(value: str) -> list[Answer]:
        numbers = asked(*ORDERS, scope="price_band", value=value)
        return [numbers[name] for name in names]

    assert band("traffic") == [3, 2 * 9_999 + 2_000 + 100, 4, 100, None, 2 * 9_999]
    assert band("profit") == [1, 10_000, 1, 10_000, None, 10_000]
    assert band("image") == [1, 30_050, 1, 30_050, None, 30_050]
    assert oracle(*ORDERS).values("5m", END, "price_band") == {"traffic", "profit", "image"}


def test_crossings_join_the_values_of_the_same_line() -> None:
    tea = asked(*ORDERS, scope="region_category", value="east|tea")
    assert (tea["orders_paid"], tea["gmv"], tea["largest_order"]) == (1, 2 * 9_999 + 30_050, 2 * 9_999 + 30_050)
    found = oracle(*ORDERS, paid(region="a|b", items=[line(category="c\\"), line(category="|")]))
    assert found.values("5m", END, "region_category") == {"east|tea", "east|cups", r"a\|b|c" + "\\", r"a\|b|\|"}


def test_clocks_show_local_hours() -> None:
    assert oracle(*ORDERS).values("5m", END, "hour") == {"0"}
    assert oracle(*ORDERS, timezone="Asia/Kolkata").values("5m", END, "bank_hour") == {"north|5", "south|5"}


def test_flags_have_values_where_events_carry_them() -> None:
    assert oracle(*ORDERS).values("5m", END, "gift") == {"true"}
    assert asked(*ORDERS, scope="gift", value="true")["orders_paid"] == 1


def test_dimensions_exist_on_topics_that_have_their_field() -> None:
    events = (click(store="s", user="v"), *ORDERS, shipment())
    numbers = asked(*events, scope="store", value="s")
    assert (numbers["page_views"], numbers["orders_paid"], numbers["dispatched"], numbers["visitors"]) == (
        1,
        0,
        None,
        None,
    )
    assert asked(*events, scope="bank", value="north")["page_views"] is None
    assert asked(*events, scope="channel", value="app")["dispatched"] == 0
    assert asked(*events, scope="hour", value="0")["dispatched"] == 1


def test_refunds_are_shared_by_worth() -> None:
    order = refunded(5, items=[line("s-1", category="a", unit_price=1), line("s-2", category="b", unit_price=1)])
    assert asked(order)["refunds"] == 5
    assert [asked(order, scope="category", value=value)["refunds"] for value in "ab"] == [3, 3]


def test_formulas_are_exact_and_null_over_zero() -> None:
    numbers = asked(*ORDERS, click())
    assert numbers["cod_rate"] == Fraction(1, 4)
    assert numbers["tip_rate"] == Fraction(1_250, sum(AMOUNTS))
    assert numbers["tip_points"] == Fraction(125_000, sum(AMOUNTS)) - Fraction(1, 2)
    assert numbers["margin"] == Fraction(sum(AMOUNTS) - 1_250, 2)
    assert asked()["tip_rate"] is None
    assert asked()["tip_points"] is None
    assert asked(*ORDERS, scope="region", value="east")["tip_points"] is None
    assert asked(*ORDERS, scope="bank", value="north")["margin"] is None


def test_numbers_are_null_in_windows_that_begin_before_they_were_counted() -> None:
    numbers = asked(*ORDERS, since={"tips": ms(0.001)})
    assert (numbers["tips"], numbers["tip_rate"], numbers["orders_paid"]) == (None, None, 4)
    assert asked(*ORDERS, since={"tips": ms(0)})["tips"] == 1_250
    later = asked(*ORDERS, scope="bank", value="north", scopes_since={"bank": ms(1)})
    assert set(later.values()) == {None}
    assert asked(*ORDERS, scopes_since={"bank": ms(1)})["tips"] == 1_250


def test_labels_that_are_empty_or_too_long_are_absent() -> None:
    events = [paid(bank="x" * 128), paid(bank="x" * 129), paid(bank=None)]
    assert oracle(*events).values("5m", END, "bank") == {"x" * 128}


def test_agreement_allows_the_tolerances_of_the_contract_alone() -> None:
    loads = [click(load_ms=1_000, user=f"u-{i}") for i in range(1_000)]
    found = oracle(*loads, *ORDERS)
    expected = found.ask("5m", END)
    assert_model_agrees(found, {n: None if a is None else float(a) for n, a in expected.items()}, expected)
    visitors = float(expected["visitors"] or 0)
    near = {
        "visitors": 1.019 * visitors,
        "load_p50": 1_009.0,
        "margin": float(-(1_250 - sum(AMOUNTS))) / (1.019 * visitors + 1),
    }
    got = {n: None if a is None else float(a) for n, a in expected.items()}
    for name in ("conversion_rate",):
        near[name] = float(expected["buyers"] or 0) / near["visitors"]
    assert_model_agrees(found, got | near, expected)
    for name, wrong in (("tips", 1_251.0), ("visitors", 1.03 * visitors), ("load_p50", 1_011.0), ("tip_rate", 0.5)):
        with pytest.raises(AssertionError, match=name):
            assert_model_agrees(found, got | {name: wrong}, expected)
