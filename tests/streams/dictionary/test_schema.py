"""The JSON Schema of files of models matches their models."""

from __future__ import annotations

import json

from consumers.contract.schemas import FOLDER
from tests.tools.model_schema import NAME, model_schema


def test_the_schema_file_matches_the_models() -> None:
    """Run `python -m tests.tools.model_schema` after a change to the models of the file."""
    assert json.loads((FOLDER / NAME).read_text(encoding="utf-8")) == model_schema()


def test_short_forms_and_numbers_are_allowed() -> None:
    schema = model_schema()
    assert schema["properties"]["version"]["enum"] == [1, "1"]
    entry = schema["$defs"]["DimensionEntry"]["properties"]
    assert {"type": "number"} in entry["edges"]["items"]["anyOf"]
    where = schema["$defs"]["MeasureEntry"]["properties"]["where"]["additionalProperties"]["anyOf"]
    assert [form.get("type", form.get("$ref")) for form in where] == [
        "#/$defs/WhereEntry", ["string", "number", "boolean"], "array"
    ]  # fmt: skip
