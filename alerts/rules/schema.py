"""The JSON Schema of rule files, for editors. `python -m alerts.rules.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alerts.rules.rule import Rules
from consumers.contract.schemas import DIALECT, FOLDER

NAME = "rules.schema.json"


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema. Durations and shares may also be text with a unit."""
    return {"$schema": DIALECT, **_written(Rules.model_json_schema())}


def write_schema(folder: Path = FOLDER / "alerts") -> Path:
    """Write the schema to the folder; return the path."""
    path = folder / NAME
    path.write_text(json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _written(node: Any) -> Any:
    """Allow units for numbers, and one counter instead of a list."""
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
