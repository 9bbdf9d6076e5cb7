"""Recognizes envelopes, frames and units of other systems in rejected messages, and how to send these instead.

Pure; used only after a message was rejected. Each hint has the problem, then the fix.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_UTF16_BRACES = (b"{\x00", b"\x00{")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}
_REGISTRY_FRAME = 5
"""A zero byte and four bytes of schema id before the payload."""
_SEGMENT_CALLS = frozenset({"track", "identify", "page", "screen", "group", "alias"})
_LONGEST_TEXT = 2**16
"""Longer strings are not parsed as JSON."""

EPOCH_SECONDS = range(10**9, 10**10)
"""Epoch seconds from 2001 to 2286. As milliseconds they are in the first four months of 1970."""
_MICROSECONDS = range(10**15, 10**16)
_NANOSECONDS = range(10**18, 10**19)


def bytes_hint(value: bytes) -> str | None:
    """A hint for bytes that are not JSON; None if they are not recognized."""
    if value.startswith(_UTF8_BOM):
        return "the message begins with a byte-order mark (EF BB BF): send UTF-8 without one"
    if value.startswith(_UTF16_BOMS):
        return "the message is UTF-16, by its byte-order mark: send UTF-8"
    for magic, name in _COMPRESSED.items():
        if value.startswith(magic):
            return f"the value is compressed with {name}: send JSON, and set the producer's compression.type instead"
    if value.startswith(b"Obj\x01"):
        return "the message is an Avro file: send one JSON object per event"
    if value.startswith(_UTF16_BRACES) and value[2:4] != b"\x00\x00":
        return "the message is UTF-16: send UTF-8"
    if holds := registry_frame_content(value):
        schema_id = int.from_bytes(value[1:_REGISTRY_FRAME], "big")
        return (
            f"the message has a Schema Registry frame (schema id {schema_id}, holds {holds}): send plain "
            "JSON, with a serializer without a registry"
        )
    return None


def registry_frame_content(value: bytes) -> str | None:
    """The formats that a message with a Schema Registry frame can have; None without a frame."""
    if not value.startswith(b"\x00") or len(value) <= _REGISTRY_FRAME:
        return None
    return "JSON" if value[_REGISTRY_FRAME:].lstrip()[:1] == b"{" else "Avro or Protobuf"


def json_value_hint(found: object) -> str | None:
    """A hint for JSON that is not an object."""
    if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
        return f"the message is a list of {len(found)} objects: send each as its own message"
    if isinstance(found, str) and found.lstrip()[:1] == "{" and len(found) <= _LONGEST_TEXT and _is_object(found):
        return "the message is an object encoded as a JSON string: encode it once, not twice"
    return None


def envelope_hint(found: Mapping[str, Any]) -> str | None:
    """A hint for an object that is not an event of the contract."""
    return next((text for recognize in _ENVELOPES if (text := recognize(found))), None)


def time_hint(given: object) -> str | None:
    """A hint for a time that is not epoch milliseconds."""
    if isinstance(given, str):
        if given.isascii() and given.isdecimal():
            return "it is a number in quotes: send epoch milliseconds, without quotes"
        if len(given) >= 10 and given[:4].isdecimal() and given[4] == "-":
            return "it is a date: send epoch milliseconds, an integer"
        return None
    if not isinstance(given, int | float) or isinstance(given, bool):
        return None
    if EPOCH_SECONDS.start <= given < EPOCH_SECONDS.stop:
        return f"it looks like seconds: send epoch milliseconds ({int(given * 1000)})"
    if _MICROSECONDS.start <= given < _MICROSECONDS.stop:
        return f"it looks like microseconds: send epoch milliseconds ({int(given) // 1000})"
    if _NANOSECONDS.start <= given < _NANOSECONDS.stop:
        return f"it looks like nanoseconds: send epoch milliseconds ({int(given) // 10**6})"
    return None


def money_hint(given: object) -> str | None:
    """A hint for money that is not in integer minor units."""
    if isinstance(given, float):
        return "money is an integer of minor units (cents, fen), without a decimal point: send 1230 for 12.30"
    if isinstance(given, str) and given.strip().lstrip("-").replace(".", "", 1).isdecimal():
        return "money is an integer of minor units (cents, fen), without quotes: send 1230 for 12.30"
    return None


# Envelopes -----------------------------------------------------------------------------------------------------------


def _debezium(message: Mapping[str, Any]) -> str | None:
    inner = message.get("payload")
    change = inner if isinstance(inner, dict) else message
    if isinstance(change.get("op"), str) and ("after" in change or "before" in change):
        return (
            f"the message is a Debezium change event (op {_short(change['op'])}): send an event of the "
            "contract instead, such as with an outbox table and the transform EventRouter"
        )
    return None


def _connect(message: Mapping[str, Any]) -> str | None:
    if "payload" in message and isinstance(message.get("schema"), dict | None) and "schema" in message:
        return (
            "the message is in Kafka Connect's envelope (schema, payload): set "
            "value.converter.schemas.enable=false to send only the payload"
        )
    return None


def _cloud_event(message: Mapping[str, Any]) -> str | None:
    if isinstance(message.get("specversion"), str) and (
        "data" in message or "data_base64" in message or "source" in message
    ):
        return (
            f"the message is in the CloudEvents envelope (specversion {_short(message['specversion'])}): send "
            "only `data`, or use the binary content mode"
        )
    return None


def _segment(message: Mapping[str, Any]) -> str | None:
    has_id = "messageId" in message or "anonymousId" in message
    call = message.get("type")
    if isinstance(call, str) and call in _SEGMENT_CALLS and (has_id or isinstance(message.get("properties"), dict)):
        name = message.get("event")
        event = f", event {_short(name)}" if isinstance(name, str) else ""
        return (
            f"the message is a Segment call (type {call}{event}): send an event of the contract instead, "
            "with its own `type`, with a destination function"
        )
    return None


def _ga4(message: Mapping[str, Any]) -> str | None:
    if isinstance(message.get("event_name"), str) and ("event_timestamp" in message or "event_params" in message):
        return (
            f"the message is a GA4 event (event_name {_short(message['event_name'])}): send an event of the "
            "contract instead; `event_timestamp` is in microseconds, `ts` in milliseconds"
        )
    if isinstance(message.get("events"), list) and ("client_id" in message or "app_instance_id" in message):
        return (
            "the message is a request of GA4's Measurement Protocol: send an event of the contract for each of `events`"
        )
    return None


def _row_change(message: Mapping[str, Any]) -> str | None:
    if {"database", "table", "type", "data"} <= message.keys():
        return (
            f"the message is a change of table {_short(message['table'])} from Maxwell or Canal: send an "
            "event of the contract instead"
        )
    return None


_ENVELOPES: tuple[Callable[[Mapping[str, Any]], str | None], ...] = (
    _debezium,
    _connect,
    _cloud_event,
    _segment,
    _ga4,
    _row_change,
)
"""The first match applies: Debezium is inside Connect's envelope."""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _short(given: object) -> str:
    return json.dumps(given, default=str)[:60]
