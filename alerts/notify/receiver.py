"""The base of all receivers, and of those over HTTP."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable
from typing import ClassVar, Protocol

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.notify.grouping import RateLimit
from alerts.notify.http import Http, HttpResponse, Request, check_response
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed, Outcome
from alerts.notify.secret import SecretUrl, host_of

JSON = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "salepulse"}


class ReceiverConfig(BaseModel):
    """Settings of every receiver."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    RATE: ClassVar[int] = 60
    """Default limit of messages per minute."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """Name for routes."""
    rate_per_minute: int | None = Field(None, ge=1, le=6000)
    """Limit of messages per minute; default: the limit of the service."""

    @property
    def rate_limit(self) -> RateLimit:
        """Return the rate limit."""
        return RateLimit(self.rate_per_minute or self.RATE)


class Notifier(Protocol):
    """Sends messages to one receiver."""

    async def send(self, message: NotificationMessage) -> Outcome:
        """Send one message. Failures are returned, not raised."""


class HttpReceiver(ReceiverConfig):
    """A receiver over HTTP: its settings, the requests of a message, and the meaning of responses. Pure."""

    url: SecretUrl

    @abstractmethod
    def requests(self, message: NotificationMessage) -> Iterable[Request]:
        """Build the requests for a message, in order."""

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Return the failure that a response reports; None: accepted."""
        return check_response(answer, host_of(self.url))


class HttpNotifier:
    """Sends the requests of a receiver."""

    def __init__(self, receiver: HttpReceiver, http: Http) -> None:
        self._receiver = receiver
        self._http = http

    async def send(self, message: NotificationMessage) -> Outcome:
        """Send all requests; the first failure fails the message."""
        for request in self._receiver.requests(message):
            response = await self._http.post(request)
            failed = response if isinstance(response, Failed) else self._receiver.check_response(response)
            if failed is not None:
                return failed
        return Delivered()


def json_bytes(held: object) -> bytes:
    """Encode as JSON."""
    return msgspec.json.encode(held)


def check_error_code(
    answer: HttpResponse, host: str, *names: str, rate_limited: Collection[int], server_error: Collection[int]
) -> Failed | None:
    """Return the failure of a JSON response with an error code (the first of these fields); None: the code is 0."""
    code, text = _error_code_and_message(answer, *names)
    if code == 0:
        return None
    fault = DeliveryFailure.REFUSED
    if code in rate_limited:
        fault = DeliveryFailure.RATE_LIMITED
    elif code in server_error:
        fault = DeliveryFailure.SERVER_ERROR
    return Failed(fault, f"{host} returned error {code}: {text}", answer.retry_after_s)


def _error_code_and_message(response: HttpResponse, *names: str) -> tuple[int | None, str]:
    try:
        decoded = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, "no JSON"
    if not isinstance(decoded, dict):
        return None, "no JSON object"
    code = next((decoded[name] for name in names if isinstance(decoded.get(name), int)), None)
    message = next(
        (decoded[name] for name in ("errmsg", "msg", "StatusMessage") if isinstance(decoded.get(name), str)), ""
    )
    return code, message[:120]
