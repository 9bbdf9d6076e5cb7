"""The built-in model: the metric dictionary."""

from __future__ import annotations

import pkgutil

import msgspec

from streams.dictionary.compiling import ModelCompiler
from streams.dictionary.definitions import ModelDefinitions
from streams.dictionary.types import Model


def _built_in() -> Model:
    content = pkgutil.get_data("streams.dictionary", "builtin.json") or b""
    compiler = ModelCompiler(msgspec.json.decode(content, type=ModelDefinitions))
    assert not compiler.faults, compiler.faults
    return compiler.model


BUILT_IN = _built_in()
"""The same in every process of a release."""
