"""Slack incoming webhooks (api.slack.com, Sending messages using incoming webhooks)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from alerts.notify.http import HttpResponse, Request, check_response
from alerts.notify.markup import SLACK
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Failed
from alerts.notify.receiver import JSON, HttpReceiver, json_bytes
from alerts.notify.secret import SecretUrl, host_of

MAX_BYTES = 12_000
_SECTION = 2900
"""Slack's limit of a section is 3,000 characters."""


class Slack(HttpReceiver):
    """An incoming webhook: one message per second."""

    RATE: ClassVar[int] = 60

    type: Literal["slack"]
    url: SecretUrl
    """The webhook URL, which is the only credential."""

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build sections of mrkdwn, with the title in `text` as fallback."""
        text = message.body(SLACK, MAX_BYTES)
        sections = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in _parts(text)]
        body = {"text": SLACK.text(message.title), "blocks": sections, "unfurl_links": False}
        yield Request(self.url.get_secret_value(), json_bytes(body), JSON)

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Check the HTTP status."""
        return check_response(answer, host_of(self.url), accepted=(200,))


def _parts(text: str) -> Iterator[str]:
    """Split text into sections between lines."""
    part = ""
    for line in text.split("\n"):
        if part and len(part) + 1 + len(line) > _SECTION:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line[:_SECTION]
    yield part
