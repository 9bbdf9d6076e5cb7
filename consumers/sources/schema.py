"""The JSON Schema of files of sources, for editors. `python -m consumers.sources.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consumers.contract.schemas import DIALECT, FOLDER
from consumers.sources.file import SourceFile

NAME = "sources.schema.json"


def source_schema() -> dict[str, Any]:
    """Return the JSON Schema. Text may also be a number or a boolean, as YAML is read as written."""
    schema = as_written(SourceFile.model_json_schema())
    alternatives = schema["$defs"]["FieldMap"]["properties"]["or"]
    alternatives["anyOf"].append({"type": "string"})
    return {"$schema": DIALECT, **schema}


def write_schema(folder: Path = FOLDER) -> Path:
    """Write the schema to the folder; return the path."""
    path = folder / NAME
    path.write_text(json.dumps(source_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def as_written(node: Any) -> Any:
    """A schema for YAML that is read as written: a text may look like a number or a boolean."""
    if isinstance(node, list):
        return [as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: as_written(value) for name, value in node.items()}
    if node.get("const") == "1":
        return {"description": "The version of the format.", "enum": [1, "1"]}
    if node.get("type") == "string" and "enum" not in node and "pattern" not in node:
        return {**node, "type": ["string", "number", "boolean"]}
    return node


if __name__ == "__main__":
    write_schema()
