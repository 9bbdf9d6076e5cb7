"""Alerts, notices, silences and acknowledgements as JSON, in Redis and in Kafka."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from alerts.state.alert import Ack, Alert
from alerts.state.notification import Notice
from alerts.state.silences import Silence

StoredType = TypeVar("StoredType", Alert, Notice, Silence, Ack)

_encoder = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (Alert, Notice, Silence, Ack)}
_FORMER_KEYS = (b'"held_by":', b'"matching":')
"""Every alert, notice and silence of the former format has one; quotes inside JSON text are escaped."""
_FORMER_FIELDS = {
    "told": "notified",
    "page_of": "root_fingerprint",
    "free_ms": "unsuppressed_at",
    "passed_ms": "transferred_at",
    "held_by": "inhibited_by",
    "owner": "category",
    "matching": "match_type",
}
_FORMER_STATUSES = {"told": "notified", "held_back": "inhibited", "never_told": "never_notified"}


def encode(value: Alert | Notice | Silence | Ack) -> bytes:
    """Encode as JSON."""
    return _encoder.encode(value)


def decode(kind: type[StoredType], text: bytes) -> StoredType:
    """Decode JSON of this version, or of the one before fields were renamed.

    Raises:
        ValueError: it is none of this kind.
    """
    if any(key in text for key in _FORMER_KEYS):
        text = _encoder.encode(_upgraded(msgspec.json.decode(text)))
    value = _DECODERS[kind].decode(text)
    assert isinstance(value, kind)
    return value


def _upgraded(value: Any) -> Any:
    if isinstance(value, list):
        return [_upgraded(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {_FORMER_FIELDS.get(name, name): _upgraded(item) for name, item in value.items()}
    if "status" in fields:
        fields["reason"] = _FORMER_STATUSES.get(fields["reason"], fields["reason"])
    if "matching" in value:
        if value["label"] == "owner":
            fields["label"] = "alert_category"
        if value["matching"] in ("~", "!~"):  # globs
            fields["match_type"] = "=~" if value["matching"] == "~" else "!~"
            fields["value"] = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in value["value"])
    return fields
