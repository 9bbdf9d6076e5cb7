"""What every way of sending has in common: a receiver's settings, and how an HTTP receiver is spoken to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.notify.grouping import RateLimit
from alerts.notify.http import Http, HttpResponse, Request
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Delivered, Failed, Outcome

JSON = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "salepulse"}


class ReceiverConfig(BaseModel):
    """What every receiver has."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    RATE: ClassVar[int] = 60
    """Messages a minute that receivers of this type take."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """What routes call it."""
    rate_per_minute: int | None = Field(None, ge=1, le=6000)
    """Most messages a minute; by default what its service allows."""

    @property
    def rate_limit(self) -> RateLimit:
        """How many messages it takes."""
        return RateLimit(self.rate_per_minute or self.RATE)


class Notifier(Protocol):
    """Sends messages to one receiver."""

    async def send(self, message: NotificationMessage) -> Outcome:
        """Send it once. Never raises for what a receiver or a network may do."""


class Channel(Protocol):
    """How one service is spoken to over HTTP. Pure: what is sent, and what an answer means."""

    def requests(self, message: NotificationMessage) -> Iterable[Request]:
        """What is to be posted for a message, in order."""

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """What the service said; None where it has taken it."""


class HttpNotifier:
    """Sends over HTTP what a channel makes of a message."""

    def __init__(self, channel: Channel, http: Http) -> None:
        self._channel = channel
        self._http = http

    async def send(self, message: NotificationMessage) -> Outcome:
        """Post every request; the first that fails ends it, and the message as a whole has failed."""
        for request in self._channel.requests(message):
            answer = await self._http.post(request)
            failed = answer if isinstance(answer, Failed) else self._channel.check_response(answer)
            if failed is not None:
                return failed
        return Delivered()


def json_bytes(held: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(held)


def error_code_and_message(answer: HttpResponse, *names: str) -> tuple[int | None, str]:
    """The error code of a JSON answer under the first of these names that is there, and its message, shortened."""
    try:
        held = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, "no JSON"
    if not isinstance(held, dict):
        return None, "no JSON object"
    code = next((held[name] for name in names if isinstance(held.get(name), int)), None)
    message = next((held[name] for name in ("errmsg", "msg", "StatusMessage") if isinstance(held.get(name), str)), "")
    return code, message[:120]
