"""The sign of life to an outside watcher, who calls somebody when it fails to come: nobody can tell of his own end.

It crosses the whole path. A worker's word that nothing waits rests on what Kafka says; that word is in Redis; the as-of
goes on only while each partition has it; the leader evaluates up to that as-of, writes what it comes to, and sends the
sign through the same client as messages. What breaks anywhere on the way ends it.
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
"""How far behind the clock what is evaluated may be."""


@dataclass(frozen=True, slots=True)
class WrittenEvaluation:
    """An evaluation that was written."""

    at_ms: int
    """By Redis's clock."""
    as_of_ms: int


class HeartbeatOutcome(StrEnum):
    """What became of one sign of life."""

    SENT = "sent"
    STANDBY = "standby"
    """Another process leads, and sends it."""
    NOT_EVALUATED = "not_evaluated"
    """The rules have not been evaluated lately."""
    BEHIND = "behind"
    """What is evaluated is not the present: something before this process stands still."""
    FAILED = "failed"
    """The watcher did not take it."""


def withhold_reason(last: WrittenEvaluation | None, now_ms: int, clock: Clock) -> HeartbeatOutcome | None:
    """Why no sign of life may be given; None: all is well."""
    if last is None or now_ms - last.at_ms > EVALUATED_WITHIN_MS:
        return HeartbeatOutcome.NOT_EVALUATED
    if clock is Clock.WALL and now_ms - last.as_of_ms > MAX_AS_OF_AGE_MS:
        return HeartbeatOutcome.BEHIND
    return None


class Heartbeat:
    """Gives signs of life to one address."""

    def __init__(self, url: SecretStr, http: Http, clock: Clock) -> None:
        self._url = url.get_secret_value()
        self._http = http
        self._clock = clock
        self.failure = ""
        """Why the last one was not taken."""

    async def beat(self, last: WrittenEvaluation | None, now_ms: int, *, leading: bool) -> HeartbeatOutcome:
        """Once, if it may be given."""
        if not leading:
            return HeartbeatOutcome.STANDBY
        if (why := withhold_reason(last, now_ms, self._clock)) is not None:
            return why
        answer = await self._http.post(Request(self._url, b""))
        failed = answer if isinstance(answer, Failed) else check_response(answer, urlsplit(self._url).hostname or "")
        self.failure = failed.detail if failed else ""
        return HeartbeatOutcome.FAILED if failed else HeartbeatOutcome.SENT
