"""WeCom group robots (developer.work.weixin.qq.com, Group robot)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.notify.channel import JSON, ReceiverConfig, error_code_and_message, json_bytes
from alerts.notify.http import HttpResponse, Request, check_response
from alerts.notify.markup import FULL_WIDTH_MARKDOWN
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import DeliveryFailure, Failed
from alerts.notify.secret import SecretUrl, host_of

MAX_BYTES = 4096
"""Limit of the text."""
TOO_FAST = 45009
BUSY = -1


class WeComConfig(ReceiverConfig):
    """A WeCom group robot: 20 messages per minute."""

    RATE: ClassVar[int] = 20

    type: Literal["wecom"]
    url: SecretUrl
    """The robot's webhook with its key, which is the only credential."""


class WeCom:
    """Channel to one robot."""

    def __init__(self, config: WeComConfig) -> None:
        self._config = config

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one Markdown message."""
        text = message.body(FULL_WIDTH_MARKDOWN, MAX_BYTES)
        body = {"msgtype": "markdown", "markdown": {"content": text}}
        yield Request(self._config.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check `errcode`; the HTTP status is always 200."""
        host = host_of(self._config.url)
        if (failed := check_response(answer, host)) is not None:
            return failed
        code, text = error_code_and_message(answer, "errcode")
        if code == 0:
            return None
        fault = {TOO_FAST: DeliveryFailure.RATE_LIMITED, BUSY: DeliveryFailure.SERVER_ERROR}.get(
            code or 1, DeliveryFailure.REFUSED
        )
        return Failed(fault, f"{host} returned error {code}: {text}", answer.retry_after_s)
