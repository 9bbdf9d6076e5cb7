"""Writes `streams/dictionary/builtin.json` from `builtin.yaml`: `python -m tests.tools.builtin_model`.

Every process reads the model at its start, and JSON takes 12 ms less than YAML.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from streams.dictionary.definitions import ModelDefinitions

FOLDER = Path(__file__).parents[2] / "streams/dictionary"
JSON = FOLDER / "builtin.json"


def prepared() -> bytes:
    """The content of the JSON file."""
    content = yaml.load((FOLDER / "builtin.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)
    return msgspec.json.encode(msgspec.convert(content, ModelDefinitions, strict=False)) + b"\n"


if __name__ == "__main__":
    JSON.write_bytes(prepared())
