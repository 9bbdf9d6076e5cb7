"""What a model of the shop's own counts, compared with its oracle."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.topics import Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.file import read_model_file
from streams.dictionary.types import Model
from streams.fold.delta import PaneDelta, merge
from streams.fold.fold import fold
from streams.panes.rows import RowIndex
from streams.panes.sketches import REGISTERS, estimate_all
from tests.streams.plain import plain
from tests.support.events import click, columns_of, line, ms, paid
from tests.support.model_oracle import ModelOracle
from tests.support.random_models import random_events, random_model

ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")


def compiled(text: str) -> Model:
    read = read_model_file(text, exponent=2)
    assert read.model is not None, read.errors
    return read.model


def answers(delta: PaneDelta, rows: RowIndex) -> dict[tuple[str, str], dict[str, int]]:
    """# <(dimension, value): <measure: number over all panes>>"""
    sums, registers, *_ = plain(delta, rows)
    names = {measure.id: measure.name for measure in rows.model.counters}
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (_, label, counter), amount in sums.items():
        if label[0] in rows.model.dimensions:
            found[label][names[counter]] += amount
    united: dict[Any, dict[int, int]] = defaultdict(dict)
    for (_, label, distinct), ranks in registers.items():
        union = united[label, distinct]
        union |= {register: max(rank, union.get(register, 0)) for register, rank in ranks.items()}
    ids = {measure.id: measure.name for measure in rows.model.distincts}
    for (label, distinct), ranks in united.items():
        histogram = np.bincount(list(ranks.values()), minlength=64).astype(np.int64)
        histogram[0] = REGISTERS - len(ranks)
        found[label][ids[distinct]] = int(estimate_all(histogram[np.newaxis])[0])
    return found


def assert_folds_as(oracle: ModelOracle, delta: PaneDelta, rows: RowIndex) -> None:
    found, at = answers(delta, rows), ms(86_000)
    by_scope: dict[str, set[str]] = defaultdict(set)
    for scope, value in found:
        by_scope[scope].add(value)
    for scope in {*rows.model.dimensions} - {*BUILT_IN.dimensions} | {"all", "category"}:
        values = by_scope[scope] | set(sorted(values_of(oracle, scope))[:4])
        for value in sorted(values)[:8]:
            expected = oracle.ask("24h", at, scope, value)
            for measure in (*rows.model.counters, *rows.model.distincts):
                if measure.source or not measure.public or scope not in measure.scopes:
                    continue
                number, got = expected[measure.name], found[scope, value].get(measure.name, 0)
                exact = float(number or 0)
                slack = max(1, 0.02 * exact) if measure in rows.model.distincts else 0
                assert abs(got - exact) <= slack, (scope, value, measure.name, got, number)


def values_of(oracle: ModelOracle, scope: str) -> set[str]:
    return {
        value
        for topic, found in oracle.events.items()
        for event in found
        for value in oracle._groups(topic, event, scope)
    }


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**9), zone=st.sampled_from(ZONES), batches=st.integers(1, 3))
def test_random_models_count_as_their_oracle(seed: int, zone: str, batches: int) -> None:
    rng = Random(seed)
    text = random_model(rng)
    events: Any = random_events(rng, text, 40, seconds=80_000)
    rows = RowIndex(compiled(text), zone)
    parts = [
        fold(columns_of(Topic(topic), found[i::batches], rows), rows)
        for topic, found in events.items()
        for i in range(batches)
    ]
    assert_folds_as(ModelOracle(text, **events, timezone=zone), merge(parts), rows)


def folded(dimensions: str, *events: dict[str, Any], timezone: str = "UTC") -> dict[str, dict[str, int]]:
    """# <value of the dimension `own`: numbers>"""
    rows = RowIndex(compiled(f'version: "1"\ndimensions:\n{dimensions}'), timezone)
    by_topic: dict[Topic, list[Any]] = {Topic.CLICKS: [], Topic.ORDERS: []}
    for event in events:
        by_topic[Topic.ORDERS if "items" in event else Topic.CLICKS].append(event)
    delta = merge([fold(columns_of(topic, found, rows), rows) for topic, found in by_topic.items()])
    return {value: dict(numbers) for (scope, value), numbers in answers(delta, rows).items() if scope == "own"}


