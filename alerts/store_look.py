"""Looking every second how Redis is, over connections of its own, and alarming people where it is not well."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from math import inf

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.store.said import Said
from alerts.store_alarm import StoreAlarm, StoreHealth
from consumers.errors import SalepulseError
from streams.serve.standing import DOWN_AFTER_MS
from streams.store.connection import UNREACHABLE, check, servers
from streams.store.evaluated import EVALUATED_WITHIN_MS, read_evaluated
from streams.store.keys import Keys
from streams.store.refusal_kinds import OURS, RedisRefusal
from streams.store.refusals import RedisUnavailableError
from streams.store.write_probe import WriteProbe

log = structlog.get_logger()

_DOWN_AFTER_S = DOWN_AFTER_MS / 1000
CLAIM_WITHIN_S = 60.0
"""Where no process has the claim to alarm people, since Kafka is away too, the last leader does so after this."""
_LEARN_EVERY_S = 10.0
_LEARN_SOON_S = 0.5
"""While one fires: that it is over must be known before the next one begins, or nobody is told of that."""
_APART_MS = 5_000
"""An evaluation that much later than our own last one is another process's."""
_SLOW_S = 0.5
"""A Redis that takes so long for a few small calls is slow: an evaluation, which makes dozens, may take minutes."""
_UNREADABLE = frozenset({RedisRefusal.LOADING, RedisRefusal.BUSY, RedisRefusal.MASTERDOWN, RedisRefusal.CLUSTERDOWN})
"""Refusals of reading too: as good as no answer."""


class StoreLook:
    """One process's look at Redis."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        said: Said,
        alarm: StoreAlarm,
        *,
        first_claim: Callable[[], bool],
        led_last: Callable[[], bool],
        evaluated_ms: Callable[[], int | None],
        kafka_answers: Callable[[], Awaitable[bool]],
        clock: Callable[[], int],
    ) -> None:
        """`said` goes by the same connections as `redis`. `evaluated_ms`: when this process itself last evaluated."""
        self._redis = redis
        self._keys = keys
        self._probe = WriteProbe(redis, keys, only_reads=False)
        self._said = said
        self._alarm = alarm
        self._first_claim = first_claim
        self._led_last = led_last
        self._evaluated_ms = evaluated_ms
        self._kafka_answers = kafka_answers
        self._clock = clock
        self._answered_s = time.monotonic()
        self._unwell_s: float | None = None
        self._back_s = -inf
        """When Redis was back, after longer than it takes to call it down."""
        self._learnt_s = -_LEARN_EVERY_S
        self.checked = False
        """Whether this Redis is known to be one that may hold counts and alerts."""
        self.well_s: float | None = None
        """Since when Redis has been well and quick without a break; None: it is not."""

    async def look(self, *, blocked_s: float) -> None:
        """Once. `blocked_s`: how long no evaluation has been completed: while they are, people are told that way.

        Raises SalepulseError, not retriable, where Redis must not be used as it is.
        """
        now_s = time.monotonic()
        health, failure = await self._health()
        if failure is None and health.well:
            if time.monotonic() - now_s > _SLOW_S:
                self.well_s = None
            else:
                self.well_s = now_s if self.well_s is None else self.well_s
            if self._unwell_s is not None and now_s - self._unwell_s > _DOWN_AFTER_S:
                self._back_s = now_s
            self._unwell_s = None
        else:
            self.well_s = None
            self._unwell_s = now_s if self._unwell_s is None else self._unwell_s
            if blocked_s < _DOWN_AFTER_S:
                health = StoreHealth()
        if failure is None:
            await self._learn()
        may_page = health.well or await self._may_page()
        for change in self._alarm.look(health, may_page=may_page, now_ms=self._clock()):
            log.warning("alert changed, kept in memory", what=change.what.value, alert=str(change.alert.series))

    @property
    def well_for_s(self) -> float:
        """For how long Redis has answered and taken writes, slowly or not; 0 while it does not. Short breaks, in which
        nobody who writes every second would be missed, do not count. Infinite: as long as this process knows."""
        return time.monotonic() - self._back_s if self._unwell_s is None else 0.0

    async def _health(self) -> tuple[StoreHealth, Exception | None]:
        try:
            refusal = await self._probe.refusal()
            if refusal is None and not self.checked:
                await check(self._redis)
                async with servers(self._redis) as each:  # it may have been away before this process looked
                    up_s = min([int((await one.info("server"))["uptime_in_seconds"]) for one in each])
                self._back_s = time.monotonic() - up_s
                self.checked = True
        except RedisUnavailableError as error:
            failure: Exception = error
        except (RedisError, *UNREACHABLE) as error:
            failure = error
        else:
            if refusal is None or refusal not in _UNREADABLE:
                self._answered_s = time.monotonic()
                refuses = refusal is not None and not (refusal in OURS and await self._others_write())
                return StoreHealth(refuses=refuses), None
            failure = SalepulseError(f"Redis refuses commands ({refusal})")
        return StoreHealth(down=time.monotonic() - self._answered_s > _DOWN_AFTER_S), failure

    async def _others_write(self) -> bool:
        """Whether it is our login alone that may not write: another process evaluates the rules, and writes that."""
        evaluated_ms = self._evaluated_ms()
        try:
            found = await read_evaluated(self._redis, self._keys)
        except (RedisError, *UNREACHABLE):
            return False
        at_ms = found.at_ms or 0
        return at_ms > (evaluated_ms or 0) + _APART_MS and self._clock() - at_ms <= EVALUATED_WITHIN_MS

    async def _learn(self) -> None:
        now_s = time.monotonic()
        every_s = _LEARN_SOON_S if self._alarm.knows_firing else _LEARN_EVERY_S
        if now_s - self._learnt_s < every_s or self._alarm.firing():
            return
        try:
            self._alarm.learn(await self._said.alerts(), await self._said.silences(self._clock()))
        except (RedisError, *UNREACHABLE):  # the next look says more
            return
        self._learnt_s = now_s

    async def _may_page(self) -> bool:
        """Kafka gives the claim to one process alone. Without Kafka, the process that led last has it after a while."""
        if self._first_claim():
            return True
        if not self._led_last() or self._unwell_s is None or time.monotonic() - self._unwell_s < CLAIM_WITHIN_S:
            return False
        return not await self._kafka_answers()
