"""Models as a store keeps them: compiled again they are equal, and what did not change keeps its id and time."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.compiling import NOT_COUNTED_MS
from streams.dictionary.definitions import StoredName, StoredNames
from streams.dictionary.file import read_model_file
from streams.dictionary.fingerprint import fingerprint_of
from streams.dictionary.types import Model
from streams.dictionary.wire import (
    WireError,
    WireModel,
    assign_names,
    counted_from,
    from_wire,
    not_counted,
    to_wire,
)
from tests.streams.dictionary.test_file import EXAMPLE

ZONE = "Asia/Shanghai"
BEFORE = counted_from(assign_names(BUILT_IN, ZONE, StoredNames()), None)
"""The names of a store without own ones."""


def compiled(text: str, exponent: int = 2) -> Model:
    model = read_model_file(text, exponent=exponent).model
    assert model is not None
    return model


def stored(text: str, names: StoredNames, exponent: int = 2) -> WireModel:
    read = read_model_file(text, exponent=exponent)
    assert read.model is not None
    assert read.definitions is not None
    wire = to_wire(read.model, read.definitions, names, exponent=exponent, timezone=ZONE)
    return msgspec.json.decode(msgspec.json.encode(wire), type=WireModel)


def changed(text: str, names: StoredNames) -> StoredNames:
    return assign_names(compiled(text), ZONE, names)


@pytest.mark.parametrize("exponent", [0, 2, 3])
def test_a_stored_model_compiles_to_an_equal_one(exponent: int) -> None:
    text = EXAMPLE.replace("100.00", "100")
    model = compiled(text, exponent)
    names = counted_from(assign_names(model, ZONE, BEFORE), None)
    read = from_wire(stored(text, names, exponent), generation=3)
    assert read.faults == ()
    assert (read.model.generation, read.model.fingerprint) == (3, fingerprint_of(model, ZONE))
    assert fingerprint_of(read.model, ZONE) == read.model.fingerprint
    for found, expected in ((read.model.dimensions, model.dimensions), (read.model.measures, model.measures)):
        assert [replace(part, id=0) for part in found.values()] == [replace(part, id=0) for part in expected.values()]
    assert {name: dimension.id for name, dimension in read.model.dimensions.items()} == {
        name: stored_name.id for name, stored_name in names.dimensions.items()
    }
    assert read.model.names == model.names
    assert read.model.own_fields == model.own_fields


def test_names_are_not_counted_until_the_change_is_complete() -> None:
    names = changed(EXAMPLE, BEFORE)
    assert set(not_counted(names)) == (compiled(EXAMPLE).dimensions.keys() - BUILT_IN.dimensions.keys()) | (
        compiled(EXAMPLE).measures.keys() - BUILT_IN.measures.keys()
    )
    during = from_wire(stored(EXAMPLE, names)).model
    assert {"tips", "tip_rate", "load_p99"} <= during.missing("all", 10**13)
    assert "gmv" not in during.missing("all", 0)
    assert "gmv" in during.missing("store", 10**13)
    after = from_wire(stored(EXAMPLE, counted_from(names, 60_000))).model
    assert after.measures["tips"].since_ms == after.metrics["tip_rate"].since_ms == 60_000
    assert after.missing("all", 60_000) == frozenset()
    assert {"tips", "tip_rate"} <= after.missing("all", 59_999)


def test_what_did_not_change_keeps_its_id_and_time() -> None:
    first = counted_from(changed(EXAMPLE, BEFORE), 1_000)
    text = EXAMPLE.replace("  - {name: tips, sum: tip, of: order_paid, unit: money}\n", "").replace(
        "tips", "cod_orders"
    )
    text = text.replace("where: {payment_type: cod}", "where: {payment_type: cash}")
    names = changed(text, first)
    assert not_counted(names) == ("cod_orders",)
    used = {first.measures[name].id for name in ("tips", "cod_orders", "paid_elsewhere")}
    assert names.measures["cod_orders"].id not in used
    assert names.measures["paid_elsewhere"] == first.measures["paid_elsewhere"]
    assert "tips" not in names.measures
    again = changed(EXAMPLE, counted_from(names, 2_000))
    assert set(not_counted(again)) == {"tips", "cod_orders"}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("bank: label, ", "bank: flag, ", {"bank", "bank_hour"}),
        ("tip: money", "tip: count", {"tips"}),
        ("300.00", "301", {"price_band"}),
        ("[all, region]", "[all]", {"app_buyers"}),
        ("cod}", "[cod, cash]}", {"cod_orders"}),
        ("{store: label, load_ms", "{load_ms", {"store"}),
        ("{name: bank, field: bank}", "{name: bank, field: bank, distincts: true}", {"bank", "bank_hour"}),
        ("unit: money", "unit: count, about: tips", set()),
        ("tips / gmv", "gmv / tips", set()),
        ("measures:\n", "  - {name: device, field: device}\nmeasures:\n", {"device"}),
        ("metrics:\n", "  - {name: again, max: amount, of: order_paid}\nmetrics:\n", {"again"}),
    ],
)
def test_a_name_is_new_if_it_counts_something_else(old: str, new: str, changes: set[str]) -> None:
    assert old in EXAMPLE
    first = counted_from(changed(EXAMPLE, BEFORE), 1_000)
    names = changed(EXAMPLE.replace(old, new), first)
    assert set(not_counted(names)) == changes


def test_hours_count_something_else_in_another_time_zone() -> None:
    first = counted_from(changed(EXAMPLE, BEFORE), 1_000)
    assert set(not_counted(assign_names(compiled(EXAMPLE), "UTC", first))) == {"hour", "bank_hour"}


def test_a_condition_on_a_dimension_changes_with_it() -> None:
    text = """\
