"""The JSON Schema file matches the models."""

from __future__ import annotations

import json

from alerts.rules.schema import NAME, rule_schema
from consumers.contract.schemas import FOLDER


def test_the_schema_file_matches_the_models() -> None:
    """Run `python -m alerts.rules.schema` after a change to the models of rules."""
    assert json.loads((FOLDER / "alerts" / NAME).read_text(encoding="utf-8")) == rule_schema()
