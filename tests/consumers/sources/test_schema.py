"""The JSON Schema file matches the models."""

from __future__ import annotations

import json

from consumers.contract.schemas import FOLDER
from consumers.sources.schema import NAME, source_schema


def test_the_schema_file_matches_the_models() -> None:
    """Run `python -m consumers.sources.schema` after a change to the models of sources."""
    assert json.loads((FOLDER / NAME).read_text(encoding="utf-8")) == source_schema()


def test_short_forms_are_allowed() -> None:
    defined = source_schema()["$defs"]
    conditions = defined["EventMap"]["properties"]["when"]["anyOf"][0]["additionalProperties"]
    assert [form.get("type", form.get("$ref")) for form in conditions["anyOf"]] == [
        "#/$defs/ValueCondition", ["string", "number", "boolean"], "array"
    ]  # fmt: skip
    assert {"type": "string"} in defined["FieldMap"]["properties"]["or"]["anyOf"]
