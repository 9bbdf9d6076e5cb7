"""The view of one process, followed as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import structlog
from redis.exceptions import RedisError

from streams.rows import Rows
from streams.serve.standing import Facts, Standing, standing
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, connect
from streams.store.keys import Keys, Partition
from streams.store.reader import PaneReader
from streams.store.writer import now_ms
from streams.view.asking import NotAnswerableError, NotReadyError, Question
from streams.view.rolling import RollingView
from streams.windows import Window

log = structlog.get_logger()

_SLOWEST_RETRY_S = 1.0
_ASIDE_EVERY_MS = 1000
_LONGEST_PAUSE_S = 1.0


class Live:
    """The view, what else Redis holds for metrics, and how both stand.

    While Redis does not answer, everything keeps its last content, and `standing` says since when and why.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.totals: Mapping[str, int] = {}
        self.workers: Mapping[str, tuple[int, str]] = {}
        self.incomplete: Mapping[Partition, int] = {}
        rows = Rows()
        self._redis = connect(settings)
        self._reader = PaneReader(self._redis, Keys(settings.redis_prefix, settings.shards), rows)
        self.view = RollingView(self._reader, rows, settings)
        self._failure: str | None = None
        self._aside_ms = 0
        self._warm_ms: int | None = None
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin to follow; does not wait for Redis."""
        self._task = asyncio.create_task(self._follow(), name="follow the view")

    async def stop(self) -> None:
        """End following and close the connection."""
        self._stopping = True  # a cancellation alone may be lost in a library that waits for something else
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._redis.aclose()

    @property
    def alive(self) -> bool:
        """Whether the view is still followed: it always is, but for a fault of ours."""
        return self._task is not None and not self._task.done()

    @property
    def at_ms(self) -> int:
        """The clock of questions: when Redis last answered.

        Not the present: while Redis is away, the as-of must not move on over time that nothing was heard of.
        """
        if self.view.polled_ms is None:
            raise NotReadyError(f"Redis has not answered yet: {self._failure or 'it was only just asked'}")
        return self.view.polled_ms

    def standing(self) -> Standing:
        """How things stand now."""
        now, view = now_ms(), self.view
        facts = Facts(
            newest=view.as_of(now if view.polled_ms is None else view.polled_ms),
            partitions=view.state.partitions,
            stale=view.as_of(now).stale,
            polled_ms=view.polled_ms,
            failure=self._failure,
        )
        return standing(facts, now)

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """While several questions are asked about one as-of: no poll begins, for a second at most."""
        self._unpaused.clear()
        try:
            yield
        finally:
            self._unpaused.set()

    async def _follow(self) -> None:
        delay = interval = self.settings.poll_ms / 1000
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_PAUSE_S):
                    await self._unpaused.wait()
            try:
                await self._poll()
            except Exception as error:
                self._failed(error)
                delay = min(max(2 * delay, 0.1), _SLOWEST_RETRY_S)
            else:
                if self._failure is not None:
                    log.info("Redis answers again")
                self._failure, delay = None, interval
            await asyncio.sleep(delay)

    async def _poll(self) -> None:
        now = now_ms()
        await self.view.poll(now)
        if now - self._aside_ms >= _ASIDE_EVERY_MS:
            self.totals, self.workers = await self._reader.totals(), await self._reader.workers()
            self.incomplete = await self._reader.incomplete()
            self._aside_ms = now
        await self._keep_warm(now)

    async def _keep_warm(self, now: int) -> None:
        """Move every window on with the as-of, so that whoever asks first need not wait for it."""
        as_of_ms = self.view.as_of(now).ms
        if as_of_ms is None or as_of_ms == self._warm_ms:
            return
        for window in Window:
            with contextlib.suppress(NotAnswerableError):  # who asks is told why
                await self.view.one(Question(window), "", now)
            await asyncio.sleep(0)
        self._warm_ms = as_of_ms

    def _failed(self, error: Exception) -> None:
        """Said once, until another failure or none."""
        why = f"{type(error).__name__}: {error}"
        if why != self._failure:
            if isinstance(error, (RedisError, *UNREACHABLE)):
                log.warning("Redis does not answer; the last view is kept and no longer called live", error=str(error))
            else:
                log.exception("following the view failed; trying again")
        self._failure = why
