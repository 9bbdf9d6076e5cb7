"""The compiled model and its oracle agree on which numbers exist in which dimension."""

from __future__ import annotations

import pytest

from streams.dictionary.file import read_model_file
from tests.streams.dictionary.test_file import EXAMPLE
from tests.support.model_oracle import ModelOracle
from tests.support.test_model_oracle import MODEL

OF_CODE = ("unshipped_orders",)
"""Metrics of the example that need numbers which the oracle does not have."""
TEXTS = {
    "example": "\n".join(row for row in EXAMPLE.splitlines() if not any(name in row for name in OF_CODE)),
    "oracle": MODEL,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_same_numbers_exist(text: str) -> None:
    oracle, model = ModelOracle(text), read_model_file(text, exponent=2).model
    assert model is not None
    assert set(model.dimensions) == set(oracle.dimensions)
    for scope, dimension in model.dimensions.items():
        assert {topic.value for topic in dimension.topics} == oracle.topics_of(scope)
        assert dimension.by_line == oracle.is_by_line("orders", scope)
        expected = {name for name in oracle.measures if oracle.exists(name, scope)}
        assert {name for name in oracle.measures if scope in model.measures[name].scopes} == expected, scope
        null = oracle.ask("5m", 1_700_000_000_000, scope, "")
        for name in oracle.metrics:
            if scope not in model.metrics[name].scopes:
                assert null[name] is None, (scope, name)
