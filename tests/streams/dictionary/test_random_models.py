"""Random models: the compiled model and its oracle agree, formulas are those of fractions, and all forms are equal."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.topics import Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.definitions import StoredNames
from streams.dictionary.file import read_model_file
from streams.dictionary.fingerprint import fingerprint_of
from streams.dictionary.generated import generate_values
from streams.dictionary.showing import yaml_of
from streams.dictionary.types import Model
from streams.dictionary.wire import WireModel, assign_names, counted_from, from_wire, not_counted, to_wire
from tests.support.events import ms
from tests.support.model_oracle import ModelOracle
from tests.support.random_models import random_events, random_model

seeds = given(seed=st.integers(0, 10**9))
CODED = {metric.name: (("nothing",), lambda _: 0) for metric in BUILT_IN.metrics.values() if metric.source}


def compiled(text: str) -> Model:
    read = read_model_file(text, exponent=2)
    assert read.model is not None, (text, read.errors)
    return read.model


@seeds
@settings(max_examples=30, deadline=None)
def test_the_same_numbers_exist_in_the_same_dimensions(seed: int) -> None:
    text = random_model(Random(seed))
    oracle, model = ModelOracle(text), compiled(text)
    assert set(model.dimensions) == set(oracle.dimensions)
    for scope, dimension in model.dimensions.items():
        assert {topic.value for topic in dimension.topics} == oracle.topics_of(scope)
        assert dimension.by_line == oracle.is_by_line("orders", scope)
        expected = {name for name in oracle.measures if oracle.exists(name, scope)}
        assert {name for name in oracle.measures if scope in model.measures[name].scopes} == expected


@seeds
@settings(max_examples=15, deadline=None)
def test_events_of_the_model_are_valid_and_formulas_are_those_of_fractions(seed: int) -> None:
    rng = Random(seed)
    text = random_model(rng)
    model, events = compiled(text), random_events(rng, text, 30)
    for topic, found in events.items():
        assert model.decoder.decode_batch(Topic(topic), [json.dumps(event).encode() for event in found]).rejected == []
    oracle = ModelOracle(text, **events)
    for scope in ("all", *rng.sample([*model.dimensions][1:], 2)):
        for value in ["", *sorted(oracle.values("15m", ms(600), scope))][: 1 if scope == "all" else 3]:
            answers = oracle.ask("15m", ms(600), scope, value)
            sums = {name: answers[name] for name in answers.keys() - oracle.metrics.keys() if answers[name] is not None}
            got = generate_values(model, scope, CODED)({name: int(number or 0) for name, number in sums.items()})
            for name in oracle.metrics:
                number = answers[name]
                if number is None or abs(number) >= 2**63:
                    assert got[name] is None, (name, scope, value)
                else:
                    given_number = got[name]
                    assert given_number is not None, (name, scope, value)
                    assert abs(Fraction(given_number) - number) <= abs(number) * Fraction(1, 10**9) + Fraction(1, 10**6)


@seeds
@settings(max_examples=20, deadline=None)
def test_stored_and_shown_models_are_the_same(seed: int) -> None:
    text = random_model(Random(seed))
    read, model = read_model_file(text, exponent=2), compiled(text)
    assert read.definitions is not None
    before = counted_from(assign_names(BUILT_IN, "UTC", StoredNames()), None)
    names = assign_names(model, "UTC", before)
    assert set(not_counted(names)) == {*model.dimensions, *model.measures} - {*BUILT_IN.dimensions, *BUILT_IN.measures}
    wire = to_wire(model, read.definitions, names, exponent=2, timezone="UTC")
    again = from_wire(msgspec.json.decode(msgspec.json.encode(wire), type=WireModel))
    assert again.faults == ()
    assert fingerprint_of(again.model, "UTC") == wire.fingerprint == fingerprint_of(model, "UTC")
    assert assign_names(again.model, "UTC", names) == names
    shown = yaml_of(model, read.definitions)
    own = "\n".join(line for line in shown.splitlines() if "# built in" not in line)
    assert fingerprint_of(compiled(own), "UTC") == wire.fingerprint
    assert yaml.safe_load(shown)["dimensions"][0] == {"name": "all"}
