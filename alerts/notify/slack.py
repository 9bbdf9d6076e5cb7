"""Slack: an incoming webhook (api.slack.com, Sending messages using incoming webhooks)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.notify.channel import JSON, ReceiverConfig, json_bytes
from alerts.notify.http import HttpResponse, Request, check_response
from alerts.notify.markup import SlackMarkup
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Failed
from alerts.notify.secret import SecretUrl, host_of

MAX_BYTES = 12_000
_SECTION = 2900
"""Characters of a section: 3,000 at most."""


class SlackConfig(ReceiverConfig):
    """An incoming webhook: a message a second."""

    RATE: ClassVar[int] = 60

    type: Literal["slack"]
    url: SecretUrl
    """The webhook: all that proves who sends."""


class Slack:
    """Speaks to one webhook."""

    def __init__(self, config: SlackConfig) -> None:
        self._config = config

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Sections of mrkdwn; the title in `text`, for what shows no sections."""
        markup = SlackMarkup()
        text = message.body(markup, MAX_BYTES)
        sections = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in _parts(text)]
        body = {"text": markup.text(message.title), "blocks": sections, "unfurl_links": False}
        yield Request(self._config.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Slack says it in the status: 429 with Retry-After, 4xx for what it will never take."""
        return check_response(answer, host_of(self._config.url), accepted=(200,))


def _parts(text: str) -> Iterator[str]:
    """Text in parts that a section holds, broken between lines."""
    part = ""
    for line in text.split("\n"):
        if part and len(part) + 1 + len(line) > _SECTION:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line[:_SECTION]
    yield part
