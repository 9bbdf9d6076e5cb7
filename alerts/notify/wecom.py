"""WeCom group robots (developer.work.weixin.qq.com, Group robot)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.notify.http import HttpResponse, Request
from alerts.notify.markup import FULL_WIDTH_MARKDOWN
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Failed
from alerts.notify.receiver import JSON, HttpReceiver, check_error_code, json_bytes
from alerts.notify.secret import SecretUrl, host_of

MAX_BYTES = 4096
"""Limit of the text."""
TOO_FAST = frozenset({45009})
BUSY = frozenset({-1})


class WeCom(HttpReceiver):
    """A WeCom group robot: 20 messages per minute."""

    RATE: ClassVar[int] = 20

    type: Literal["wecom"]
    url: SecretUrl
    """The robot's webhook with its key, which is the only credential."""

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one Markdown message."""
        text = message.body(FULL_WIDTH_MARKDOWN, MAX_BYTES)
        body = {"msgtype": "markdown", "markdown": {"content": text}}
        yield Request(self.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check `errcode`; the HTTP status is always 200."""
        failed = super().check_response(answer)
        return failed or check_error_code(
            answer, host_of(self.url), "errcode", rate_limited=TOO_FAST, server_error=BUSY
        )