def test_a_band_holds_its_lower_edge_and_nothing_below_the_first() -> None:
    bands = "  - {name: own, bands: dwell_ms, edges: [10, 20], labels: [low, high]}"
    events = [click(dwell_ms=dwell) for dwell in (9, 10, 19, 20, 10**9)]
    counted = folded(bands, *events, click())
    assert {value: numbers["page_views"] for value, numbers in counted.items()} == {"low": 2, "high": 2}


def test_an_order_counts_in_each_band_of_its_lines() -> None:
    bands = "  - {name: own, bands: unit_price, edges: [0, 100], labels: [cheap, dear]}"
    items = [line(qty=2, unit_price=9_999), line(unit_price=1), line(unit_price=10_000)]
    counted = folded(bands, paid(items=items))
    seen = {value: [numbers[name] for name in ("orders_paid", "units", "gmv")] for value, numbers in counted.items()}
    assert seen == {"cheap": [1, 3, 19_999], "dear": [1, 1, 10_000]}


@pytest.mark.parametrize(
    ("timezone", "hour"), [("UTC", "0"), ("Asia/Kathmandu", "5"), ("America/New_York", "19"), ("Asia/Shanghai", "8")]
)
def test_the_hour_is_that_of_the_shop(timezone: str, hour: str) -> None:
    assert list(folded("  - {name: own, clock: hour}", click(at=0), timezone=timezone)) == [hour]


def test_an_hour_that_the_clock_repeats_holds_both() -> None:
    back = 1_699_164_000 - 1_699_660_800  # New York, 2023-11-05 02:00 becomes 01:00
    events = [click(at=back - 1), click(at=back), click(at=back + 3600)]
    counted = folded("  - {name: own, clock: hour}", *events, timezone="America/New_York")
    assert {hour: numbers["page_views"] for hour, numbers in counted.items()} == {"1": 2, "2": 1}


def test_a_crossing_joins_its_parts_and_needs_all_of_them() -> None:
    crossing = "  - {name: own, cross: [region, channel]}"
    labels: list[Any] = [
        {"region": "a|b", "channel": "c"},
        {"region": "a", "channel": "b|c"},
        {"region": "a"},
        {"channel": "c"},
    ]
    assert list(folded(crossing, *(click(**given) for given in labels))) == [r"a\|b|c", r"a|b\|c"]


def test_a_crossing_of_four_parts_counts_each_combination_once() -> None:
    crossing = "  - {name: own, cross: [region, channel, variant, category]}"
    rng = Random(4)
    events: list[Any] = []
    expected: dict[str, int] = defaultdict(int)
    for _ in range(300):
        values = [f"{name}{rng.randrange(3)}" for name in "rcvk"]
        expected["|".join(values)] += 1
        fields: Any = dict(zip(("region", "channel", "variant", "category"), values, strict=True))
        events.append(click(**fields))
    counted = folded(crossing, *events)
    assert {value: numbers["page_views"] for value, numbers in counted.items()} == expected


def test_the_lines_of_an_order_cross_its_region() -> None:
    crossing = "  - {name: own, cross: [region, category]}"
    items = [line(category="toys", qty=2), line(category="toys"), line(category="food"), line()]
    counted = folded(crossing, paid(region="east", items=items), paid(items=items))
    seen = {value: [numbers["orders_paid"], numbers["units"]] for value, numbers in counted.items()}
    assert seen == {"east|toys": [1, 3], "east|food": [1, 1]}


def test_a_dimension_that_no_event_has_costs_no_cell() -> None:
    dimensions = "  - {name: own, field: device}"
    assert folded(dimensions, click(region="east"), paid()) == {}
