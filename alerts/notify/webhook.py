"""Signed webhooks (Standard Webhooks, standardwebhooks.com, version 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, SecretStr

from alerts.notify.http import Request
from alerts.notify.message import NotificationMessage
from alerts.notify.message_text import message_text
from alerts.notify.receiver import JSON, HttpReceiver, json_bytes
from alerts.notify.secret import Secret
from alerts.payloads import alert_payload
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
        """Build one event per notice; its id identifies a repeat."""
        for notice in sorted(message.notices, key=lambda notice: notice.created_ms):
            body = json_bytes(
                {
                    "type": f"alert.{notice.kind}",
                    "timestamp": format_utc_ms(notice.created_ms),
                    "data": alert_payload(notice.alert, message.shop).model_dump(mode="json"),
                    "text": asdict(message_text(notice, message.shop)),
                }
            )
            now_s = message.now_ms // 1000
            message_id = f"msg_{hashlib.sha256(notice.id.encode()).hexdigest()[:24]}"
            headers = {
                **JSON,
                "webhook-id": message_id,
                "webhook-timestamp": str(now_s),
                "webhook-signature": sign(self.secret.get_secret_value(), message_id, now_s, body),
            }
            yield Request(self.url.get_secret_value(), body, headers)
