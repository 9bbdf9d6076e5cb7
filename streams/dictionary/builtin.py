"""The built-in model: the metric dictionary."""

from __future__ import annotations

import pkgutil

import msgspec

from streams.dictionary.compiling import ModelCompiler
from streams.dictionary.definitions import ModelDefinitions
from streams.dictionary.types import Model

DEFINITIONS: ModelDefinitions = msgspec.json.decode(
    pkgutil.get_data("streams.dictionary", "builtin.json") or b"", type=ModelDefinitions
)
"""As declared: models of a shop's own are compiled on top of them."""


def _compiled() -> Model:
    compiler = ModelCompiler(DEFINITIONS)
    assert not compiler.faults, compiler.faults
    return compiler.model


BUILT_IN = _compiled()
"""The same in every process of a release."""
