"""DingTalk group robots with signatures (open.dingtalk.com, Custom robot: security settings)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal
from urllib.parse import quote_plus

from alerts.findings import Severity
from alerts.notify.http import HttpResponse, Request
from alerts.notify.markup import FULL_WIDTH_MARKDOWN
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import DeliveryFailure, Failed
from alerts.notify.receiver import JSON, HttpReceiver, check_error_code, json_bytes
from alerts.notify.secret import Secret, SecretUrl, host_of

MAX_BYTES = 18_000
"""The limit of a body is 20,000."""
TOO_FAST = frozenset({130101, 130102, 410100})
BUSY = frozenset({-1})
_BLOCKED_S = 600.0
"""A rate-limited robot is blocked for ten minutes."""


def sign(secret: str, timestamp_ms: int) -> str:
    """The signature: Base64 of HMAC-SHA256 over time and secret, keyed with the secret."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class DingTalk(HttpReceiver):
    """A DingTalk group robot: 20 messages per minute."""

    RATE: ClassVar[int] = 20

    type: Literal["dingtalk"]
    url: SecretUrl
    """The robot's webhook with its access_token."""
    secret: Secret | None = None
    """`SEC…`, if the robot requires signatures."""
    mobiles: tuple[str, ...] = ()
    """Telephone numbers to mention in critical messages."""

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one Markdown message."""
        url = self.url.get_secret_value()
        if self.secret is not None:
            signature = quote_plus(sign(self.secret.get_secret_value(), message.now_ms))
            url += f"{'&' if '?' in url else '?'}timestamp={message.now_ms}&sign={signature}"
        text = message.body(FULL_WIDTH_MARKDOWN, MAX_BYTES, newline="\n\n")
        urgent = message.severity is Severity.CRITICAL and message.calls
        mentioned = list(self.mobiles) if urgent else []
        if mentioned:
            text += "\n\n" + " ".join(f"@{mobile}" for mobile in mentioned)
        body = {
            "msgtype": "markdown",
            "markdown": {"title": FULL_WIDTH_MARKDOWN.text(message.title), "text": text},
            "at": {"atMobiles": mentioned, "isAtAll": False},
        }
        yield Request(url, json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check `errcode`; the HTTP status is always 200."""
        if (failed := super().check_response(answer)) is not None:
            return failed
        failed = check_error_code(answer, host_of(self.url), "errcode", rate_limited=TOO_FAST, server_error=BUSY)
        if failed is not None and failed.fault is DeliveryFailure.RATE_LIMITED:
            return replace(failed, retry_after_s=failed.retry_after_s or _BLOCKED_S)
        return failed
