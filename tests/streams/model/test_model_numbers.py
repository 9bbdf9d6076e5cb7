"""What a model's rows are answered with: own numbers, those that can be ranked by, and those that count since later."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import Model
from streams.model.kpis import numbers_of
from streams.serve.definitions import definitions, dimensions
from streams.serve.gauges import row_cost
from tests.streams.dictionary.test_file import compiled

OWN = """\
version: 1
fields:
  orders: {store: label, till: label, tip: money}
dimensions:
  - {name: store, field: store}
  - {name: till, field: till, distincts: true}
measures:
  - {name: tips, sum: tip, of: order_paid, unit: money}
  - {name: tippers, distinct: user_id, of: order_paid, where: {channel: app}}
metrics:
  - {name: tip_rate, formula: tips / gmv, good: up}
  - {name: revenue, formula: gmv + 2 * tips}
  - {name: net_revenue, formula: revenue - refunds}
  - {name: tips_per_tipper, formula: tips / tippers, unit: money}
  - {name: tips_per_waiting_order, formula: tips / unshipped_orders}
"""
MODEL = compiled(OWN)


def begun(model: Model, name: str, since_ms: int) -> Model:
    """The model with a measure or dimension that counts from a time on."""
    if name in model.dimensions:
        later = msgspec.structs.replace(model.dimensions[name], since_ms=since_ms)
        return replace(model, dimensions={**model.dimensions, name: later})
    return replace(
        model, measures={**model.measures, name: msgspec.structs.replace(model.measures[name], since_ms=since_ms)}
    )


def test_own_names_are_answered_after_the_built_in_ones() -> None:
    numbers = numbers_of(MODEL)
    answer = numbers.values({"gmv": 200, "tips": 20, "tippers": 4, "refunds": 5}, "store")
    assert list(answer) == list(MODEL.names)
    own = ("tips", "tip_rate", "revenue", "net_revenue", "tips_per_tipper", "tips_per_waiting_order")
    assert [answer[name] for name in own] == [20, 0.1, 240, 235, None, None]
    assert numbers.values({"gmv": 200, "tips": 20, "tippers": 4}, "all")["tips_per_tipper"] == 5.0
    assert numbers.values({"gmv": 200, "tips": 20}, "all", frozenset({"tip_rate"}))["tip_rate"] == 0.1


def test_names_come_with_the_state_that_they_need() -> None:
    numbers = numbers_of(MODEL)
    assert "tips_per_tipper" in numbers.distinct_names
    assert "tips_per_waiting_order" in numbers.shipping_names
    assert "tips_per_tipper" not in numbers.shipping_names
    assert numbers.has_distincts("till")
    assert not numbers.has_distincts("store")


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("tips", {"tips": 1}),
        ("net_gmv", {"gmv": 1, "refunds": -1}),
        ("revenue", {"gmv": 1, "tips": 2}),
        ("net_revenue", {"gmv": 1, "tips": 2, "refunds": -1}),
        ("aov", None),
        ("tip_rate", None),
        ("tippers", None),
        ("stock_available", None),
        ("dwell_ms", None),
    ],
)
def test_scopes_are_ranked_by_sums_of_counters(name: str, weights: dict[str, int] | None) -> None:
    assert numbers_of(MODEL).weights(name) == weights
    assert (name in numbers_of(MODEL).additive) is (weights is not None)


def test_the_built_in_model_ranks_by_counters_and_net_gmv() -> None:
    public = [measure.name for measure in BUILT_IN.counters if measure.public]
    assert list(numbers_of(BUILT_IN).additive) == [*public, "net_gmv"]


def test_a_number_is_missing_in_windows_that_begin_before_it_counted() -> None:
    later = numbers_of(begun(MODEL, "tips", 60_000))
    assert "tips" not in dict(later.counters_in("all", 59_999))
    assert dict(later.counters_in("all", 60_000))["tips"] == later.slots["tips"]
    assert "gmv" in dict(later.counters_in("all", 0))


def test_a_new_dimension_has_no_number_before_it_counted() -> None:
    later = numbers_of(begun(MODEL, "till", 60_000))
    assert (later.counters_in("till", 59_999), later.distincts_in("till", 59_999)) == ([], [])
    assert {"gmv", "tips"} <= dict(later.counters_in("till", 60_000)).keys()
    assert {"buyers", "tippers"} <= dict(later.distincts_in("till", 60_000)).keys()


def test_definitions_name_own_numbers_their_direction_and_begin() -> None:
    found = {one.name: one for one in definitions(begun(MODEL, "tips", 60_000))}
    assert list(found) == list(MODEL.names)
    assert (found["tips"].own, found["tips"].since, found["gmv"].own, found["gmv"].since) == (True, 60_000, False, None)
    assert (found["tip_rate"].good, found["tip_rate"].formula, found["aov"].good) == ("up", "tips / gmv", None)
    assert "store" in found["gmv"].scopes
    assert "store" not in found["visitors"].scopes
    listed = {one.name: one for one in dimensions(MODEL)}
    assert list(listed) == list(MODEL.dimensions)
    assert (listed["store"].thin, listed["till"].thin, listed["all"].of, listed["store"].of) == (
        True,
        False,
        [],
        ["store"],
    )


def test_a_row_of_a_thin_dimension_costs_the_names_that_it_has() -> None:
    assert {row_cost(BUILT_IN, scope) for scope in BUILT_IN.dimensions} == {len(BUILT_IN.names)}
    assert row_cost(MODEL, "store") == len(MODEL.names_in("store")) < row_cost(MODEL, "till")
    assert row_cost(MODEL, "all") == len(BUILT_IN.names) + sum(name in MODEL.own for name in MODEL.names_in("all"))
