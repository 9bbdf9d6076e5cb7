"""A shop's own model: what the example of the docs declares, and a fault of each kind with its line."""

from __future__ import annotations

import pytest

from consumers.contract.decoding import CONTRACT
from consumers.contract.own_fields import FieldType
from consumers.topics import Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.file import read_model_file
from streams.dictionary.fingerprint import fingerprint_of
from streams.dictionary.types import FieldCondition, Model, Unit

EXAMPLE = """\
version: 1
fields:
  orders: {store: label, bank: label, tip: money, payment_type: label}
  clicks: {store: label, load_ms: milliseconds}
dimensions:
  - {name: region_category, cross: [region, category]}
  - {name: store, field: store}
  - {name: bank, field: bank}
  - {name: price_band, bands: unit_price, edges: [0, 100.00, 300.00], labels: [traffic, profit, image]}
  - {name: hour, clock: hour}
  - {name: bank_hour, cross: [bank, hour]}
measures:
  - {name: tips, sum: tip, of: order_paid, unit: money}
  - {name: cod_orders, count: order_paid, where: {payment_type: cod}}
  - {name: app_buyers, distinct: user_id, of: order_paid, where: {channel: app}, scopes: [all, region]}
  - {name: largest_order, max: amount, of: order_paid}
  - {name: load, quantiles: load_ms, of: page_view}
  - {name: paid_elsewhere, count: order_paid, where: {channel: {not: [app, web]}, member: false}}
metrics:
  - {name: tip_share_of_cod, formula: tip_rate / cod_rate}
  - {name: cod_rate, formula: cod_orders / orders_paid}
  - {name: tip_rate, formula: tips / gmv, good: up}
  - {name: gmv_and_tips, formula: gmv + tips}
  - {name: cod_per_waiting_order, formula: cod_orders / unshipped_orders}
"""


def compiled(text: str, exponent: int = 2) -> Model:
    read = read_model_file(text, exponent=exponent)
    assert read.errors == ()
    assert read.model is not None
    return read.model


def faults(text: str) -> list[str]:
    return [f"{error.line}: {error.message}" for error in read_model_file(text, exponent=2).errors]


def fault(lines: str) -> str:
    """The only fault of the last line."""
    text = f"version: 1\nfields: {{orders: {{bank: label, tip: money}}}}\n{lines}\n"
    found = faults(text)
    assert len(found) == 1, found
    number, _, message = found[0].partition(": ")
    assert int(number) == text.count("\n")
    return message


def test_own_dimensions_exist_where_events_have_their_fields() -> None:
    dimensions = compiled(EXAMPLE).dimensions
    assert dimensions["store"].topics == {Topic.CLICKS, Topic.ORDERS}
    assert dimensions["bank"].topics == {Topic.ORDERS}
    assert dimensions["bank_hour"].topics == {Topic.ORDERS}
    by_line = {name for name in dimensions.keys() - BUILT_IN.dimensions.keys() if dimensions[name].by_line}
    assert by_line == {"price_band", "region_category"}


def test_edges_of_money_are_exact_minor_units() -> None:
    assert compiled(EXAMPLE).dimensions["price_band"].edges == (0, 10_000, 30_000)
    assert compiled(EXAMPLE, exponent=3).dimensions["price_band"].edges == (0, 100_000, 300_000)


def test_ids_of_own_names_follow_the_built_in_ones() -> None:
    model = compiled(EXAMPLE)
    assert [m.id for m in model.counters if m.name in model.own] == [128, 129, 130]
    assert [m.id for m in (*model.distincts, *model.extremes, *model.quantiles) if m.name in model.own] == [128] * 3
    assert min(d.id for d in model.dimensions.values() if d.name not in BUILT_IN.dimensions) == 192
    assert all(model.measures[name].id == measure.id for name, measure in BUILT_IN.measures.items())


def test_built_in_numbers_exist_in_own_dimensions_that_fit() -> None:
    model = compiled(EXAMPLE)
    assert {"gmv", "orders_paid", "net_gmv", "aov"} <= set(model.names_in("bank"))
    assert not {"page_views", "buyers", "dispatched", "cart_rate", "stock_available"} & set(model.names_in("bank"))
    assert {"page_views", "cart_rate", "gmv"} <= set(model.names_in("store"))
    assert {"dispatched", "page_views", "gmv"} <= set(model.names_in("hour"))
    assert "discounts" not in model.names_in("price_band")


