"""Signed webhooks (Standard Webhooks, standardwebhooks.com, version 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, SecretStr

from alerts.notify.http import Request
from alerts.notify.message import NotificationMessage, brief_line, by_digest
from alerts.notify.message_text import headline, message_text
from alerts.notify.receiver import JSON, HttpReceiver, json_bytes
from alerts.notify.secret import Secret
from alerts.payloads import alert_payload
from alerts.shop import ShopInfo
from alerts.state.notices import Notice
from consumers.times import format_utc_ms

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Decode the key of a secret; ValueError if it is invalid."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the secret is invalid: write whsec_ and Base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("the secret must have 24 to 64 bytes: generate one with `openssl rand -base64 32`")
    return key


def _checked(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header `webhook-signature`."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


class Webhook(HttpReceiver):
    """A program that accepts signed webhooks."""

    RATE: ClassVar[int] = 600

    type: Literal["webhook"]
    secret: Annotated[Secret, AfterValidator(_checked)]
    """`whsec_` and 24 to 64 bytes in Base64."""

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one event per notice, or one with the events of a digest; its id identifies a repeat."""
        for notices in by_digest(message.notices):
            events = [_event(notice, message.shop) for notice in notices]
            body = json_bytes(events[0] if len(events) == 1 else _digest(notices, events, message.shop))
            now_s = message.now_ms // 1000
            ids = "\n".join(notice.id for notice in notices)
            message_id = f"msg_{hashlib.sha256(ids.encode()).hexdigest()[:24]}"
            headers = {
                **JSON,
                "webhook-id": message_id,
                "webhook-timestamp": str(now_s),
                "webhook-signature": sign(self.secret.get_secret_value(), message_id, now_s, body),
            }
            yield Request(self.url.get_secret_value(), body, headers)


def _event(notice: Notice, shop: ShopInfo) -> dict[str, Any]:
    return {
        "type": f"alert.{notice.kind}",
        "timestamp": format_utc_ms(notice.created_ms),
        "data": alert_payload(notice.alert, shop).model_dump(mode="json"),
        "text": asdict(message_text(notice, shop)),
    }


def _digest(notices: Sequence[Notice], events: list[dict[str, Any]], shop: ShopInfo) -> dict[str, Any]:
    return {
        "type": "alert.digest",
        "timestamp": format_utc_ms(max(notice.created_ms for notice in notices)),
        "data": {"digest": notices[0].digest, "events": events},
        "text": {
            "headline": f"{headline(notices[0])} (and {len(notices) - 1} more)",
            "summary": "\n".join(brief_line(notice, shop) for notice in notices),
        },
    }
