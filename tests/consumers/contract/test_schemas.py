"""The JSON Schema files say what the models say."""

from __future__ import annotations

import json

from consumers.contract.schemas import FOLDER, event_schemas


def test_the_files_are_what_the_models_give() -> None:
    """Run `python -m consumers.contract.schemas` after a change to the contract's models."""
    found = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    assert found == event_schemas()


def test_what_one_type_requires_is_in_the_schema() -> None:
    rules = event_schemas()["orders.schema.json"]["allOf"]
    assert rules[0]["if"]["properties"]["type"] == {"const": "order_refunded"}
    assert rules[0]["then"]["required"] == ["refund_amount"]
