"""Messages framed by a schema registry: a zero byte, four bytes of schema id, then the message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from consumers.contract.rejection import RejectionReason
from consumers.sources.values import MappingError

Decoder = Callable[[bytes], Any]
"""From the value of a message to objects, lists and plain values. Raises MappingError."""

FRAME_BYTES = 5
_FORGET_UNKNOWN_AFTER_S = 60.0
"""Time for which an id counts as unknown before the registry is asked again."""
_MOST_UNKNOWN = 10_000
_UNKNOWN = "the schema registry has no such schema: name the registry of the producer in `registry`"


class SchemaKind(StrEnum):
    """The language of a schema; the `format` of a source."""

    AVRO = "avro"
    PROTOBUF = "protobuf"
    JSON = "json-schema"


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry holds it."""

    kind: SchemaKind
    text: str
    references: Mapping[str, str] = field(default_factory=dict)
    """# <name by which schemas import another: its text>, also of indirect ones, each after those it refers to."""


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema that messages are decoded by."""

    kind: SchemaKind
    decode: Decoder
    """Decodes what follows the frame."""


class SchemaCompileError(Exception):
    """The text of a schema is invalid."""


class SchemaCache:
    """The schemas of a registry by id. A schema never changes, so it is kept for good."""

    def __init__(self) -> None:
        self.compiled: dict[int, CompiledSchema] = {}
        self.faults: dict[int, str] = {}
        """# <id without a usable schema: why>"""
        self._unknown_since_s: dict[int, float] = {}

    def missing(self, ids: Iterable[int], now_s: float) -> set[int]:
        """The ids to ask the registry for. `now_s`: monotonic."""
        return {
            schema_id
            for schema_id in ids
            if schema_id not in self.compiled
            and (
                schema_id not in self.faults
                or now_s - self._unknown_since_s.get(schema_id, now_s) > _FORGET_UNKNOWN_AFTER_S
            )
        }

    def add(self, schema_id: int, schema: CompiledSchema) -> None:
        """Keep a schema."""
        self.compiled[schema_id] = schema
        self.faults.pop(schema_id, None)
        self._unknown_since_s.pop(schema_id, None)

    def add_invalid(self, schema_id: int, why: str) -> None:
        """Keep the fault of a schema that cannot be used."""
        self.faults[schema_id] = why
        self._unknown_since_s.pop(schema_id, None)

    def add_unknown(self, schema_id: int, now_s: float) -> None:
        """Note an id that the registry does not have, for a minute."""
        while len(self._unknown_since_s) >= _MOST_UNKNOWN:
            oldest = next(iter(self._unknown_since_s))
            del self._unknown_since_s[oldest], self.faults[oldest]
        self._unknown_since_s.pop(schema_id, None)
        self._unknown_since_s[schema_id] = now_s
        self.faults[schema_id] = _UNKNOWN


class FramedDecoder:
    """Decodes messages of one format by the schemas that their writers used."""

    def __init__(self, kind: SchemaKind, schemas: SchemaCache) -> None:
        self._kind = kind
        self._schemas = schemas
        self._by_frame: dict[bytes, Decoder] = {}

    def __call__(self, value: bytes) -> Any:
        """Decode a message. Raises MappingError, also if its schema is not in the cache."""
        decode = self._by_frame.get(value[:FRAME_BYTES])
        return (self._find(value) if decode is None else decode)(value[FRAME_BYTES:])

    def _find(self, value: bytes) -> Decoder:
        schema_id = schema_id_of(value)
        schema = self._schemas.compiled.get(schema_id)
        if schema is None:
            why = self._schemas.faults.get(schema_id, _UNKNOWN)
            raise MappingError(RejectionReason.UNKNOWN_SCHEMA, f"schema {schema_id}: {why}")
        if schema.kind is not self._kind:
            raise MappingError(
                RejectionReason.UNKNOWN_SCHEMA,
                f"schema {schema_id} is of format {schema.kind}: the source has `format: {self._kind}`",
            )
        self._by_frame[value[:FRAME_BYTES]] = schema.decode
        return schema.decode


def schema_id_of(value: bytes) -> int:
    """The schema id in the frame of a message. Raises MappingError if there is no frame."""
    if value[:1] != b"\0" or len(value) < FRAME_BYTES:
        raise MappingError(
            RejectionReason.BAD_ENCODING,
            "the message has no frame of a schema registry, a zero byte and four bytes of schema id: for plain JSON "
            "write `format: json`",
        )
    return int.from_bytes(value[1:FRAME_BYTES], "big")


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """The schema ids of messages that have a frame."""
    heads = {value[:FRAME_BYTES] for value in values if value is not None}
    return {int.from_bytes(head[1:], "big") for head in heads if len(head) == FRAME_BYTES and head[0] == 0}
