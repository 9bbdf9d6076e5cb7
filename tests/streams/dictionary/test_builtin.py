"""The built-in model: its ids, its names in code, and its prepared file."""

from __future__ import annotations

from streams.dictionary import names
from streams.dictionary.builtin import BUILT_IN
from streams.model.kpis import KPIS
from streams.panes.counters import COUNTER_IDS, DISTINCT_IDS
from streams.panes.scopes import DIMENSION_IDS, SCOPES
from tests.tools.builtin_model import JSON, prepared

DIMENSIONS = ["all", "promotion", "channel", "region", "category", "campaign", "live_room", "variant", "member", "sku"]
COUNTERS = [
    *("page_views", "product_views", "searches", "cart_adds", "favorites", "checkouts", "ad_impressions", "ad_clicks"),
    *("live_enters", "live_comments", "ad_cost", "orders_created", "orders_paid", "payments_failed"),
    *("orders_cancelled", "orders_refunded", "units", "gmv", "refunds", "discounts", "dispatched", "delivered"),
    *("delayed", "returned_units", "dwell_ms", "dwell_events", "first_orders", "member_gmv", "campaign_gmv"),
    *("repeat_creations", "repeat_payments"),
]
DISTINCTS = ["visitors", "sessions", "buyers"]


def test_ids_in_stored_panes_never_change() -> None:
    assert {d.name: d.id for d in BUILT_IN.dimensions.values()} == {name: i for i, name in enumerate(DIMENSIONS)}
    assert {m.name: m.id for m in BUILT_IN.counters} == {name: i for i, name in enumerate(COUNTERS)} == COUNTER_IDS
    assert {m.name: m.id for m in BUILT_IN.distincts} == {name: i for i, name in enumerate(DISTINCTS)} == DISTINCT_IDS
    assert {scope: DIMENSION_IDS[scope] for scope in SCOPES} == {name: i for i, name in enumerate(DIMENSIONS)}


def test_slots_are_places_in_answers() -> None:
    assert BUILT_IN.counter_slot[: len(COUNTERS)].tolist() == list(range(len(COUNTERS)))
    assert set(BUILT_IN.counter_slot[len(COUNTERS) :].tolist()) == {-1}
    assert BUILT_IN.distinct_slot[0, :4].tolist() == [0, 1, 2, -1]


def test_the_model_has_every_dimension_that_code_names() -> None:
    named = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    assert named == set(BUILT_IN.dimensions)


def test_dimensions_of_items_count_orders_by_line() -> None:
    assert [name for name, dimension in BUILT_IN.dimensions.items() if dimension.by_line] == ["category", "sku"]


def test_a_number_without_values_per_line_is_absent_where_orders_count_by_line() -> None:
    absent = set(BUILT_IN.names_in("channel")) - set(BUILT_IN.names_in("category"))
    assert absent >= {"discounts", "discount_rate", "repeat_creations", "repeat_payments"}
    assert not absent & {"gmv", "units", "refunds", "buyers"}


def test_every_metric_has_a_formula_or_code() -> None:
    assert [
        metric.name for metric in BUILT_IN.metrics.values() if (metric.formula is None) != bool(metric.source)
    ] == []
    assert [kpi.name for kpi in KPIS] == list(BUILT_IN.metrics)


def test_the_prepared_file_matches_the_definitions() -> None:
    """Run `python -m tests.tools.builtin_model` after a change of `builtin.yaml`."""
    assert JSON.read_bytes() == prepared()
