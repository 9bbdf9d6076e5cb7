"""Feishu and Lark: a custom bot of a group, signed (open.feishu.cn, Custom bot guide)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.findings import Severity
from alerts.notify.channel import JSON, ReceiverConfig, code_of, json_bytes
from alerts.notify.http import Answer, Request, judge
from alerts.notify.markup import LarkMarkdown, clipped
from alerts.notify.message import Message
from alerts.notify.outcome import Failed, Fault
from alerts.notify.secret import Secret, SecretUrl, host_of

MOST_BYTES = 15_000
"""Of 20 KB that a request may have."""
TOO_FAST = frozenset({9499, 11232, 99991400})
TRY_AGAIN = frozenset({11233, 190005, 99991401})


class FeishuConfig(ReceiverConfig):
    """A bot of a Feishu or Lark group: 100 messages a minute."""

    RATE: ClassVar[int] = 100

    type: Literal["feishu"]
    url: SecretUrl
    """The bot's webhook."""
    secret: Secret | None = None
    """Where the bot is set to verifying signatures."""


def sign(secret: str, timestamp_s: int) -> str:
    """The signature of a moment: HMAC-SHA256 over nothing, with time and secret as the key, in Base64."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class Feishu:
    """Speaks to one bot."""

    def __init__(self, config: FeishuConfig) -> None:
        self._config = config

    def requests(self, message: Message) -> Iterator[Request]:
        """One card: its title in plain text, its body in Markdown."""
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
                    "title": {"tag": "plain_text", "content": clipped(message.title, 200)},
                },
                "elements": [{"tag": "markdown", "content": message.body(LarkMarkdown(), MOST_BYTES)}],
            },
        }
        if self._config.secret is not None:
            now_s = message.now_ms // 1000
            body |= {"timestamp": str(now_s), "sign": sign(self._config.secret.get_secret_value(), now_s)}
        yield Request(self._config.url.get_secret_value(), json_bytes(body), JSON)

    def judge(self, answer: Answer) -> Failed | None:
        """Feishu answers 200 and says in `code` what is wrong."""
        host = host_of(self._config.url)
        code, said = code_of(answer, "code", "StatusCode")
        if code in TOO_FAST:
            return Failed(Fault.RATE_LIMITED, f"{host} says {code}: {said}", answer.retry_after_s)
        if (failed := judge(answer, host)) is not None:
            return failed
        if code == 0:
            return None
        fault = Fault.SERVER_ERROR if code in TRY_AGAIN else Fault.REFUSED
        return Failed(fault, f"{host} says {code}: {said}", answer.retry_after_s)
