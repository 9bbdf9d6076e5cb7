"""Avro messages as objects, by the schema of their writer."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader

from consumers.contract.rejection import RejectionReason
from consumers.sources.avro_reader import compile_reader
from consumers.sources.schemas import CompiledSchema, RegisteredSchema, SchemaCompileError, SchemaKind
from consumers.sources.values import MappingError


def compile_avro(schema: RegisteredSchema) -> CompiledSchema:
    """Compile a schema. Raises SchemaCompileError.

    Decimals become `Decimal`, timestamps `datetime`, UUIDs `UUID`, all of which the maps convert exactly.
    """
    named: dict[str, dict[Any, Any]] = {}
    try:
        for text in schema.references.values():
            parse_schema(json.loads(text), named_schemas=named)
        parsed = parse_schema(json.loads(schema.text), named_schemas=named)
    except Exception as error:  # a schema may be anything
        raise SchemaCompileError(f"its Avro is invalid: {type(error).__name__}: {error}") from None

    def decode_by_fastavro(payload: bytes) -> Any:
        stream = BytesIO(payload)
        try:
            found = schemaless_reader(stream, parsed, None)
        except EOFError:
            raise MappingError(
                RejectionReason.BAD_ENCODING, "the message is not Avro of its schema: it ends early"
            ) from None
        except Exception as error:  # any bytes may come
            raise MappingError(
                RejectionReason.BAD_ENCODING, f"the message is not Avro of its schema: {type(error).__name__}: {error}"
            ) from None
        if stream.tell() < len(payload):
            raise MappingError(
                RejectionReason.BAD_ENCODING,
                f"the message is not Avro of its schema: {len(payload) - stream.tell()} bytes are left over",
            )
        return found

    read = compile_reader(parsed, named)
    if read is None:
        return CompiledSchema(SchemaKind.AVRO, decode_by_fastavro)

    def decode(payload: bytes) -> Any:
        try:
            return read(payload)
        except Exception:  # fastavro decides
            return decode_by_fastavro(payload)

    return CompiledSchema(SchemaKind.AVRO, decode)
