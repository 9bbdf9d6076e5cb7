"""The JSON Schema files match the models."""

from __future__ import annotations

import json

from consumers.contract.schemas import FOLDER, event_schemas
from consumers.sources.schema import NAME as SOURCES
from tests.tools.model_schema import NAME as MODEL


def test_the_schema_files_match_the_models() -> None:
    """Run `python -m consumers.contract.schemas` after a change to the contract's models."""
    wanted = event_schemas()
    assert {name: json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in wanted} == wanted
    assert {path.name for path in FOLDER.glob("*.json")} == {*wanted, SOURCES, MODEL}


def test_the_schema_has_the_required_fields_of_each_type() -> None:
    rules = event_schemas()["orders.schema.json"]["allOf"]
    assert rules[0]["if"]["properties"]["type"] == {"const": "order_refunded"}
    assert rules[0]["then"]["required"] == ["refund_amount"]
