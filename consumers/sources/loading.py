"""Loads a file of sources: reads it, imports its functions, compiles its maps."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from pathlib import Path
from typing import Any

from consumers.contract.decoding import CONTRACT, EventDecoder
from consumers.errors import UsageError
from consumers.sources.file import REGISTRY_FORMATS, SourceFile, SourceMap, format_source_errors, read_sources
from consumers.sources.functions import EventFunction
from consumers.sources.registry import SchemaLoader, registry_target
from consumers.sources.schemas import SchemaCache
from consumers.sources.source import CompiledSource

_PACKAGES = ("fastavro", "google", "grpc_tools")
"""Of the extra `registry`."""


class SourcesError(UsageError):
    """An invalid file of sources; the message lists all errors with their lines."""


@dataclass(frozen=True, slots=True)
class LoadedSources:
    """The sources in force."""

    file: SourceFile
    by_topic: Mapping[str, CompiledSource]
    """# <name of a topic on the broker: its source>"""
    fingerprint: str
    """Of the file's content, without comments and the registry, and of the modules of its functions."""
    schema_loader: SchemaLoader | None = None
    """Loads the schemas of sources in avro and protobuf."""


def load_sources(path: Path, *, exponent: int, decoder: EventDecoder = CONTRACT) -> LoadedSources:
    """Load the file. `exponent`: decimal places of money; `decoder`: of the model. Raises SourcesError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SourcesError(f"sources {path} cannot be read: {reason}") from None
    read = read_sources(text, decoder.own, exponent=exponent)
    if read.file is None:
        raise SourcesError("\n".join(format_source_errors(read.errors, str(path))))
    loader = _schema_loader(read.file, path)
    schemas = None if loader is None else loader.schemas
    compiled = _compile(read.file.sources, path, exponent, schemas, decoder)
    return LoadedSources(read.file, compiled, _fingerprint(read.file), loader)


def _fingerprint(file: SourceFile) -> str:
    digest = sha256(file.model_dump_json(by_alias=True, exclude={"registry"}).encode())
    for source in file.sources:
        if source.python is not None:
            module = sys.modules[source.python.partition(":")[0]].__file__
            digest.update(b"" if module is None else Path(module).read_bytes())
    return digest.hexdigest()[:16]


def _schema_loader(file: SourceFile, path: Path) -> SchemaLoader | None:
    if file.registry is None or not any(source.format in REGISTRY_FORMATS for source in file.sources):
        return None
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise SourcesError(
            f"{path}: avro and protobuf need packages that are not installed ({', '.join(missing)}): "
            "pip install 'salepulse[registry]'"
        )
    try:
        return SchemaLoader(registry_target(file.registry))
    except UsageError as error:
        raise SourcesError(f"{path}: {error}") from None


def _compile(
    sources: Iterable[SourceMap], path: Path, exponent: int, schemas: SchemaCache | None, decoder: EventDecoder
) -> dict[str, CompiledSource]:
    return {
        source.topic: CompiledSource(
            source,
            exponent=exponent,
            function=None if source.python is None else _import_function(source.python, path),
            schemas=schemas,
            decoder=decoder,
        )
        for source in sources
    }


def _import_function(name: str, path: Path) -> EventFunction:
    """Import a function; its module may also be beside the file."""
    module_name, _, attributes = name.partition(":")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:
        raise SourcesError(
            f"{path}: function {name} cannot be imported: {type(error).__name__}: {error}; it must be in a module of "
            f"the Python path, or in {folder}"
        ) from None
    if fault := _function_fault(found):
        raise SourcesError(f"{path}: {name} {fault}")
    function: EventFunction = found
    return function


def _function_fault(found: Any) -> str | None:
    """Why an object cannot be the function of a source."""
    if not callable(found):
        return "is not a function: name one that takes (value, headers)"
    if iscoroutinefunction(found) or isasyncgenfunction(found):
        return "is asynchronous: write `def` in place of `async def`"
    with contextlib.suppress(ValueError):  # a function in C without a signature
        try:
            signature(found).bind(b"", ())
        except TypeError as error:
            return f"cannot be called with (value, headers), {error}: change its parameters"
    return None
