"""The JSON Schema of files of models, for editors. `python -m tests.tools.model_schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consumers.contract.schemas import DIALECT, FOLDER
from consumers.sources.schema import as_written
from streams.dictionary.file import ModelFile

NAME = "model.schema.json"


def model_schema() -> dict[str, Any]:
    """Return the JSON Schema. Text may also be a number or a boolean, as YAML is read as written."""
    schema = as_written(ModelFile.model_json_schema())
    edges = schema["$defs"]["DimensionEntry"]["properties"]["edges"]
    edges["items"] = {"anyOf": [edges["items"], {"type": "number"}]}
    return {"$schema": DIALECT, **schema}


def write_schema(folder: Path = FOLDER) -> Path:
    """Write the schema to the folder; return the path."""
    path = folder / NAME
    path.write_text(json.dumps(model_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    write_schema()
