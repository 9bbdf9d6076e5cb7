"""Loads a shop's model from its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from consumers.errors import UsageError
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.definitions import ModelDefinitions
from streams.dictionary.types import Model


class ModelFileError(UsageError):
    """An invalid file of a model; the message lists all errors with their lines."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as its file declares it: ids and first event times are those of no store."""

    model: Model
    definitions: ModelDefinitions
    """Of the file; empty without one."""


def load_model(path: Path | None, *, exponent: int) -> LoadedModel:
    """Load a file, or the built-in model. `exponent`: decimal places of money. Raises ModelFileError."""
    if path is None:
        return LoadedModel(BUILT_IN, ModelDefinitions())
    from streams.dictionary.file import read_model_file  # imports pydantic models that nothing else needs

    read = read_model_file(read_text(path), exponent=exponent)
    if read.model is None or read.definitions is None:
        raise ModelFileError("\n".join(f"{path}:{error.line}: {error.message}" for error in read.errors))
    return LoadedModel(read.model, read.definitions)


def read_text(path: Path) -> str:
    """The content of a file of a model. Raises UsageError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"model {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"model {path} cannot be read: it is not UTF-8") from None
