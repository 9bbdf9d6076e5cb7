"""Feishu and Lark group bots with signatures (open.feishu.cn, Custom bot guide)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.findings import Severity
from alerts.notify.channel import JSON, ReceiverConfig, error_code_and_message, json_bytes
from alerts.notify.http import HttpResponse, Request, check_response
from alerts.notify.markup import LARK_MARKDOWN, truncated
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import DeliveryFailure, Failed
from alerts.notify.secret import Secret, SecretUrl, host_of

MAX_BYTES = 15_000
"""The limit of a request is 20 KB."""
TOO_FAST = frozenset({9499, 11232, 99991400})
TRY_AGAIN = frozenset({11233, 190005, 99991401})


class FeishuConfig(ReceiverConfig):
    """A Feishu or Lark group bot: 100 messages per minute."""

    RATE: ClassVar[int] = 100

    type: Literal["feishu"]
    url: SecretUrl
    """The bot's webhook."""
    secret: Secret | None = None
    """The secret, if the bot verifies signatures."""


def sign(secret: str, timestamp_s: int) -> str:
    """The signature: Base64 of HMAC-SHA256 over an empty text, keyed with time and secret."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class Feishu:
    """Channel to one bot."""

    def __init__(self, config: FeishuConfig) -> None:
        self._config = config

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one card with a plain-text title and a Markdown body."""
        colour = (
            "green"
            if message.over
            else {Severity.CRITICAL: "red", Severity.WARNING: "orange"}.get(message.severity, "blue")
        )
        body: dict[str, object] = {
            "msg_type": "interactive",
            "card": {
                "config": {"wide_screen_mode": True},
                "header": {
                    "template": colour,
                    "title": {"tag": "plain_text", "content": truncated(message.title, 200)},
                },
                "elements": [{"tag": "markdown", "content": message.body(LARK_MARKDOWN, MAX_BYTES)}],
            },
        }
        if self._config.secret is not None:
            now_s = message.now_ms // 1000
            body |= {"timestamp": str(now_s), "sign": sign(self._config.secret.get_secret_value(), now_s)}
        yield Request(self._config.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check `code`; the HTTP status is always 200."""
        host = host_of(self._config.url)
        code, text = error_code_and_message(answer, "code", "StatusCode")
        if code in TOO_FAST:
            return Failed(DeliveryFailure.RATE_LIMITED, f"{host} returned error {code}: {text}", answer.retry_after_s)
        if (failed := check_response(answer, host)) is not None:
            return failed
        if code == 0:
            return None
        fault = DeliveryFailure.SERVER_ERROR if code in TRY_AGAIN else DeliveryFailure.REFUSED
        return Failed(fault, f"{host} returned error {code}: {text}", answer.retry_after_s)
