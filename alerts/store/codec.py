"""Alerts, notices, silences and acknowledgements as JSON, in Redis and in Kafka."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from alerts.state.alert import Ack, Alert
from alerts.state.notification import Notice
from alerts.state.silences import Silence

StoredType = TypeVar("StoredType", Alert, Notice, Silence, Ack)

_encoder = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (Alert, Notice, Silence, Ack)}


def encode(held: Alert | Notice | Silence | Ack) -> bytes:
    """As JSON."""
    return _encoder.encode(held)


def decode(kind: type[StoredType], text: bytes) -> StoredType:
    """From JSON that `encode` made. Raises ValueError where it is none of this kind."""
    held = _DECODERS[kind].decode(text)
    assert isinstance(held, kind)
    return held
