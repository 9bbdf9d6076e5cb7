"""Checks every second that the worker makes progress, and ends it if a new worker could."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass

import structlog
from redis.exceptions import RedisError

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import FetchBudget
from consumers.topics import Partition, Topic
from streams.clock import MachineClock
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.store.connection import UNREACHABLE
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal
from streams.store.write_probe import WriteProbe
from streams.worker.position_tracker import SILENT_S
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry
from streams.worker.watchdog import PartitionSample, Watchdog, WorkerSample

log = structlog.get_logger()

_EVERY_S = 1.0
"""Interval of checks, and of signs of life of the event loop."""
_REDIS_WITHIN_S = 2.0
"""Time-out of a write probe."""
_ASK_EVERY_S = 5.0
"""Interval of probing a partition while the broker does not answer."""

_ANY = Partition(Topic.CLICKS, 0)
"""Partition to probe if none is assigned."""

_CONFIRMED_AFTER_S = 3.0
"""So long another consumer can read what this one does not before the worker ends."""

_ASK_UNREADABLE_EVERY_S = 30.0
"""Interval of probing unreadable partitions, one at a time."""

CanBeRead = Callable[[Partition, int | None], Awaitable[bool]]
"""Whether another consumer receives the records from a position."""


@dataclass(eq=False)
class StuckMonitor:
    """Confirms the watchdog's findings with the broker: the worker is stuck only if another consumer can read."""

    after_s: float
    _: KW_ONLY
    probe: WriteProbe
    redis_retry: RedisRetry
    report: Callable[[], Awaitable[None]]
    """Publishes the worker's state in Redis."""
    reading: WorkerConsumer
    registry: PartitionRegistry
    fetch_budget: FetchBudget
    is_paused: Callable[[Partition], bool]
    is_readable: CanBeRead
    shutdown_watchdog: ShutdownWatchdog
    stop: Callable[[], None]
    machine: MachineClock

    def __post_init__(self) -> None:
        self._refusal: RedisRefusal | None = None
        self._watchdog = Watchdog(self.after_s)
        self._unanswered: Partition | None = None
        """A partition that no consumer could read at the last probe."""
        self._asked_s = 0.0
        self._readable: tuple[Partition, int | None] | None = None
        """The suspect partition that another consumer could read, and its position."""
        self._readable_s = 0.0
        """Since when it could."""
        self._unreadable: dict[Partition, int | None] = {}
        """# <partition that no consumer can read while the broker answers for others: its position>"""
        self._asking: asyncio.Task[None] | None = None
        self._asked_unreadable_s = 0.0

    @property
    def refusals(self) -> Collection[RedisRefusal]:
        """Why Redis refuses writes, if known."""
        return () if self._refusal is None else (self._refusal,)

    async def run(self) -> None:
        """Run until the worker stops or is found stuck."""
        liveness = asyncio.create_task(self._beat())
        try:
            await self._check_forever()
        finally:
            liveness.cancel()
            if self._asking is not None:
                self._asking.cancel()

    async def _beat(self) -> None:
        """Signal that the event loop runs, independent of slow checks."""
        while True:
            self.shutdown_watchdog.alive()
            await asyncio.sleep(_EVERY_S)

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            if self.shutdown_watchdog.code:
                return
            try:
                why = await self.check() if self.after_s else ""
            except Exception:  # a rebalance in between; a failing monitor must not end the worker
                log.exception("stuck check failed; retrying in 1 s")
                continue
            if why:
                log.error("worker is stuck; exiting to be restarted, no record is lost", why=why)
                self.shutdown_watchdog.begin("being stuck", code=1)
                self.stop()
                return

    async def check(self) -> str:
        """The reason to end the worker; empty if there is none."""
        sample = WorkerSample(
            {partition: await self._see(partition) for partition in self._assigned()},
            redis_takes_writes=await self._redis_takes_writes(),
            rebalancing=self.reading.rebalancing,
            full=self.fetch_budget.full,
        )
        suspects = self._watchdog.check(self.machine.monotonic(), sample)
        self._ask_about_unreadable()
        if self._unanswered:
            return await self._wait_for_broker(self._unanswered)
        if self._watchdog.rebalance_is_stuck(self.machine.monotonic()):
            suspects = suspects or list(sample.partitions) or [_ANY]
            why = f"a rebalance has not ended for {2 * self.after_s:g} s"
        elif suspects:
            why = f"no record of {suspects[0]} was read for {self.after_s:g} s"
        else:
            return ""
        found, now_s = (suspects[0], self._position(suspects[0])), self.machine.monotonic()
        if found == self._readable and now_s - self._readable_s < min(self.after_s / 3, _CONFIRMED_AFTER_S):
            return ""
        if await self.is_readable(*found):
            if found == self._readable:
                return f"{why}, and the broker answers other consumers"
            self._readable, self._readable_s = found, now_s  # perhaps only now, and this worker soon can, too
            return ""
        self._readable = None
        if self._hears_of_others(suspects[0]):
            log.error(
                "partition is unreadable for every consumer; reading the others",
                partition=str(suspects[0]),
                position=self._position(suspects[0]),
                fix="see the broker's log: a batch may be damaged on its disk",
            )
            self._unreadable[suspects[0]] = self._position(suspects[0])
            return ""
        log.warning("broker does not answer; waiting for it", partition=str(suspects[0]))
        self._unanswered = suspects[0]
        return ""

    async def _wait_for_broker(self, partition: Partition) -> str:
        """Wait for an unavailable broker; once it answers, restart the timers to give our connections time."""
        assigned = self._assigned()
        if assigned and partition not in assigned:  # reassigned, or its topic was deleted
            self._unanswered = None
            self._watchdog.restart_timers(self.machine.monotonic())
        elif self.machine.monotonic() - self._asked_s > _ASK_EVERY_S:
            self._asked_s = self.machine.monotonic()
            if await self.is_readable(partition, self._position(partition)):
                log.info("broker answers again", partition=str(partition))
                self._unanswered = None
                self._watchdog.restart_timers(self.machine.monotonic())
        return ""

    def _ask_about_unreadable(self) -> None:
        """Probe one unreadable partition in the background from time to time."""
        due = self.machine.monotonic() - self._asked_unreadable_s > _ASK_UNREADABLE_EVERY_S
        if self._unreadable and due and (self._asking is None or self._asking.done()):
            self._asked_unreadable_s = self.machine.monotonic()
            self._asking = asyncio.create_task(self._ask_about(next(iter(self._unreadable))))

    async def _ask_about(self, partition: Partition) -> None:
        position = self._unreadable.pop(partition)
        if partition in self.reading.assigned() and not await self.is_readable(partition, position):
            self._unreadable[partition] = position  # behind the other partitions, which are probed next

    def _hears_of_others(self, partition: Partition) -> bool:
        return any(self._is_heard_of(other) for other in self._assigned() if other != partition)

    def _is_heard_of(self, partition: Partition) -> bool:
        return abs(self.machine.now_ms() - (self.reading.last_fetch_ms(partition) or 0)) <= SILENT_S * 1000

    def _position(self, partition: Partition) -> int | None:
        owned = self.registry.owned_partitions.get(partition)
        return None if owned is None else owned.position

    def _assigned(self) -> set[Partition]:
        """The assigned partitions that should be readable."""
        with suppress(Exception):  # Faust has no consumer before its start and after its end
            return {
                partition
                for partition in self.reading.assigned()
                if not self.is_paused(partition)
                and not (partition in self._unreadable and self._unreadable[partition] == self._position(partition))
            }
        return set()

    async def _see(self, partition: Partition) -> PartitionSample:
        owned = self.registry.owned_partitions.get(partition)
        position = None if owned is None else owned.position
        has_backlog = not self._is_heard_of(partition)
        if not has_backlog:
            end = self.reading.known_end_offset(partition)
            with suppress(TimeoutError):
                has_backlog = end is None or end > (
                    await self.reading.position(partition) if position is None else position
                )
        return PartitionSample(
            owned and (owned.position, owned.last_batch_s, self.reading.large_record_reads(partition)), has_backlog
        )

    async def _redis_takes_writes(self) -> bool:
        try:
            refusal = await asyncio.wait_for(self.probe.refusal(), _REDIS_WITHIN_S)
        except (RedisError, TimeoutError, *UNREACHABLE):
            return False
        if refusal is not self._refusal:
            if refusal is not None:
                text = REFUSAL_TEXTS[refusal]
                log.warning(
                    "Redis refuses writes; waiting for it", reason=refusal.value, why=f"it {text.problem}", fix=text.fix
                )
            else:
                log.info("Redis accepts writes")
            self._refusal = refusal
        if refusal in PERMISSION_REFUSALS or not PERMISSION_REFUSALS.isdisjoint(self.redis_retry.refused.values()):
            # Housekeeping may be blocked by the same refusal. If this call is refused, too, heartbeats end.
            with suppress(RedisError, TimeoutError, *UNREACHABLE):
                await asyncio.wait_for(self.report(), _REDIS_WITHIN_S)
        return refusal is None and not self.redis_retry.refused
