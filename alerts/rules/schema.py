"""A rule file as JSON Schema, for editors: `python -m alerts.rules.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alerts.rules.rule import Rules
from consumers.contract.schemas import DIALECT, FOLDER

NAME = "rules.schema.json"


def rule_schema() -> dict[str, Any]:
    """The JSON Schema of a rule file. Times and shares may also be text with a unit."""
    return {"$schema": DIALECT, **_written(Rules.model_json_schema())}


def write_schema(folder: Path = FOLDER / "alerts") -> Path:
    """Write `rule_schema` to the folder; return the file."""
    path = folder / NAME
    path.write_text(json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _written(node: Any) -> Any:
    """Numbers may be written with a unit, and one counter without a list."""
    if isinstance(node, list):
        return [_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _written(value) for name, value in node.items()}
    if node.get("type") == "number":
        return {**node, "type": ["number", "string"]}
    return node


if __name__ == "__main__":
    write_schema()