def test_a_built_in_dimension_keeps_its_names_and_gets_own_ones() -> None:
    model = compiled(EXAMPLE)
    for scope in BUILT_IN.dimensions:
        assert [name for name in model.names_in(scope) if name in BUILT_IN.names] == list(BUILT_IN.names_in(scope))
    assert {"tips", "cod_rate", "load_p50", "load_p99", "largest_order"} <= set(model.names_in("channel"))
    assert {"tips", "tip_rate"}.isdisjoint(model.names_in("sku"))
    assert "app_buyers" in model.names_in("region")
    assert "app_buyers" not in model.names_in("channel")


def test_metrics_in_metrics_have_the_inputs_of_both_in_any_order_of_the_file() -> None:
    metrics = compiled(EXAMPLE).metrics
    assert metrics["tip_share_of_cod"].inputs == ("tips", "gmv", "cod_orders", "orders_paid")
    assert metrics["cod_per_waiting_order"].inputs == ("cod_orders", "unshipped_orders")
    assert metrics["cod_per_waiting_order"].scopes == {"all", "promotion", "channel", "region"}


def test_units_are_those_of_the_numbers() -> None:
    units = compiled(EXAMPLE).units
    names = ("tips", "largest_order", "load_p95", "gmv_and_tips", "tip_rate", "cod_orders")
    assert [units[name] for name in names] == [
        Unit.MONEY, Unit.MONEY, Unit.MILLISECONDS, Unit.MONEY, Unit.RATIO, Unit.COUNT
    ]  # fmt: skip


def test_conditions_hold_for_values_or_for_all_others() -> None:
    assert compiled(EXAMPLE).measures["paid_elsewhere"].where == (
        FieldCondition("channel", frozenset({"app", "web"}), negated=True),
        FieldCondition("member", frozenset({"false"})),
    )


def test_an_empty_file_is_the_built_in_model() -> None:
    model = compiled("version: 1\n")
    assert (model.names, model.dimensions) == (BUILT_IN.names, BUILT_IN.dimensions)
    assert fingerprint_of(model, "UTC") == fingerprint_of(BUILT_IN, "Asia/Shanghai")


