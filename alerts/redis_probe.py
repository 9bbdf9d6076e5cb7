"""Check Redis every second over separate connections, and evaluate the rules about it in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.redis_alerts import InMemoryRedisAlerts, RedisHealth
from alerts.store.acks_and_silences import AcksAndSilences
from consumers.errors import SalepulseError
from streams.store.connection import UNREACHABLE, check, servers
from streams.store.errors import RedisUnavailableError
from streams.store.keys import Keys
from streams.store.last_evaluation import EVALUATED_WITHIN_MS, read_last_evaluation
from streams.store.refusal_kinds import PERMISSION_REFUSALS, RedisRefusal
from streams.store.write_probe import WriteProbe
from streams.view.answer_status import DOWN_AFTER_MS

log = structlog.get_logger()

_DOWN_AFTER_S = DOWN_AFTER_MS / 1000
_KNOWN_REFRESH_S = 10.0
"""Refresh interval of the known alerts and silences."""
_LEARN_SOON_S = 0.5
"""Refresh interval while one of these alerts fires: its end must be known before the next incident starts."""
_APART_MS = 5_000
"""A stored evaluation this much later than this process's last one was written by another process."""
_SLOW_S = 0.5
"""Redis is slow if a few small calls take longer; an evaluation makes dozens."""
_UNREADABLE = frozenset({RedisRefusal.LOADING, RedisRefusal.BUSY, RedisRefusal.MASTERDOWN, RedisRefusal.CLUSTERDOWN})
"""Refusals that also prevent reads, and count as no response."""


class RedisProbe:
    """Checks Redis and evaluates the alerts about it, for one process."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        acks_and_silences: AcksAndSilences,
        alarm: InMemoryRedisAlerts,
        *,
        reports: Callable[[], bool],
        evaluated_ms: Callable[[], int | None],
        clock: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`acks_and_silences` uses the connections of `redis`. `reports`: whether this process reports an outage.
        `evaluated_ms` is the time of this process's last evaluation."""
        self._redis = redis
        self._keys = keys
        self._probe = WriteProbe(redis, keys, only_reads=False)
        self._acks_and_silences = acks_and_silences
        self._alarm = alarm
        self._reports = reports
        self._evaluated_ms = evaluated_ms
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._answered_s = self._monotonic_s()
        self._unhealthy_since_s: float | None = None
        self._back_s = -inf
        """When Redis last returned from an outage."""
        self._known_updated_s = -_KNOWN_REFRESH_S
        self.checked = False
        """Whether this Redis passed the checks of version and configuration."""
        self.healthy_since_s: float | None = None
        """Since when Redis has been healthy and fast; None: it is not."""

    async def observe(self, *, blocked_s: float) -> None:
        """Check once. `blocked_s`: time without a completed evaluation; while evaluations complete, they report on
        Redis.

        Raises SalepulseError, not retriable, if Redis must not be used as configured.
        """
        now_s = self._monotonic_s()
        health, failure = await self._health()
        if failure is None and health.is_healthy:
            if self._monotonic_s() - now_s > _SLOW_S:
                self.healthy_since_s = None
            else:
                self.healthy_since_s = now_s if self.healthy_since_s is None else self.healthy_since_s
            answered_s = self._monotonic_s()  # a Redis that hung answers calls from before its return
            if self._unhealthy_since_s is not None and answered_s - self._unhealthy_since_s > _DOWN_AFTER_S:
                self._back_s = answered_s
            self._unhealthy_since_s = None
        else:
            self.healthy_since_s = None
            self._unhealthy_since_s = now_s if self._unhealthy_since_s is None else self._unhealthy_since_s
            if blocked_s < _DOWN_AFTER_S:
                health = RedisHealth()
        if failure is None:
            await self._update_known()
        may_page = health.is_healthy or self._reports()
        for change in self._alarm.observe(health, may_page=may_page, now_ms=self._clock()):
            log.warning("alert about Redis changed", kind=change.kind.value, alert=str(change.alert.series))

    @property
    def healthy_for_s(self) -> float:
        """Seconds for which Redis has accepted writes, ignoring short interruptions; infinite if no outage is known."""
        return self._monotonic_s() - self._back_s if self._unhealthy_since_s is None else 0.0

    async def _health(self) -> tuple[RedisHealth, Exception | None]:
        try:
            refusal = await self._probe.refusal()
            if refusal is None and not self.checked:
                await check(self._redis)
                async with servers(self._redis) as clients:  # Redis may have been down before this process started
                    up_s = min([int((await client.info("server"))["uptime_in_seconds"]) for client in clients])
                self._back_s = self._monotonic_s() - up_s
                self.checked = True
        except RedisUnavailableError as error:
            failure: Exception = error
        except (RedisError, *UNREACHABLE) as error:
            failure = error
        else:
            if refusal is None or refusal not in _UNREADABLE:
                self._answered_s = self._monotonic_s()
                refuses = refusal is not None and not (refusal in PERMISSION_REFUSALS and await self._others_write())
                return RedisHealth(refuses=refuses), None
            failure = SalepulseError(f"Redis refuses commands ({refusal})")
        return RedisHealth(down=self._monotonic_s() - self._answered_s > _DOWN_AFTER_S), failure

    async def _others_write(self) -> bool:
        """Whether only this process's user lacks the right: another process still writes evaluations."""
        evaluated_ms = self._evaluated_ms()
        try:
            last_evaluation = await read_last_evaluation(self._redis, self._keys)
        except (RedisError, *UNREACHABLE):
            return False
        at_ms = last_evaluation.at_ms or 0
        return at_ms > (evaluated_ms or 0) + _APART_MS and self._clock() - at_ms <= EVALUATED_WITHIN_MS

    async def _update_known(self) -> None:
        now_s = self._monotonic_s()
        every_s = _LEARN_SOON_S if self._alarm.knows_firing else _KNOWN_REFRESH_S
        if now_s - self._known_updated_s < every_s or self._alarm.firing():
            return
        try:
            self._alarm.update_known(
                await self._acks_and_silences.alerts(), await self._acks_and_silences.silences(self._clock())
            )
        except (RedisError, *UNREACHABLE):  # the next check reports it
            return
        self._known_updated_s = now_s
