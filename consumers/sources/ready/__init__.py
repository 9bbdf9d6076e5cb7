"""Ready files: sources for formats that many shops have, each described in `docs/sources/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from consumers.sources.file import SourceFile, read_sources
from consumers.sources.source import CompiledSource


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A ready file."""

    name: str
    """Without `.yaml`."""
    text: str

    @property
    def file(self) -> SourceFile:
        """Its content."""
        read = read_sources(self.text)
        assert read.file is not None, read.errors
        return read.file

    def compiled(self, exponent: int) -> list[CompiledSource]:
        """Its sources."""
        return [CompiledSource(source, exponent=exponent) for source in self.file.sources]


@cache
def ready_files() -> Sequence[ReadyFile]:
    """All ready files by name."""
    found = [entry for entry in files(__name__).iterdir() if entry.name.endswith(".yaml")]
    return [
        ReadyFile(entry.name.removesuffix(".yaml"), entry.read_text(encoding="utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]
