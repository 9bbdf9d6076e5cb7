"""One client that follows: what it has seen, and what is new to it.

Nothing is kept waiting for a client. Whenever it has taken what was sent, changes of alerts are read from where it
stands, and of the numbers it gets the newest. So a slow one costs no memory, and is told what it did not get.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec
from redis.exceptions import RedisError

from streams.asof import STEP_MS
from streams.serve.asks import Ask, Told
from streams.serve.broadcast import Broadcast
from streams.serve.sse import Place, Seen, event
from streams.serve.turns import OverloadedError
from streams.store.connection import UNREACHABLE
from streams.view.asking import NotAnswerableError, NotReadyError

BEHIND_S = 10.0
"""A server may be behind the one that a client comes from for so long; an as-of that is earlier still has gone back."""
_encode = msgspec.json.Encoder().encode


class Follower:
    """Between two calls of `news` anything may happen. `resumed`: what the client has seen elsewhere."""

    def __init__(self, broadcast: Broadcast, ask: Ask[Told], resumed: Seen | None) -> None:
        self.over = False
        """Nothing can be told any more: the stream ends."""
        self._broadcast = broadcast
        self._ask = ask
        self._resumed = resumed is not None
        self._began_s = time.monotonic()
        self._turn: int | None = None
        """Of the as-of that was sent last."""
        self._as_of_ms = resumed.as_of_ms if resumed else None
        self._change = resumed.change if resumed else self._newest_change()
        self._to_check = self._resumed
        """Whether changes may have been dropped since the client saw the last one."""

    @property
    def seen(self) -> Seen:
        """What the client has seen."""
        return Seen(self._as_of_ms, self._change)

    async def news(self) -> AsyncIterator[bytes]:
        """Everything that is new, as events."""
        try:
            async for told in self._alerts():
                yield told
            async for told in self._kpis():
                yield told
        except NotAnswerableError:  # asked again, the client is told why
            self.over = True
        except (NotReadyError, OverloadedError, RedisError, *UNREACHABLE):
            return  # not now
        except Exception as error:
            self._broadcast.failed(error)
            self.over = True

    async def _alerts(self) -> AsyncIterator[bytes]:
        tail = self._broadcast.alerts
        if tail is None or tail.upto is None:
            return
        if self._to_check and not (self._change and await tail.reaches_back(self._change)):
            yield _gap("alerts", self._change and self._change[0], tail.upto[0])
        self._to_check = False
        if self._change is None:
            self._change = tail.upto
        while found := await tail.after(self._change):
            for change in found:
                self._change = change.place
                yield event("alert", change.json, self.seen)

    async def _kpis(self) -> AsyncIterator[bytes]:
        live, before_ms = self._broadcast.live, self._as_of_ms
        turn = live.turn
        if turn == self._turn:
            return
        numbers = await self._broadcast.numbers(self._ask)
        as_of_ms = numbers.as_of_ms
        if self._turn is None and before_ms is not None:
            if as_of_ms < before_ms and time.monotonic() - self._began_s < BEHIND_S:
                return
            missed = as_of_ms > before_ms + STEP_MS
        else:
            missed = self._turn is not None and turn > self._turn + 1
        self._turn = turn
        if as_of_ms == before_ms:
            return
        if missed:
            yield _gap("kpis", before_ms, as_of_ms)
        self._as_of_ms = as_of_ms
        yield event("kpis", numbers.json, self.seen)

    def _newest_change(self) -> Place | None:
        tail = self._broadcast.alerts
        return None if tail is None else tail.upto


def _gap(of: str, after_ms: int | None, before_ms: int) -> bytes:
    """Says that events between two moments are not sent, or may be missing."""
    return event("gap", _encode({"of": of, "after": after_ms, "before": before_ms}))
