"""Protobuf messages as objects, by the schema of their writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from consumers.contract.rejection import RejectionReason
from consumers.sources.schemas import CompiledSchema, SchemaCompileError, SchemaKind
from consumers.sources.values import MappingError

Reader = Callable[[Any], Any]
"""From a message, or a value of a field, to plain values."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_INDEXES = 100
_NANOS_OF_CENT = 10**7
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def compile_protobuf(files: bytes, name: str) -> CompiledSchema:
    """Compile a schema. `files`: a `FileDescriptorSet`, each file after its imports; `name`: of the schema's file.

    Fields without presence have their default value where the message omits them; others are then absent.
    Raises SchemaCompileError.
    """
    try:
        pool = DescriptorPool()
        described = FileDescriptorSet.FromString(files).file
        for file in described:
            pool.Add(file)
        (main,) = (file for file in described if file.name == name)
        top = list(main.message_type)
        prefix = f"{main.package}." if main.package else ""
        pool.FindFileByName(name)
    except Exception as error:  # a schema may be anything
        raise SchemaCompileError(f"its Protobuf is invalid: {type(error).__name__}: {error}") from None
    decoders: dict[tuple[int, ...], Reader] = {}

    def decode(payload: bytes) -> Any:
        indexes, start = _read_indexes(payload)
        read = decoders.get(indexes)
        if read is None:
            descriptor = pool.FindMessageTypeByName(prefix + _message_name(top, indexes))
            read = decoders[indexes] = _message_decoder(descriptor)
        return read(payload[start:])

    return CompiledSchema(SchemaKind.PROTOBUF, decode)


def _read_indexes(payload: bytes) -> tuple[tuple[int, ...], int]:
    """The indexes of the message's type among those of its file, and where the message starts."""
    if payload[:1] == b"\0":
        return (0,), 1  # short for the first message
    count, at = _read_varint(payload, 0)
    if not 0 < count <= _MOST_INDEXES:
        raise _undecodable("the message's type is invalid")
    indexes = []
    for _ in range(count):
        index, at = _read_varint(payload, at)
        indexes.append(index)
    return tuple(indexes), at


def _read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint, and where it ends."""
    number = shift = 0
    while True:
        if at >= len(payload) or shift > 31:
            raise _undecodable("the message's type is cut off")
        byte = payload[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at


def _message_name(top: list[DescriptorProto], indexes: tuple[int, ...]) -> str:
    names, messages = [], top
    for index in indexes:
        if not 0 <= index < len(messages):
            raise _undecodable(f"the schema has no message type {list(indexes)}")
        names.append(messages[index].name)
        messages = list(messages[index].nested_type)
    return ".".join(names)


def _message_decoder(descriptor: Descriptor) -> Reader:
    message_class = GetMessageClass(descriptor)
    read = _message_reader(descriptor, {})

    def decode(payload: bytes) -> Any:
        try:
            return read(message_class.FromString(payload))
        except (DecodeError, RecursionError) as error:
            raise _undecodable(str(error)) from None
        except (OverflowError, ValueError) as error:
            raise MappingError(RejectionReason.OUT_OF_RANGE, f"a value is out of range: {error}") from None

    return decode


def _message_reader(descriptor: Descriptor, readers: dict[str, Reader]) -> Reader:
    """Reads messages of a type; `readers`: by full name, as types may contain themselves."""
    name = descriptor.full_name
    if (known := readers.get(name)) is not None:
        return known
    if (special := _SPECIAL.get(name)) is not None:
        return special
    if name in _WRAPPERS:
        return _value_of
    defaults: dict[str, Any] = {}
    fields: dict[str, Reader | None] = {}

    def read(message: Any) -> Any:
        found = defaults.copy()
        for field, value in message.ListFields():
            field_name = field.name
            convert = fields.get(field_name)
            found[field_name] = value if convert is None else convert(value)
        return found

    readers[name] = read
    for field in descriptor.fields:
        fields[field.name] = convert = _field_reader(field, readers)
        if field.is_repeated:
            defaults[field.name] = {} if _is_map(field) else []
        elif not field.has_presence:
            defaults[field.name] = field.default_value if convert is None else convert(field.default_value)
    return read


def _field_reader(field: FieldDescriptor, readers: dict[str, Reader]) -> Reader | None:
    """Converts the value of a field; None if it stays as it is."""
    if _is_map(field):
        kind = field.message_type
        convert = _single_reader(kind.fields_by_name["value"], readers)
        return lambda entries: {str(key): entries[key] if convert is None else convert(entries[key]) for key in entries}
    convert_one = _single_reader(field, readers)
    if not field.is_repeated:
        return convert_one
    return list if convert_one is None else lambda values: [convert_one(value) for value in values]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _single_reader(field: FieldDescriptor, readers: dict[str, Reader]) -> Reader | None:
    if field.message_type is not None:
        return _message_reader(field.message_type, readers)
    if field.enum_type is not None:
        names: Mapping[int, str] = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    return None


def _value_of(wrapper: Any) -> Any:
    return wrapper.value


def _timestamp(message: Any) -> datetime:
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def _money(message: Any) -> Mapping[str, Any]:
    """`google.type.Money`, with its amount in major units, as text with two digits after the point if these are all."""
    units, nanos = message.units, message.nanos
    cents, rest = divmod(nanos, _NANOS_OF_CENT)
    exact = units >= 0 <= cents < 100 and not rest
    amount = f"{units}.{cents:02d}" if exact else Decimal(units) + Decimal(nanos).scaleb(-9)
    return {"currency_code": message.currency_code, "amount": amount}


def _decimal(message: Any) -> Decimal:
    """`confluent.type.Decimal`."""
    unscaled = int.from_bytes(message.value, "big", signed=True)
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -message.scale))


_SPECIAL: Mapping[str, Reader] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.type.Money": _money,
    "google.type.Decimal": _value_of,
    "confluent.type.Decimal": _decimal,
}


def _undecodable(why: str) -> MappingError:
    return MappingError(RejectionReason.BAD_ENCODING, f"the message is not Protobuf of its schema: {why}")