def test_the_fingerprint_depends_on_what_counts_alone() -> None:
    first = fingerprint_of(compiled(EXAMPLE), "UTC")
    bank, hour = "  - {name: bank, field: bank}\n", "  - {name: hour, clock: hour}\n"
    reordered = EXAMPLE.replace(bank, "").replace(hour, f"{hour}{bank}").replace("tip_rate, ", "tip_rate, about: x, ")
    assert fingerprint_of(compiled(reordered), "UTC") == first
    changes = [("value", "cod}", "paypal}"), ("edge", "300.00", "301"), ("scope", "[all, region]", "[all]")]
    changes += [
        ("formula", "tips / gmv", "gmv / tips"),
        ("name", "name: store", "name: shop"),
        ("unit", "unit: money", "unit: count"),
    ]
    changed = {fingerprint_of(compiled(EXAMPLE.replace(old, new)), "UTC") for _, old, new in changes}
    assert len(changed - {first}) == len(changes)
    assert fingerprint_of(compiled(EXAMPLE), "Asia/Shanghai") != first
    assert fingerprint_of(compiled(EXAMPLE, exponent=3), "UTC") != first


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("- {name: bank, field: bnak}", "there is no field `bnak` on `clicks`, `orders` and `logistics`"),
        ("- {name: bank, field: regoin}", "do you mean `region`?"),
        ("- {name: bank, field: tip}", "`tip` is a number: write `bands: tip`"),
        ("- {name: bank, bands: bank, edges: [0], labels: [a]}", "`bank` is a label: bands need a number"),
        ("- {name: sku, field: sku}", "there is a dimension `sku` already"),
        ("- {name: severity, field: bank}", "`severity` is a label of alerts or metrics"),
        ("- {name: b, bands: tip, edges: [0, 1.005], labels: [a, b]}", "the edge 1.005 cannot be counted exactly"),
        ("- {name: b, bands: tip, edges: [5, 1], labels: [a, b]}", "the edge 1 is not above 5"),
        ("- {name: b, bands: tip, edges: [0, 1], labels: [a]}", "as many `labels`"),
        ("- {name: b, cross: [regio, channel]}", "there is no dimension `regio`: do you mean `region`?"),
        ("- {name: b, cross: [region, region]}", "`region` is in `cross` twice"),
        ("- {name: b, cross: [all, region]}", "`all` has one value only"),
        ("- {name: b, field: bank, clock: hour}", "found field and clock"),
        ("- {name: B, field: bank}", "`name`: write lower-case letters, digits and `_`, a letter first"),
        ("- {name: b, bands: tip, edges: [0, 1e3], labels: [a, b]}", "write a number such as 100 or 99.50"),
        ("- {name: b, bands: tip, edges: [0, 1], labels: [a, a]}", "two bands have one label: rename one"),
    ],
)
def test_faults_of_dimensions(line: str, part: str) -> None:
    assert part in fault(f"dimensions:\n  {line}")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("- {name: gmv, count: order_paid}", "`gmv` is the name of a built-in number already"),
        ("- {name: net_gmv, count: order_paid}", "`net_gmv` is the name of a built-in number already"),
        ("- {name: dwell_ms, count: order_paid}", "`dwell_ms` is the name of a built-in number already"),
        ("- {name: a, count: order_payd}", "there is no event type or topic `order_payd`: do you mean `order_paid`?"),
        ("- {name: a, count: [order_paid, page_view]}", "of several topics (`order_paid` is of orders, `page_view` is"),
        ("- {name: a, sum: tip, of: page_view}", "there is no field `tip` on clicks, the topic of page_view"),
        ("- {name: a, sum: bank, of: order_paid}", "`bank` is a label: `sum` needs a number"),
        ("- {name: a, sum: tip, of: order_paid, scopes: [sku]}", "`tip` has no value per order line: remove `sku`"),
        ("- {name: a, sum: tip, of: order_paid, scopes: [skus]}", "there is no dimension `skus`: do you mean `sku`?"),
        ("- {name: a, count: order_paid, scopes: [bank]}", "no dimension `bank`: declare one with `field: bank`"),
        ("- {name: a, distinct: tip, of: order_paid}", "`tip` is no label of orders events"),
        ("- {name: a, count: order_paid, where: {member: maybe}}", "`member` is true or false"),
        ("- {name: a, count: order_paid, where: {category: x}}", "`category` is a field of order lines"),
        ("- {name: a, count: order_paid, where: {chanel: x}}", "on orders: do you mean `channel`?"),
        ("- {name: a, count: order_paid, where: {tip: 0.001}}", "cannot be counted exactly"),
        ("- {name: build_info, count: order_paid}", "salepulse has a metric `salepulse_build_info` already"),
        ("- {name: events_total, count: order_paid}", "salepulse has a metric `salepulse_events_total` already"),
        ("- {name: batch_seconds_sum, count: order_paid}", "salepulse has a metric"),
        ("- {name: a, sum: tip}", "the others need `of`"),
        ("- {name: a, sum: tip, max: tip, of: order_paid}", "found sum and max"),
        ("- {name: a, sun: tip, of: order_paid}", "there is no field `sun` here: do you mean `sum`?"),
        ("- {name: a, count: order_paid, public: false}", "there is no field `public` here"),
    ],
)
def test_faults_of_measures(line: str, part: str) -> None:
    if "sun:" in line:
        assert any(part in found for found in faults(f"version: 1\nmeasures:\n  {line}\n"))
        return
    assert part in fault(f"measures:\n  {line}")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("- {name: aov, formula: gmv / units}", "`aov` is the name of a built-in number already"),
        ("- {name: a, formula: gmvv / units}", "there is no number `gmvv`: do you mean `gmv`?"),
        ("- {name: a, formula: a + 1}", "the formula needs itself: a -> a"),
        ("- {name: a, formula: gmv, good: more}", "`good`: write one of up or down"),
        ("- {name: a, formula: gmv / (}", "the formula ends where"),
        ("- {name: a, formula: 1 / 2}", "the formula has no name"),
        ("- {name: a, formula: stock_available / unshipped_orders}", "no dimension has all of"),
        ("- {name: a, formula: discounts / gmv, scopes: [sku]}", "the formula has no value in `sku`"),
    ],
)
def test_faults_of_metrics(line: str, part: str) -> None:
    assert part in fault(f"metrics:\n  {line}")


def test_an_own_field_must_not_be_one_of_the_contract() -> None:
    for topic, name in (("orders", "qty"), ("orders", "ts"), ("clicks", "channel")):
        found = faults(f"version: 1\nfields:\n  {topic}:\n    {name}: label\n")
        assert found == [f"4: events of {topic} have a field `{name}` already: remove it, or rename your own"]


