"""Looking every second whether the worker gets on, and ending it where it does not and a new one would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from time import monotonic

import structlog
from redis.exceptions import RedisError

from consumers.kafka.consumer import Reading
from consumers.kafka.faust_transport import Room
from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.process.ending import Ending
from streams.store.connection import UNREACHABLE
from streams.store.refusal_kinds import OURS, TEXTS, RedisRefusal
from streams.store.write_probe import WriteProbe
from streams.worker.calls import RedisCalls
from streams.worker.holding import Holding
from streams.worker.standing import SILENT_S
from streams.worker.watchdog import Seen, Sight, Watchdog

log = structlog.get_logger()

_EVERY_S = 1.0
_REDIS_WITHIN_S = 2.0
_ASK_EVERY_S = 5.0

_ANY = Partition(Topic.CLICKS, 0)
"""Whom to ask of, where nothing is assigned."""

_ASK_UNREADABLE_EVERY_S = 30.0

CanBeRead = Callable[[Partition, int | None], Awaitable[bool]]
"""Whether somebody else is given the records from a position on."""


class Watching:
    """Takes a watchdog's word to the broker: only what can be read by somebody else is our own fault."""

    def __init__(
        self,
        after_s: float,
        *,
        probe: WriteProbe,
        calls: RedisCalls,
        report: Callable[[], Awaitable[None]],
        reading: Reading,
        holding: Holding,
        room: Room,
        stopped: Callable[[Partition], bool],
        can_be_read: CanBeRead,
        ending: Ending,
        stop: Callable[[], None],
    ) -> None:
        """`report`: leaves the worker's metrics in Redis."""
        self._after_s = after_s
        self._probe = probe
        self._report = report
        self._calls = calls
        self._refusal: RedisRefusal | None = None
        self._reading = reading
        self._holding = holding
        self._room = room
        self._stopped = stopped
        self._can_be_read = can_be_read
        self._ending = ending
        self._stop = stop
        self._dog = Watchdog(after_s)
        self._away: Partition | None = None
        """A partition that nobody could read when we last asked."""
        self._asked_s = 0.0
        self._unreadable: dict[Partition, int | None] = {}
        """Partitions whose records the broker gives nobody, though it answers for others. # <position>"""
        self._asking: asyncio.Task[None] | None = None
        self._asked_unreadable_s = 0.0

    @property
    def refusals(self) -> Collection[RedisRefusal]:
        """Why Redis takes no writes, as far as is known."""
        return () if self._refusal is None else (self._refusal,)

    async def run(self) -> None:
        """Until the worker is told to end, by us or by somebody else."""
        beating = asyncio.create_task(self._beat())
        try:
            await self._look_on()
        finally:
            beating.cancel()
            if self._asking is not None:
                self._asking.cancel()

    async def _beat(self) -> None:
        """Say that the main loop turns, also while looking takes long."""
        while True:
            self._ending.alive()
            await asyncio.sleep(_EVERY_S)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                why = await self.look() if self._after_s else ""
            except Exception:  # a rebalance in between; who watches must not be what fails
                log.exception("could not see whether the worker gets on, looking again")
                continue
            if why:
                log.error("this worker is stuck and ends, to be started anew; nothing is lost", why=why)
                self._ending.begin("being stuck", code=1)
                self._stop()
                return

    async def look(self) -> str:
        """Why the worker should end; empty when it should not."""
        seen = Seen(
            {partition: await self._see(partition) for partition in self._assigned()},
            redis_takes_writes=await self._redis_takes_writes(),
            rebalancing=self._reading.rebalancing,
            full=self._room.full,
        )
        doubted = self._dog.look(monotonic(), seen)
        self._ask_about_unreadable()
        if self._away:
            return await self._wait_for_broker(self._away)
        if self._dog.rebalance_is_stuck(monotonic()):
            doubted = doubted or list(seen.partitions) or [_ANY]
            why = f"a rebalance has not ended for {2 * self._after_s:g} s"
        elif doubted:
            why = f"nothing was read of {doubted[0]} for {self._after_s:g} s"
        else:
            return ""
        if await self._can_be_read(doubted[0], self._position(doubted[0])):
            return f"{why}, and the broker answers others"
        if self._hears_of_others(doubted[0]):
            log.error(
                "the broker gives nobody the records of a partition; reading the others",
                partition=str(doubted[0]),
                position=self._position(doubted[0]),
                fix="see its log: a batch may be damaged on its disk",
            )
            self._unreadable[doubted[0]] = self._position(doubted[0])
            return ""
        log.warning("the broker does not answer, waiting for it", partition=str(doubted[0]))
        self._away = doubted[0]
        return ""

    async def _wait_for_broker(self, partition: Partition) -> str:
        """A broker that was away: from the moment that it answers, our own connections have as long as ever."""
        assigned = self._assigned()
        if assigned and partition not in assigned:  # it is another worker's now, or its topic was deleted
            self._away = None
            self._dog.excuse(monotonic())
        elif monotonic() - self._asked_s > _ASK_EVERY_S:
            self._asked_s = monotonic()
            if await self._can_be_read(partition, self._position(partition)):
                log.info("the broker answers again", partition=str(partition))
                self._away = None
                self._dog.excuse(monotonic())
        return ""

    def _ask_about_unreadable(self) -> None:
        """Find out now and then, beside looking, whether a partition that nobody was given can be read again."""
        due = monotonic() - self._asked_unreadable_s > _ASK_UNREADABLE_EVERY_S
        if self._unreadable and due and (self._asking is None or self._asking.done()):
            self._asked_unreadable_s = monotonic()
            self._asking = asyncio.create_task(self._ask_about(next(iter(self._unreadable))))

    async def _ask_about(self, partition: Partition) -> None:
        position = self._unreadable.pop(partition)
        if partition in self._reading.assigned() and not await self._can_be_read(partition, position):
            self._unreadable[partition] = position  # behind the others, whose turn is next

    def _hears_of_others(self, partition: Partition) -> bool:
        return any(self._is_heard_of(other) for other in self._assigned() if other != partition)

    def _is_heard_of(self, partition: Partition) -> bool:
        return abs(now_ms() - (self._reading.heard_ms(partition) or 0)) <= SILENT_S * 1000

    def _position(self, partition: Partition) -> int | None:
        work = self._holding.works.get(partition)
        return None if work is None else work.position

    def _assigned(self) -> set[Partition]:
        """The partitions that are to be read, and can be as far as is known."""
        with suppress(Exception):  # Faust has no consumer yet, or none any more
            return {
                partition
                for partition in self._reading.assigned()
                if not self._stopped(partition)
                and not (partition in self._unreadable and self._unreadable[partition] == self._position(partition))
            }
        return set()

    async def _see(self, partition: Partition) -> Sight:
        work = self._holding.works.get(partition)
        position = None if work is None else work.position
        waits = not self._is_heard_of(partition)
        if not waits:
            end = self._reading.end(partition)
            with suppress(TimeoutError):
                waits = end is None or end > (await self._reading.at(partition) if position is None else position)
        return Sight(work and (work.position, work.touched, self._reading.steps(partition)), waits)

    async def _redis_takes_writes(self) -> bool:
        try:
            refusal = await asyncio.wait_for(self._probe.refusal(), _REDIS_WITHIN_S)
        except (RedisError, TimeoutError, *UNREACHABLE):
            return False
        if refusal is not self._refusal:
            if refusal is not None:
                why = TEXTS[refusal]
                log.warning(
                    "Redis refuses writes; waiting for it", reason=refusal.value, why=f"it {why.problem}", fix=why.fix
                )
            else:
                log.info("Redis takes writes")
            self._refusal = refusal
        if refusal in OURS or not OURS.isdisjoint(self._calls.refused.values()):
            # Housekeeping may be waiting for the same. Where this is refused too, heartbeats end.
            with suppress(RedisError, TimeoutError, *UNREACHABLE):
                await asyncio.wait_for(self._report(), _REDIS_WITHIN_S)
        return refusal is None and not self._calls.refused
