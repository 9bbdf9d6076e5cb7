"""Avro decoded by a generated function per schema: several times as fast as fastavro, for usual messages.

The function raises for everything unusual, such as bytes that do not fit the schema; fastavro then decodes the message,
and defines the result.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fastavro.read import LOGICAL_READERS

Reader = Callable[[bytes], Any]
"""From an Avro message to its value. Raises any exception for a message that another reader must decode."""

_INTEGERS = ("int", "long")
_MOST_BRANCHES = 64
"""Branches of a union whose index is one byte."""
_MOST_BYTES = 8
"""Bytes of an integer."""
_DIGITS = 28
"""Digits of exact decimals in the default context."""
_TIMESTAMPS = {"long-timestamp-millis": "milliseconds", "long-timestamp-micros": "microseconds"}


class UnusualAvroError(Exception):
    """A schema or message that this module does not cover. Caught inside this package."""


def compile_reader(schema: Any, named: Mapping[str, Any]) -> Reader | None:
    """The reader of a parsed schema, None if this module does not cover it.

    `named`: # <full name: parsed schema>
    """
    writer = _Writer(named)
    try:
        writer.read(schema, "v")
    except UnusualAvroError:
        return None
    writer.lines += ["    if i != len(d):", "        raise UnusualAvroError", "    return v"]
    read: Reader = writer.define("read", "d")
    return read


@dataclass(slots=True)
class _Writer:
    """Writes functions that read from bytes `d` at index `i`."""

    named: Mapping[str, Any]
    bound: dict[str, Any] = field(default_factory=lambda: _used())
    records: dict[str, str] = field(default_factory=dict)
    """# <full name of a record: its function>"""
    lines: list[str] = field(default_factory=lambda: ["    i = 0"])
    depth: int = 1
    names: int = 0

    def bind(self, used: Any) -> str:
        name = f"b{len(self.bound)}"
        self.bound[name] = used
        return name

    def define(self, name: str, arguments: str) -> Any:
        exec("\n".join([f"def {name}({arguments}):", *self.lines]), self.bound)  # no content of the schema
        return self.bound[name]

    def write(self, *lines: str) -> None:
        self.lines += ["    " * self.depth + line for line in lines]

    def variable(self) -> str:
        self.names += 1
        return f"v{self.names}"

    def read(self, schema: Any, to: str) -> None:
        """Write the lines that read a value into a variable."""
        if isinstance(schema, list):
            self._union(schema, to)
            return
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict | list):
            self.read(kind, to)
            return
        if isinstance(schema, str) and schema in self.named:
            self.read(self.named[schema], to)
            return
        if kind in ("record", "error"):
            self._call_record(schema, to)
            return
        self._plain(kind, schema, to)
        if isinstance(schema, dict) and "logicalType" in schema:
            self._convert(f"{kind}-{schema['logicalType']}", schema, to)

    def _convert(self, logical: str, schema: Mapping[str, Any], to: str) -> None:
        """Convert a value of a logical type as fastavro does."""
        if logical in _TIMESTAMPS:
            self.write(f"{to} = epoch + delta({_TIMESTAMPS[logical]}={to})")
        elif logical in ("bytes-decimal", "fixed-decimal") and schema["precision"] <= _DIGITS:
            most, scale = 10 ** schema["precision"], schema.get("scale", 0)
            self.write(f"{to} = from_bytes({to}, 'big', signed=True)")
            self.write(f"if not -{most} < {to} < {most}:", "    raise UnusualAvroError")
            self.write(f"{to} = decimal({to}).scaleb(-{scale})")
        elif (convert := LOGICAL_READERS.get(logical)) is not None:
            self.write(f"{to} = {self.bind(convert)}({to}, {self.bind(schema)}, None)")

    def _plain(self, kind: str, schema: Any, to: str) -> None:
        if kind == "null":
            self.write(f"{to} = None")
        elif kind == "boolean":
            self.write(f"{to} = d[i]", "i += 1", f"if {to} > 1:", "    raise UnusualAvroError", f"{to} = {to} == 1")
        elif kind in _INTEGERS:
            self._integer(to)
        elif kind in ("float", "double"):
            unpack, size = ("flt", 4) if kind == "float" else ("dbl", 8)
            self.write(f"({to},) = {unpack}(d, i)", f"i += {size}")
        elif kind in ("bytes", "string"):
            self._length()
            decode = ".decode()" if kind == "string" else ""
            self.write(f"{to} = d[i : i + n]{decode}", "i += n")
        elif kind == "fixed" and schema["size"]:
            self.write(f"{to} = d[i : i + {int(schema['size'])}]", f"i += {int(schema['size'])}")
        elif kind == "enum":
            self._length()
            self.write(f"{to} = {self.bind(list(schema['symbols']))}[n]")
        elif kind == "array" and self._has_bytes(schema["items"]):
            self._blocks(to, "[]", schema["items"])
        elif kind == "map" and self._has_bytes(schema["values"]):
            self._blocks(to, "{}", schema["values"])
        else:
            raise UnusualAvroError

    def _has_bytes(self, schema: Any) -> bool:
        """Whether every value of a schema has at least a byte, so that a block is no longer than the message."""
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in ("record", "error"):
            return any(self._has_bytes(found["type"]) for found in schema["fields"])
        return kind == "fixed" or kind not in ("null", *self.named)

    def _integer(self, to: str) -> None:
        self.write(f"{to} = d[i]", "i += 1", f"if {to} > 127:", f"    {to}, i = more(d, i, {to})")
        self.write(f"{to} = {to} >> 1 ^ -({to} & 1)")

    def _length(self) -> None:
        """A length, or an index, in `n`."""
        self.write("n = d[i]", "i += 1", "if n > 127:", "    n, i = more(d, i, n)")
        self.write("if n & 1:", "    raise UnusualAvroError", "n >>= 1")

    def _union(self, branches: Sequence[Any], to: str) -> None:
        if len(branches) > _MOST_BRANCHES:
            raise UnusualAvroError
        branch = self.variable()
        self.write(f"{branch} = d[i]", "i += 1")
        for index, schema in enumerate(branches):
            self.write(f"{'el' if index else ''}if {branch} == {2 * index}:")
            self.depth += 1
            self.read(schema, to)
            self.depth -= 1
        self.write("else:", "    raise UnusualAvroError")

    def _blocks(self, to: str, empty: str, entry: Any) -> None:
        count, value, key, made = self.variable(), self.variable(), self.variable(), self.variable()
        self.write(f"{made} = {empty}", "while True:")
        self.depth += 1
        self._integer(count)
        self.write(f"if {count} <= 0:", f"    if {count}:", "        raise UnusualAvroError", "    break")
        self.write(f"for _ in range({count}):")
        self.depth += 1
        if empty == "{}":
            self.read("string", key)
        self.read(entry, value)
        self.write(f"{made}[{key}] = {value}" if empty == "{}" else f"{made}.append({value})")
        self.depth -= 2
        self.write(f"{to} = {made}")

    def _call_record(self, schema: Mapping[str, Any], to: str) -> None:
        name = schema["name"]
        if name not in self.records:
            self.records[name] = f"read{len(self.records)}"
            inner = _Writer(self.named, self.bound, self.records, lines=[])
            values = []
            for found in schema["fields"]:
                value = inner.variable()
                inner.read(found["type"], value)
                values.append(f"{self.bind(found['name'])}: {value}")
            inner.write(f"return {{{', '.join(values)}}}, i")
            inner.define(self.records[name], "d, i")
        self.write(f"{to}, i = {self.records[name]}(d, i)")


def _more(data: bytes, at: int, first: int) -> tuple[int, int]:
    """The rest of an integer of several bytes: (its bits, the index after it)."""
    found, shift = first & 127, 7
    while True:
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
        shift += 7
        if shift > 7 * _MOST_BYTES:
            raise UnusualAvroError


def _used() -> dict[str, Any]:
    """What every function may use."""
    return {
        "more": _more,
        "UnusualAvroError": UnusualAvroError,
        "flt": struct.Struct("<f").unpack_from,
        "dbl": struct.Struct("<d").unpack_from,
        "epoch": datetime(1970, 1, 1, tzinfo=UTC),
        "delta": timedelta,
        "decimal": Decimal,
        "from_bytes": int.from_bytes,
    }
