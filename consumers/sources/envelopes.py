"""Takes messages out of their envelopes: CloudEvents, Debezium, Kafka Connect's schema and payload.

What an envelope holds beside the message becomes attributes, named like the headers of the same content elsewhere:
`ce_id` as in the binary mode of CloudEvents, `__op` as by Debezium's ExtractNewRecordState.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from consumers.contract.rejection import RejectionReason
from consumers.sources.values import MappingError


class Envelope(StrEnum):
    """An envelope around the message."""

    NONE = "none"
    CLOUDEVENTS = "cloudevents"
    DEBEZIUM = "debezium"
    CONNECT = "connect"


class PassedOver(StrEnum):
    """Why a message makes no event without being refused."""

    TOMBSTONE = "tombstone"
    """It has no value, as in compacted topics and after Debezium's deletes."""
    DELETE = "delete"
    """Debezium's event of a deleted or truncated row, or a message of its own."""
    NONE_MATCHES = "none_matches"
    """No entry of the source matches, and `none_is_fine` is set."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The content of an envelope."""

    content: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


MARKS = frozenset({"payload", "specversion", "op"})
"""Fields of which every envelope has one."""
_DATA = ("data", "data_base64")
_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})
_json = msgspec.json.Decoder()


def unwrap(envelope: Envelope | None, value: Any) -> Unwrapped | PassedOver:
    """The content of a decoded message; `envelope` None recognizes it. Raises MappingError if it is another one."""
    if envelope is None:
        envelope = recognize(value)
    match envelope:
        case Envelope.NONE:
            return Unwrapped(value, _NO_ATTRIBUTES)
        case Envelope.CONNECT:
            payload = _connect_payload(value, required=True)
            return PassedOver.TOMBSTONE if payload is None else Unwrapped(payload)
        case Envelope.DEBEZIUM:
            return _unwrap_change(value)
    return _unwrap_cloud_event(value)


def recognize(value: Any) -> Envelope:
    """The envelope of a decoded message."""
    if value.__class__ is not dict or value.keys().isdisjoint(MARKS):
        return Envelope.NONE
    if "payload" in value and "schema" in value and isinstance(value["schema"], dict | None):
        return Envelope.DEBEZIUM if _is_change(value["payload"]) else Envelope.CONNECT
    if "specversion" in value and _is_structured(value):
        return Envelope.CLOUDEVENTS
    return Envelope.DEBEZIUM if _is_change(value) else Envelope.NONE


def _is_change(value: Any) -> bool:
    return (
        value.__class__ is dict and value.get("op").__class__ is str and "source" in value
        and ("after" in value or "before" in value)
    )  # fmt: skip


def _is_structured(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("type"), str) and "source" in value and "id" in value


def _connect_payload(value: Any, *, required: bool) -> Any:
    if isinstance(value, dict) and "payload" in value and "schema" in value:
        return value["payload"]
    if required:
        raise MappingError(
            RejectionReason.MISSING_FIELD,
            "the message has no `schema` and `payload` of Kafka Connect; if it is the content itself, write "
            "`envelope: none`",
        )
    return value


def _unwrap_change(value: Any) -> Unwrapped | PassedOver:
    change = _connect_payload(value, required=False)
    if change is None:
        return PassedOver.TOMBSTONE
    if not isinstance(change, dict) or not isinstance(change.get("op"), str):
        raise MappingError(
            RejectionReason.MISSING_FIELD,
            "the message is no Debezium change event: it has no `op`; if it is the row itself, write `envelope: none`",
        )
    row = change.get("after")
    if row is None:
        return PassedOver.DELETE
    origin = change.get("source")
    described = {name: origin.get(name) for name in ("table", "db", "lsn", "pos")} if isinstance(origin, dict) else {}
    attributes = {"op": change["op"], "ts_ms": change.get("ts_ms"), "before": change.get("before"), **described}
    return Unwrapped(row, {f"__{name}": given for name, given in attributes.items() if given is not None})


def _unwrap_cloud_event(value: Any) -> Unwrapped | PassedOver:
    """A CloudEvent in structured mode; any other message is the content of one in binary mode."""
    if not isinstance(value, dict) or "specversion" not in value or not _is_structured(value):
        return Unwrapped(value)
    attributes = {f"ce_{name}": given for name, given in value.items() if name not in _DATA}
    if (encoded := value.get("data_base64")) is not None:
        try:
            return Unwrapped(_json.decode(base64.b64decode(encoded, validate=True)), attributes)
        except (ValueError, TypeError, msgspec.DecodeError, RecursionError):
            raise MappingError(RejectionReason.BAD_JSON, "`data_base64` is not JSON in base64") from None
    content = value.get("data")
    if isinstance(content, str):
        content = parse_text(content, "data")
    return PassedOver.TOMBSTONE if content is None else Unwrapped(content, attributes)


def parse_text(text: str, path: str) -> Any:
    """JSON in a text of a message."""
    try:
        return _json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise MappingError(RejectionReason.BAD_JSON, f"`{path}` is a text that does not hold JSON") from None
