"""A YAML parser that keeps line numbers for error messages.

Scalars keep their text, and the field that reads one decides its type: `no`, `0123` and `12:30` are not a boolean, an
octal number and 750, as in YAML 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml


@dataclass(frozen=True, slots=True)
class FileError:
    """An error in a file."""

    line: int
    message: str
    """The problem and the fix."""


class YamlError(Exception):
    """Invalid or unsupported YAML; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class YamlScalar:
    """A single value."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class YamlNull:
    """An empty value, `~` or `null`."""

    line: int


@dataclass(frozen=True, slots=True)
class YamlList:
    """A list."""

    line: int
    items: tuple[YamlNode, ...]


@dataclass(frozen=True, slots=True)
class YamlMapping:
    """A mapping of names to values."""

    line: int
    values: Mapping[str, YamlNode]
    lines: Mapping[str, int]
    """The line of each name."""


YamlNode: TypeAlias = YamlScalar | YamlNull | YamlList | YamlMapping
YamlPath: TypeAlias = tuple[str | int, ...]
"""Names of fields and indexes in lists, from the root on."""

_NULL_TAG = "tag:yaml.org,2002:null"
_MAX_NODES = 1_000_000


def parse_yaml(text: str) -> YamlNode:
    """The only document in the text. Raises YamlError."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
        return YamlNull(1) if root is None else _Converter().node(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:  # characters that YAML does not allow
        raise YamlError(1, f"not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise YamlError(1, "nested too deeply, or an alias inside itself") from None


class _Converter:
    """Limits the number of nodes: nested aliases expand exponentially."""

    def __init__(self) -> None:
        self._made = 0

    def node(self, source: yaml.Node) -> YamlNode:
        line = source.start_mark.line + 1
        self._made += 1
        if self._made > _MAX_NODES:
            raise YamlError(line, f"more than {_MAX_NODES:,} values with aliases expanded")
        match source:
            case yaml.MappingNode():
                return self._fields(line, source)
            case yaml.SequenceNode():
                return YamlList(line, tuple(map(self.node, source.value)))
        return YamlNull(line) if source.tag == _NULL_TAG else YamlScalar(line, source.value)

    def _fields(self, line: int, source: yaml.MappingNode) -> YamlMapping:
        values: dict[str, YamlNode] = {}
        lines: dict[str, int] = {}
        for key, value in source.value:
            key_line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError(key_line, "a name must be plain text, not a list or a mapping")
            if key.value in values:
                raise YamlError(key_line, f"`{key.value}` is already on line {lines[key.value]}: remove one")
            lines[key.value] = key_line
            values[key.value] = self.node(value)
        return YamlMapping(line, values, lines)


def walk_lines(node: YamlNode, path: YamlPath = ()) -> Iterator[tuple[YamlPath, int]]:
    """(path, line) of a value and all values in it."""
    yield path, node.line
    match node:
        case YamlMapping(values=values):
            for name, value in values.items():
                yield from walk_lines(value, (*path, name))
        case YamlList(items=items):
            for i, item in enumerate(items):
                yield from walk_lines(item, (*path, i))


def nearest_line(lines: Mapping[YamlPath, int], path: YamlPath) -> int:
    """The line of the value at a path, or of its nearest ancestor."""
    while path not in lines:
        path = path[:-1]
    return lines[path]
