"""What events count by a model: terms with conditions, in some dimensions only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from consumers.topics import EVENT_TOPICS, Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import FieldCondition, MeasureKind, Model, ModelMeasure
from streams.fold.columns import read_columns
from streams.fold.fold import fold
from streams.fold.plan import NO_SLOT, TYPE_NAMES, plan_of
from streams.panes.rows import RowIndex

FREE_ID = 40
TS = 1_762_776_000_000


def model_with(measure: ModelMeasure) -> Model:
    return replace(BUILT_IN, measures={**BUILT_IN.measures, measure.name: measure})


def order(number: int, **fields: object) -> bytes:
    items = fields.pop("items", [{"sku": "tea", "category": "food", "qty": 2, "unit_price": 500}])
    event = {
        "event_id": f"e{number}",
        "type": "order_paid",
        "ts": TS + number,
        "order_id": f"o{number}",
        "user_id": f"u{number}",
        "region": "east",
        "channel": "app",
        "amount": 1000,
        "items": items,
    }
    return json.dumps(event | fields).encode()


def counted(model: Model, values: Sequence[bytes], counter: int = FREE_ID) -> Mapping[tuple[str, str], int]:
    rows = RowIndex(model)
    columns, rejected = read_columns(Topic.ORDERS, values, rows)
    assert rejected == []
    cells = fold(columns, rows).cells
    which = np.flatnonzero(cells.counters == counter)
    return {rows.labels[row]: int(n) for row, n in zip(cells.rows[which], cells.amounts[which], strict=True)}


@pytest.mark.parametrize("topic", EVENT_TOPICS)
def test_each_built_in_counter_of_the_fold_has_one_place(topic: Topic) -> None:
    plan = plan_of(BUILT_IN, topic)
    of_types = plan.type_slots[plan.type_slots != NO_SLOT].tolist()
    slots = {*of_types, *(slot for group in plan.counters for slot, _ in group.terms)}
    assert sorted(slots) == list(range(len(plan.counter_ids)))
    ids = {each.id for each in BUILT_IN.counters if each.topic is topic and not each.source}
    assert set(plan.counter_ids.tolist()) == ids
    for name, slot in zip(TYPE_NAMES[topic], plan.type_slots.tolist(), strict=True):
        if slot != NO_SLOT:
            assert next(each for each in BUILT_IN.counters if each.id == plan.counter_ids[slot]).event_type == name


def test_a_count_with_a_condition_counts_each_order_once_per_value() -> None:
    condition = FieldCondition("channel", frozenset({"app", "mini"}))
    scopes = frozenset({"all", "region", "category", "sku"})
    measure = ModelMeasure(
        FREE_ID, "app_orders", MeasureKind.COUNT, Topic.ORDERS, ("order_paid",), where=(condition,), scopes=scopes
    )
    two = [
        {"sku": "tea", "category": "food", "qty": 1, "unit_price": 500},
        {"sku": "jam", "category": "food", "qty": 1, "unit_price": 500},
    ]
    values = [order(1, items=two), order(2, channel="web"), order(3, type="order_created"), order(4, region=None)]
    assert counted(model_with(measure), values) == {
        ("all", ""): 2,
        ("region", "east"): 1,
        ("category", "food"): 2,
        ("sku", "tea"): 2,
        ("sku", "jam"): 1,
    }


@pytest.mark.parametrize(("negated", "expected"), [(False, 300), (True, 700)])
def test_a_sum_of_orders_whose_field_is_absent_or_given(negated: bool, expected: int) -> None:
    condition = FieldCondition("campaign", frozenset({""}), negated=negated)
    measure = ModelMeasure(
        FREE_ID,
        "given",
        MeasureKind.SUM,
        Topic.ORDERS,
        ("order_paid",),
        "discount",
        (condition,),
        frozenset({"all", "channel"}),
    )
    values = [order(1, discount=300), order(2, discount=700, campaign="c1"), order(3, campaign="c2")]
    assert counted(model_with(measure), values) == {("all", ""): expected, ("channel", "app"): expected}


def test_absent_flags_are_false() -> None:
    values = [order(1, member=True), order(2, member=False), order(3)]
    found = {}
    for text in ("true", "false"):
        condition = FieldCondition("member", frozenset({text}))
        measure = ModelMeasure(
            FREE_ID, "m", MeasureKind.COUNT, Topic.ORDERS, ("order_paid",), "", (condition,), frozenset({"all"})
        )
        found[text] = counted(model_with(measure), values)
    assert found == {"true": {("all", ""): 1}, "false": {("all", ""): 2}}


def test_conditions_on_one_text_and_on_two_that_spell_it_differ() -> None:
    found = {}
    for name, texts in (("one", {"a|b"}), ("two", {"a", "b"})):
        condition = FieldCondition("region", frozenset(texts))
        found[name] = ModelMeasure(
            FREE_ID + len(found),
            name,
            MeasureKind.COUNT,
            Topic.ORDERS,
            ("order_paid",),
            "",
            (condition,),
            frozenset({"all"}),
        )
    plan = plan_of(replace(BUILT_IN, measures={**BUILT_IN.measures, **found}), Topic.ORDERS)
    added = set(plan.selections) - set(plan_of(BUILT_IN, Topic.ORDERS).selections)
    assert len(added) == 2
