"""The clock that all processes share: that of the Redis with shard 0."""

from __future__ import annotations

from typing import Any

import structlog
from redis.asyncio import Redis

from streams.clock import MACHINE, MachineClock
from streams.store.clock_measurement import ClockMeasurement, better_measurement, is_off
from streams.store.cluster import Cluster
from streams.store.keys import Keys

log = structlog.get_logger()


class ReferenceClock:
    """Redis's clock, extrapolated from the last measurement. Measured in one thread, read in any.

    Before the first measurement it is the machine's clock, so measure before judging events by it.
    """

    def __init__(self, redis: Redis, keys: Keys, machine: MachineClock = MACHINE) -> None:
        self.measured_s: float | None = None
        """Monotonic time of the last measurement; None: not yet."""
        self.is_off = False
        """Whether the machine's clock differs too much from Redis's to be trusted."""
        self._redis = redis
        self._keys = keys
        self._machine = machine
        self._held: ClockMeasurement | None = None

    async def measure(self) -> None:
        """Measure Redis's clock. Raises what the client raises when Redis does not answer."""
        asked_s = self._machine.monotonic()
        server_ms = await server_time_ms(self._redis, self._keys)
        answered_s = self._machine.monotonic()
        self._held = better_measurement(self._held, ClockMeasurement.between(asked_s, answered_s, server_ms))
        self.measured_s = asked_s
        self._compare()

    def now_ms(self) -> int:
        """The present, epoch ms."""
        measurement = self._held
        return self._machine.now_ms() if measurement is None else int(measurement.now_ms(self._machine.monotonic()))

    @property
    def offset_ms(self) -> float:
        """Offset of the machine's clock from Redis's, negative if behind; 0 while unknown."""
        measurement = self._held
        return (
            0.0 if measurement is None else self._machine.time() * 1000 - measurement.now_ms(self._machine.monotonic())
        )

    def _compare(self) -> None:
        """Log once when the machine's clock loses trust, and once when it regains it."""
        measurement, was_off = self._held, self.is_off
        if measurement is None:
            return
        offset_ms = self.offset_ms
        self.is_off = is_off(offset_ms, measurement.uncertain_ms(self._machine.monotonic()), was_off=was_off)
        if self.is_off and not was_off:
            log.warning(
                "this machine's clock differs from Redis's and is not trusted; using Redis's: run NTP here",
                ahead_s=round(offset_ms / 1000, 1),
            )
        elif was_off and not self.is_off:
            log.info("this machine's clock agrees with Redis's again", ahead_s=round(offset_ms / 1000, 1))


async def server_time_ms(redis: Redis, keys: Keys) -> float:
    """The clock of the server that holds shard 0, epoch ms."""
    client: Any = redis
    seconds, micros = await (client.time_at(keys.state(0)) if isinstance(redis, Cluster) else client.time())
    return int(seconds) * 1000 + int(micros) / 1000
