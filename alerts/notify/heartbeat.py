"""Heartbeat to an external dead man's switch, which pages if it stops.

It covers the whole path: workers write counts and heartbeats to Redis, the as-of advances only while every partition
is reported, and the leader evaluates up to the as-of and sends the heartbeat with the HTTP client of all notifications.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import SecretStr

from alerts.notify.http import Http, Request, check_response
from alerts.notify.outcome import Failed
from consumers.settings import Clock
from streams.store.last_evaluation import EVALUATED_WITHIN_MS

MAX_AS_OF_AGE_MS = 45_000
"""Maximum age of the evaluated as-of."""


@dataclass(frozen=True, slots=True)
class WrittenEvaluation:
    """An evaluation that was written."""

    at_ms: int
    """By the clock of Redis."""
    as_of_ms: int


class HeartbeatOutcome(StrEnum):
    """Outcome of one heartbeat."""

    SENT = "sent"
    STANDBY = "standby"
    """Another process leads and sends it."""
    NOT_EVALUATED = "not_evaluated"
    """There was no recent evaluation."""
    BEHIND = "behind"
    """The evaluated as-of is too old: a process or the broker has stopped."""
    FAILED = "failed"
    """The receiver refused it or did not respond."""


def withhold_reason(last: WrittenEvaluation | None, now_ms: int, clock: Clock) -> HeartbeatOutcome | None:
    """Return why the heartbeat must be withheld; None: it may be sent."""
    if last is None or now_ms - last.at_ms > EVALUATED_WITHIN_MS:
        return HeartbeatOutcome.NOT_EVALUATED
    if clock is Clock.WALL and now_ms - last.as_of_ms > MAX_AS_OF_AGE_MS:
        return HeartbeatOutcome.BEHIND
    return None


class Heartbeat:
    """Sends heartbeats to one address."""

    def __init__(self, url: SecretStr, http: Http, clock: Clock) -> None:
        self._url = url.get_secret_value()
        self._http = http
        self._clock = clock
        self.failure = ""
        """Detail of the last failure."""

    async def beat(self, last: WrittenEvaluation | None, now_ms: int, *, leading: bool) -> HeartbeatOutcome:
        """Send one heartbeat unless it must be withheld."""
        if not leading:
            return HeartbeatOutcome.STANDBY
        if (reason := withhold_reason(last, now_ms, self._clock)) is not None:
            return reason
        response = await self._http.post(Request(self._url, b""))
        failed = (
            response if isinstance(response, Failed) else check_response(response, urlsplit(self._url).hostname or "")
        )
        self.failure = failed.detail if failed else ""
        return HeartbeatOutcome.FAILED if failed else HeartbeatOutcome.SENT
