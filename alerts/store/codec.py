"""Alerts, notices, silences and acknowledgements as JSON, in Redis and in Kafka."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from alerts.state.alert import AlertState
from alerts.state.notices import Notice
from alerts.state.notification_log import Ack
from alerts.state.silences import Silence

StoredType = TypeVar("StoredType", AlertState, Notice, Silence, Ack)

_encoder = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (AlertState, Notice, Silence, Ack)}
_CURRENT_KEYS = {AlertState: b'"log":{', Notice: b'"log":{', Silence: b'"match_type":'}
"""A key that only the current format of each kind has; quotes inside JSON text are escaped."""
_FORMER_FIELDS = {
    "told": "notified",
    "page_of": "root_fingerprint",
    "free_ms": "unsuppressed_at",
    "passed_ms": "transferred_at",
    "held_by": "inhibited_by",
    "owner": "category",
    "matching": "match_type",
}
_LOG_FIELDS = {"reason": "status", "by": "suppressed_by"} | {
    name: name for name in ("unsuppressed_at", "notified", "ack", "continues", "root_fingerprint", "transferred_at")
}
"""{field of an alert before it had a notification log: field of the log}"""
_FORMER_STATUSES = {"told": "notified", "held_back": "inhibited", "never_told": "never_notified"}


def encode(value: AlertState | Notice | Silence | Ack) -> bytes:
    """Encode as JSON."""
    return _encoder.encode(value)


def decode(kind: type[StoredType], text: bytes) -> StoredType:
    """Decode JSON of this version or of a former one.

    Raises:
        ValueError: the JSON is invalid, or of another kind.
    """
    if _CURRENT_KEYS.get(kind, b"") not in text:
        text = _encoder.encode(_upgraded(msgspec.json.decode(text)))
    value = _DECODERS[kind].decode(text)
    assert isinstance(value, kind)
    return value


def _upgraded(value: Any) -> Any:
    """Rename the fields of a former version, and move those of the notification log into `log`."""
    if isinstance(value, list):
        return [_upgraded(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {_FORMER_FIELDS.get(name, name): _upgraded(item) for name, item in value.items()}
    if "status" in fields:
        log = {_LOG_FIELDS[name]: fields.pop(name) for name in _LOG_FIELDS if name in fields}
        log["status"] = _FORMER_STATUSES.get(log["status"], log["status"])
        fields["log"] = log
    if "matching" in value:
        if value["label"] == "owner":
            fields["label"] = "alert_category"
        if value["matching"] in ("~", "!~"):  # globs
            fields["match_type"] = "=~" if value["matching"] == "~" else "!~"
            fields["value"] = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in value["value"])
    return fields
