"""A model as YAML: the built-in part and a shop's own, in the form of its file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from consumers.times import format_utc
from streams.dictionary.builtin import DEFINITIONS
from streams.dictionary.compiling import NOT_COUNTED_MS
from streams.dictionary.definitions import DimensionDefinition, MeasureDefinition, MetricDefinition, ModelDefinitions
from streams.dictionary.types import Dimension, Metric, Model, ModelMeasure

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./*+() -]*(?<! )|-?[0-9]+(\.[0-9]+)?")
_SPECIAL = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_OF_STORES = ("id", "coarse_distincts")
"""What only stores and workers need."""


def yaml_of(model: Model, own: ModelDefinitions) -> str:
    """Everything that a model counts and answers; `own`: the definitions of its file.

    Comments say what is built in, and since when a name counts, if not from the beginning.
    """
    lines = ["version: 1"]
    if model.own_fields:
        lines.append("fields:  # read besides those of the contract")
        lines += [f"  {topic}: {_flow(types)}" for topic, types in model.own_fields.items()]
    for section in ("dimensions", "measures", "metrics"):
        compiled = getattr(model, section)
        lines += [f"{section}:", *_entries(getattr(DEFINITIONS, section), compiled, "built in")]
        lines += _entries(getattr(own, section), compiled, "")
    return "\n".join(lines) + "\n"


def _entries(
    entries: Sequence[DimensionDefinition | MeasureDefinition | MetricDefinition],
    compiled: Mapping[str, Dimension | ModelMeasure | Metric],
    remark: str,
) -> Iterator[str]:
    for entry in entries:
        if entry.name not in compiled:
            continue  # another release declared it
        remarks = [text for text in (remark, _since(compiled[entry.name].since_ms)) if text]
        comment = f"  # {', '.join(remarks)}" if remarks else ""
        given = {name: value for name, value in msgspec.to_builtins(entry).items() if name not in _OF_STORES}
        yield f"  - {_flow(_short(given))}{comment}"


def _since(since_ms: int | None) -> str:
    if since_ms is None:
        return ""
    return "not counted yet" if since_ms >= NOT_COUNTED_MS else f"since {format_utc(since_ms)}"


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with the short forms of lists with one item, and of conditions."""
    for name in ("count", "of"):
        if name in entry:
            entry[name] = _only(entry[name])
    if "where" in entry:
        conditions = entry["where"].items()
        entry["where"] = {
            name: {"not": _only(test["not"])} if "not" in test else _only(test["one_of"])
            for name, test in (
                (name, test if isinstance(test, dict) else {"one_of": test}) for name, test in conditions
            )
        }
    return entry


def _only(values: str | Sequence[str]) -> str | Sequence[str]:
    return values[0] if not isinstance(values, str) and len(values) == 1 else values


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(str(name))}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _SPECIAL:
        return str(value)
    return json.dumps(value, ensure_ascii=False)