version: 1
fields: {orders: {tip: money}}
dimensions: [{name: tip_band, bands: tip, edges: [0, 5], labels: [low, high]}]
measures: [{name: good_tips, count: order_paid, where: {tip_band: high}}]
"""
    first = counted_from(changed(text, BEFORE), 1_000)
    assert set(not_counted(changed(text.replace("[0, 5]", "[0, 6]"), first))) == {"tip_band", "good_tips"}


def test_all_ids_may_change_at_once() -> None:
    many = "version: 1\nmeasures:\n" + "".join(f"  - {{name: m{i}, count: order_paid}}\n" for i in range(128))
    first = counted_from(changed(many, BEFORE), 1_000)
    names = changed(many.replace("order_paid", "order_created"), first)
    assert sorted(names.measures[f"m{i}"].id for i in range(128)) == list(range(128, 256))


def test_built_in_names_that_no_worker_counts_are_missing() -> None:
    names = StoredNames(BEFORE.dimensions, {n: s for n, s in BEFORE.measures.items() if n != "searches"})
    read = from_wire(stored("version: 1\n", names))
    assert read.faults == ()
    assert read.model.missing("all", 10**13) == {"searches"}


def test_what_another_release_wrote_is_left_out_or_refused() -> None:
    definitions = b'{"measures":[{"name":"a","count":"order_paid"},{"name":"b","count":"order_split"}]}'
    names = StoredNames(BEFORE.dimensions, {**BEFORE.measures, "a": StoredName(128, "x"), "b": StoredName(129, "y")})
    wire = WireModel(fingerprint="f", exponent=2, definitions=msgspec.Raw(definitions), names=names)
    read = from_wire(wire)
    assert "a" in read.model.measures
    assert [path for path, _ in read.faults] == [("measures", 1, "count")]
    unknown = WireModel(fingerprint="f", exponent=2, definitions=msgspec.Raw(b'{"funnels":[]}'), names=names)
    with pytest.raises(WireError, match="update it"):
        from_wire(unknown)


def test_the_hash_of_a_definition_does_not_depend_on_the_release() -> None:
    """They are in stores: a change here makes every window before an upgrade null."""
    names = changed(EXAMPLE, BEFORE)
    chosen = [names.dimensions[name] for name in ("channel", "price_band", "bank_hour")]
    chosen += [names.measures[name] for name in ("gmv", "cod_orders", "app_buyers", "load")]
    assert [stored.definition for stored in chosen] == [
        "decbc05dae09bf75",
        "73a03b70885e84b7",
        "6efece607860bc45",
        "cb137123687ac69b",
        "516d3c0568224521",
        "8c3e5607dd6dc677",
        "b509319afc41ba36",
    ]
    assert names.measures["tips"].since_ms == NOT_COUNTED_MS
