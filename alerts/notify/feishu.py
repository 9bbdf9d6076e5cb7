"""Feishu and Lark group bots with signatures (open.feishu.cn, Custom bot guide)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.findings import Severity
from alerts.notify.http import HttpResponse, Request
from alerts.notify.markup import LARK_MARKDOWN, truncated
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import DeliveryFailure, Failed
from alerts.notify.receiver import JSON, HttpReceiver, check_error_code, json_bytes
from alerts.notify.secret import Secret, SecretUrl, host_of

MAX_BYTES = 15_000
"""The limit of a request is 20 KB."""
TOO_FAST = frozenset({9499, 11232, 99991400})
TRY_AGAIN = frozenset({11233, 190005, 99991401})


def sign(secret: str, timestamp_s: int) -> str:
    """The signature: Base64 of HMAC-SHA256 over an empty text, keyed with time and secret."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class Feishu(HttpReceiver):
    """A Feishu or Lark group bot: 100 messages per minute."""

    RATE: ClassVar[int] = 100

    type: Literal["feishu"]
    url: SecretUrl
    """The bot's webhook."""
    secret: Secret | None = None
    """The secret, if the bot verifies signatures."""

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
        if self.secret is not None:
            now_s = message.now_ms // 1000
            body |= {"timestamp": str(now_s), "sign": sign(self.secret.get_secret_value(), now_s)}
        yield Request(self.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check `code`; the HTTP status is always 200."""
        failed = check_error_code(
            answer, host_of(self.url), "code", "StatusCode", rate_limited=TOO_FAST, server_error=TRY_AGAIN
        )
        if failed is not None and failed.fault is DeliveryFailure.RATE_LIMITED:
            return failed
        return super().check_response(answer) or failed
