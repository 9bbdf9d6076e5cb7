"""Looking every second how Redis is, over connections of its own, and alarming people where it is not well."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from math import inf

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.redis_alerts import InMemoryRedisAlerts, RedisHealth
from alerts.store.acks_and_silences import AcksAndSilences
from consumers.errors import SalepulseError
from streams.serve.answer_status import DOWN_AFTER_MS
from streams.store.connection import UNREACHABLE, check, servers
from streams.store.errors import RedisUnavailableError
from streams.store.keys import Keys
from streams.store.last_evaluation import EVALUATED_WITHIN_MS, read_last_evaluation
from streams.store.refusal_kinds import PERMISSION_REFUSALS, RedisRefusal
from streams.store.write_probe import WriteProbe

log = structlog.get_logger()

_DOWN_AFTER_S = DOWN_AFTER_MS / 1000
PAGE_WITHOUT_KAFKA_AFTER_S = 60.0
"""Where no process has the claim to alarm people, since Kafka is away too, the last leader does so after this."""
_KNOWN_REFRESH_S = 10.0
_LEARN_SOON_S = 0.5
"""While one fires: that it is over must be known before the next one begins, or nobody is told of that."""
_APART_MS = 5_000
"""An evaluation that much later than our own last one is another process's."""
_SLOW_S = 0.5
"""A Redis that takes so long for a few small calls is slow: an evaluation, which makes dozens, may take minutes."""
_UNREADABLE = frozenset({RedisRefusal.LOADING, RedisRefusal.BUSY, RedisRefusal.MASTERDOWN, RedisRefusal.CLUSTERDOWN})
"""Refusals of reading too: as good as no answer."""


class RedisProbe:
    """One process's look at Redis."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        acks_and_silences: AcksAndSilences,
        alarm: InMemoryRedisAlerts,
        *,
        is_preferred_leader: Callable[[], bool],
        was_last_leader: Callable[[], bool],
        evaluated_ms: Callable[[], int | None],
        kafka_answers: Callable[[], Awaitable[bool]],
        clock: Callable[[], int],
    ) -> None:
        """`acks_and_silences` goes by the same connections as `redis`. `evaluated_ms`: when this process itself last
        evaluated.
        """
        self._redis = redis
        self._keys = keys
        self._probe = WriteProbe(redis, keys, only_reads=False)
        self._acks_and_silences = acks_and_silences
        self._alarm = alarm
        self._is_preferred_leader = is_preferred_leader
        self._led_last = was_last_leader
        self._evaluated_ms = evaluated_ms
        self._kafka_answers = kafka_answers
        self._clock = clock
        self._answered_s = time.monotonic()
        self._unhealthy_since_s: float | None = None
        self._back_s = -inf
        """When Redis was back, after longer than it takes to call it down."""
        self._known_updated_s = -_KNOWN_REFRESH_S
        self.checked = False
        """Whether this Redis is known to be one that may hold counts and alerts."""
        self.healthy_since_s: float | None = None
        """Since when Redis has been well and quick without a break; None: it is not."""

    async def observe(self, *, blocked_s: float) -> None:
        """Once. `blocked_s`: how long no evaluation has been completed: while they are, people are told that way.

        Raises SalepulseError, not retriable, where Redis must not be used as it is.
        """
        now_s = time.monotonic()
        health, failure = await self._health()
        if failure is None and health.is_healthy:
            if time.monotonic() - now_s > _SLOW_S:
                self.healthy_since_s = None
            else:
                self.healthy_since_s = now_s if self.healthy_since_s is None else self.healthy_since_s
            if self._unhealthy_since_s is not None and now_s - self._unhealthy_since_s > _DOWN_AFTER_S:
                self._back_s = now_s
            self._unhealthy_since_s = None
        else:
            self.healthy_since_s = None
            self._unhealthy_since_s = now_s if self._unhealthy_since_s is None else self._unhealthy_since_s
            if blocked_s < _DOWN_AFTER_S:
                health = RedisHealth()
        if failure is None:
            await self._update_known()
        may_page = health.is_healthy or await self._may_page()
        for change in self._alarm.observe(health, may_page=may_page, now_ms=self._clock()):
            log.warning("alert changed, kept in memory", kind=change.kind.value, alert=str(change.alert.series))

    @property
    def healthy_for_s(self) -> float:
        """For how long Redis has answered and taken writes, slowly or not; 0 while it does not. Short breaks, in which
        nobody who writes every second would be missed, do not count. Infinite: as long as this process knows."""
        return time.monotonic() - self._back_s if self._unhealthy_since_s is None else 0.0

    async def _health(self) -> tuple[RedisHealth, Exception | None]:
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
                refuses = refusal is not None and not (refusal in PERMISSION_REFUSALS and await self._others_write())
                return RedisHealth(refuses=refuses), None
            failure = SalepulseError(f"Redis refuses commands ({refusal})")
        return RedisHealth(down=time.monotonic() - self._answered_s > _DOWN_AFTER_S), failure

    async def _others_write(self) -> bool:
        """Whether it is our login alone that may not write: another process evaluates the rules, and writes that."""
        evaluated_ms = self._evaluated_ms()
        try:
            found = await read_last_evaluation(self._redis, self._keys)
        except (RedisError, *UNREACHABLE):
            return False
        at_ms = found.at_ms or 0
        return at_ms > (evaluated_ms or 0) + _APART_MS and self._clock() - at_ms <= EVALUATED_WITHIN_MS

    async def _update_known(self) -> None:
        now_s = time.monotonic()
        every_s = _LEARN_SOON_S if self._alarm.knows_firing else _KNOWN_REFRESH_S
        if now_s - self._known_updated_s < every_s or self._alarm.firing():
            return
        try:
            self._alarm.update_known(
                await self._acks_and_silences.alerts(), await self._acks_and_silences.silences(self._clock())
            )
        except (RedisError, *UNREACHABLE):  # the next look says more
            return
        self._known_updated_s = now_s

    async def _may_page(self) -> bool:
        """Kafka gives the claim to one process alone. Without Kafka, the process that led last has it after a while."""
        if self._is_preferred_leader():
            return True
        if (
            not self._led_last()
            or self._unhealthy_since_s is None
            or time.monotonic() - self._unhealthy_since_s < PAGE_WITHOUT_KAFKA_AFTER_S
        ):
            return False
        return not await self._kafka_answers()
