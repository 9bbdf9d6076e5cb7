"""The event contract as JSON Schema; `python -m consumers.contract.schemas` writes the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from consumers.contract.events import (
    EVENT_MODELS,
    EVENT_TYPES,
    OPTIONAL_LABELS,
    REQUIRED_BY_TYPE,
    TOPIC_BY_EVENT_TYPE,
    Promotion,
)
from consumers.topics import Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def event_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every message that producers write, by file name.

    Three rules are left to the decoder: the sum of an order's amount, that a period ends after it starts, and that
    `1.0` is not an integer. The limit on optional labels is advisory: a longer label is dropped, and its event counts.
    """
    schemas = {f"{topic}.schema.json": _schema(model, EVENT_TYPES[topic]) for topic, model in EVENT_MODELS.items()}
    return {**schemas, f"{Topic.PROMOTIONS}.schema.json": _schema(Promotion)}


def write_schemas(folder: Path = FOLDER) -> list[Path]:
    """Write `event_schemas` to the folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in event_schemas().items():
        path = folder / name
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _schema(model: type[BaseModel], types: frozenset[str] = frozenset()) -> dict[str, Any]:
    schema: dict[str, Any] = {"$schema": DIALECT, **model.model_json_schema()}
    rules = [_rule(name) for name in sorted(types) if name in REQUIRED_BY_TYPE]
    return {**schema, "allOf": rules} if rules else schema


def _rule(event_type: str) -> dict[str, Any]:
    """Fields that the topic leaves optional but this type requires."""
    names = REQUIRED_BY_TYPE[event_type]
    return {
        "if": {"properties": {"type": {"const": event_type}}, "required": ["type"]},
        "then": {"required": list(names), "properties": {name: _required_schema(event_type, name) for name in names}},
    }


def _required_schema(event_type: str, name: str) -> dict[str, Any]:
    """The schema of a field where it is required."""
    label = name in OPTIONAL_LABELS[TOPIC_BY_EVENT_TYPE[event_type]]
    return {"not": {"type": "null"}, **({"minLength": 1} if label else {})}


if __name__ == "__main__":
    write_schemas()