def test_a_fault_is_reported_once_and_not_where_its_name_is_used() -> None:
    text = """\
version: 1
dimensions:
  - {name: bank, field: bnak}
  - {name: both, cross: [bank, region]}
measures:
  - {name: a, count: order_payd}
  - {name: b, count: order_paid, scopes: [both]}
metrics:
  - {name: c, formula: a / gmv}
  - {name: d, formula: c * b}
  - {name: e, formula: f + 1}
  - {name: f, formula: e + 1}
"""
    assert [found.partition(":")[0] for found in faults(text)] == ["3", "6", "11", "12"]


def test_limits() -> None:
    dimensions = "".join(f"  - {{name: d{i}, clock: hour}}\n" for i in range(65))
    assert faults(f"version: 1\ndimensions:\n{dimensions}") == [
        "67: there are more than 64 own dimensions: remove some"
    ]
    measures = "".join(f"  - {{name: m{i}, count: order_paid}}\n" for i in range(129))
    assert len(faults(f"version: 1\nmeasures:\n{measures}")) == 1
    fields = ", ".join(f"f{i}: label" for i in range(65))
    assert faults(f"version: 1\nfields:\n  orders: {{{fields}}}\n") == [
        "3: there are more than 64 own fields of orders: remove some"
    ]
    maxima = "".join(f"  - {{name: m{i}, max: amount, of: order_paid}}\n" for i in range(65))
    assert len(faults(f"version: 1\nmeasures:\n{maxima}")) == 1


def test_fields_of_the_second_version_of_the_contract_need_no_declaration() -> None:
    model = compiled(
        """\
version: 1
fields: {orders: {bank: label}}
dimensions: [{name: app, field: app_version}]
measures:
  - {name: cod_orders, count: order_paid, where: {payment_type: cod}}
  - {name: load, quantiles: load_ms, of: page_view}
"""
    )
    assert model.own_fields == {
        Topic.CLICKS: {"app_version": FieldType.LABEL, "load_ms": FieldType.MILLISECONDS},
        Topic.ORDERS: {
            "app_version": FieldType.LABEL, "payment_type": FieldType.LABEL, "bank": FieldType.LABEL
        },
    }  # fmt: skip
    assert "payment_type" in model.decoder.struct(Topic.ORDERS).__struct_fields__
    assert compiled("version: 1\n").decoder is BUILT_IN.decoder is CONTRACT
    declared = "version: 1\nfields:\n  orders:\n    payment_type: {}\n"
    assert faults(declared.format("label")) == []
    assert faults(declared.format("count")) == [
        "4: `payment_type` of orders is a label in the contract: write that, or rename your own"
    ]


def test_a_name_that_is_declared_twice_is_one_fault() -> None:
    entries = {
        "dimensions": "field: bank",
        "measures": "count: order_paid",
        "metrics": "formula: gmv / units",
    }
    for section, entry in entries.items():
        text = f"version: 1\nfields: {{orders: {{bank: label}}}}\n{section}:\n" + f"  - {{name: a, {entry}}}\n" * 2
        assert [found.partition(": ")[0] for found in faults(text)] == ["5"]
    several = "version: 1\nmeasures:\n  - {name: a, count: order_paid}\nmetrics:\n  - {name: a, formula: gmv / units}\n"
    assert faults(several) == ["5: `a` is the name of another number already: choose another name"]
    answers = (
        "version: 1\nmeasures:\n  - {name: l, quantiles: load_ms, of: page_view}\n  - {name: l_p50, count: search}\n"
    )
    assert [found.partition(": ")[0] for found in faults(answers)] == ["4"]


def test_a_file_that_is_no_mapping_is_one_fault() -> None:
    assert faults("- 1\n") == ["1: no mapping: write `version: 1`"]


def test_the_quantiles_of_a_measure_are_named_in_formulas() -> None:
    measure = "measures: [{name: l, quantiles: load_ms, of: page_view}]"
    assert faults(f"version: 1\n{measure}\nmetrics:\n  - {{name: a, formula: l / 2}}\n") == [
        "4: `l` has quantiles: write `l_p50`, `_p90`, `_p95` or `_p99`"
    ]


def test_names_have_one_line() -> None:
    assert len(faults('version: 1\ndimensions:\n  - {name: "a\\n", field: region}\n')) == 1
