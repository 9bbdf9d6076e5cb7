"""A fair queue of queries to the view: one runs at a time, and polling goes first.

A query runs in steps, from one await to the next. Polling runs before the next step, and the CPU time of each step is
taken from the client's budget. Clients with waiting queries take turns.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from consumers.errors import SalepulseError

T = TypeVar("T")

SERVER_CLIENT = "\0server"
"""The server itself: it takes turns like a client, without a budget."""
current_client: ContextVar[str] = ContextVar("current_client", default="")
"""Name of the token of the request; empty: none."""

MAX_WAITING_PER_CLIENT = 32
MAX_WAITING = 128
"""Maximum number of waiting queries of all clients."""
LONGEST_PAUSE_S = 0.25
"""A paused query continues after this: it may hold a lock that polling needs."""
_MOST_ACCOUNTS = 10_000
"""Maximum number of budgets that are remembered."""


@dataclass(slots=True)
class TokenBucket:
    """A token bucket of CPU seconds."""

    rate: float
    """CPU seconds added per second."""
    capacity_s: float
    """CPU seconds that are saved at most."""
    _left_s: float = field(default=0.0, init=False)
    _at_s: float | None = field(default=None, init=False)

    def left_s(self, now_s: float) -> float:
        """CPU seconds left; negative if a query took more than was left."""
        if self._at_s is None:
            self._left_s = self.capacity_s
        else:
            self._left_s = min(self.capacity_s, self._left_s + max(0.0, now_s - self._at_s) * self.rate)
        self._at_s = now_s
        return self._left_s

    def use(self, seconds: float, now_s: float) -> None:
        """Record CPU seconds used."""
        self._left_s = self.left_s(now_s) - seconds

    def wait_s(self, now_s: float) -> float:
        """Seconds until the budget is positive; 0: now."""
        return max(0.0, -self.left_s(now_s) / self.rate)


class Budgets:
    """A budget per token; all clients without a token share one."""

    def __init__(self, rate: float, capacity_s: float) -> None:
        self._rate = rate
        self._capacity_s = capacity_s
        self._held: OrderedDict[str, TokenBucket] = OrderedDict()

    def of(self, client: str) -> TokenBucket:
        """The budget of a client; a new one is full."""
        if client not in self._held:
            self._held[client] = TokenBucket(self._rate, self._capacity_s)
            if len(self._held) > _MOST_ACCOUNTS:
                self._held.popitem(last=False)
        return self._held[client]


class OverloadReason(StrEnum):
    """Why a query was rejected."""

    BUDGET_SPENT = "budget_spent"
    """The client's computing time is spent."""
    QUEUE_FULL = "queue_full"
    """Too many queries wait."""
    DEADLINE = "deadline"
    """No answer in time."""


class OverloadedError(SalepulseError):
    """A query rejected to protect others."""

    def __init__(self, reason: OverloadReason, message: str, retry_after_s: float = 1) -> None:
        super().__init__(message, retriable=True)
        self.reason = reason
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class FairQueue:
    """The queue, for the event loop of the view."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """# {client: its queries}, the next client first"""
        self._count = 0
        self._taken = False
        self._paused = False
        self._paused_s = 0.0
        self._resumed = asyncio.Event()
        self._resumed.set()

    def pause(self) -> None:
        """Pause the running query for a while."""
        self._resumed.clear()
        self._paused_s = time.monotonic()

    def resume(self) -> None:
        """Resume the running query."""
        self._resumed.set()

    async def run(self, client: str, query: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a query when its turn comes. Raises OverloadedError if the queue is full or the budget is spent."""
        await self._wait_turn(client)
        try:
            return await TimedCoroutine(query(), lambda seconds: self._on_step(client, seconds), self._before_step)
        finally:
            self._pass_turn()

    async def _wait_turn(self, client: str) -> None:
        self._require_budget(client)
        if not self._taken:
            self._taken = True
            return
        own_queue = self._waiting.setdefault(client, deque())
        if len(own_queue) >= MAX_WAITING_PER_CLIENT or self._count >= MAX_WAITING:
            raise OverloadedError(
                OverloadReason.QUEUE_FULL,
                f"{len(own_queue)} queries of this client are waiting, {self._count} in all: retry in a few seconds",
            )
        turn = asyncio.get_running_loop().create_future()
        own_queue.append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the turn came just before it was cancelled
                self._pass_turn()
            else:
                self._forget(client, turn)
            raise
        try:
            self._require_budget(client)
        except OverloadedError:
            self._pass_turn()
            raise

    def _pass_turn(self) -> None:
        """Pass the turn to the next client with a waiting query."""
        while self._waiting:
            client, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[client] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def _forget(self, client: str, turn: asyncio.Future[None]) -> None:
        own_queue = self._waiting.get(client)
        if own_queue is not None and turn in own_queue:
            own_queue.remove(turn)
            self._count -= 1
            if not own_queue:
                del self._waiting[client]

    def _require_budget(self, client: str) -> None:
        if client == SERVER_CLIENT:
            return
        wait_s = self._budgets.of(client).wait_s(time.monotonic())
        if wait_s > 0:
            owner = f"token {client!r}" if client else "clients without a token"
            raise OverloadedError(
                OverloadReason.BUDGET_SPENT,
                f"the computing time of {owner} is spent (setting http_work_s): retry in {math.ceil(wait_s)} s, or "
                "query "
                "less: fewer values, a shorter window, fewer points; the newest as-of costs least",
                wait_s,
            )

    def _on_step(self, client: str, seconds: float) -> None:
        if client != SERVER_CLIENT:
            self._budgets.of(client).use(seconds, time.monotonic())

    async def _before_step(self) -> None:
        """Wait while paused."""
        left_s = self._paused_s + LONGEST_PAUSE_S - time.monotonic()
        if not self._resumed.is_set() and left_s > 0:
            try:
                await asyncio.wait_for(self._resumed.wait(), left_s)
            except TimeoutError:
                return


async def _no_wait() -> None:
    """The default of `before_step`."""


class TimedCoroutine(Generic[T]):
    """Runs a coroutine, measuring the CPU time of each step."""

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        on_step: Callable[[float], None],
        before_step: Callable[[], Coroutine[Any, Any, None]] = _no_wait,
    ) -> None:
        """`on_step` is called with the CPU seconds of each step; `before_step` is awaited before each step but the
        first."""
        self._work = work
        self._on_step = on_step
        self._before_step = before_step

    def __await__(self) -> Generator[Any, Any, T]:
        """Run all steps."""
        failure: BaseException | None = None
        try:
            while True:
                began_s = time.thread_time()
                try:
                    awaited = self._work.send(None) if failure is None else self._work.throw(failure)
                except StopIteration as end:
                    answer: T = end.value
                    return answer
                finally:
                    self._on_step(time.thread_time() - began_s)
                failure = None
                try:
                    yield awaited
                    yield from self._before_step().__await__()
                except BaseException as error:
                    failure = error
        finally:
            self._work.close()
