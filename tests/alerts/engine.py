"""An evaluating process for tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from redis.asyncio import Redis

from alerts.findings import Finding
from alerts.shop import ShopInfo
from alerts.state.notification import NotificationContext
from alerts.state.policy import Routing, Timing
from alerts.state.update import AlertStateUpdate, update_alerts
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.keys import AlertKeys
from alerts.store.states import LeaderLease, StateStore, WriteResult
from tests.alerts.builders import T0, evaluation, to

KEYS = AlertKeys("test")


async def expire_lease(redis: Redis, key: str) -> None:
    """End the lease under a key now, as if its time had passed."""
    await redis.hset(key, "until", "1")


@dataclass
class Process:
    """One of several evaluating processes."""

    redis: Redis
    name: str = "one"
    lease_ms: int = 5000
    routing: Routing = field(default_factory=lambda: to("chat"))
    timing: Timing = field(default_factory=Timing)
    keys: AlertKeys = KEYS

    def __post_init__(self) -> None:
        self.store = StateStore(self.redis, self.keys, ShopInfo(), lease_ms=self.lease_ms)
        self.acks_and_silences = AcksAndSilences(self.redis, self.keys)

    async def lead(self) -> LeaderLease:
        lead = await self.store.lead(self.name)
        assert isinstance(lead, LeaderLease), lead
        self.held, self.loaded = lead, await self.store.load()
        return lead

    async def compute(self, second: float, *found: Finding) -> AlertStateUpdate:
        now_ms = T0 + round(second * 1000)
        return update_alerts(
            self.loaded.alerts,
            evaluation(*(replace(one, as_of_ms=now_ms) for one in found), at_ms=now_ms),
            timing=lambda rule: self.timing,
            acks=await self.acks_and_silences.acks(),
            context=NotificationContext(self.routing, await self.acks_and_silences.silences(now_ms)),
            now_ms=now_ms,
        )

    async def write(self, done: AlertStateUpdate) -> WriteResult:
        return await self.store.write(self.held, self.loaded.version, done)

    async def evaluate(self, second: float, *found: Finding) -> AlertStateUpdate:
        """Evaluate once from the state in Redis."""
        await self.lead()
        done = await self.compute(second, *found)
        assert await self.write(done) is WriteResult.OK
        return done


@contextlib.asynccontextmanager
async def beside_servers(redis_url: str) -> AsyncIterator[Process]:
    """A process that uses the keys of servers with default settings."""
    redis = Redis.from_url(redis_url)
    try:
        yield Process(redis, keys=AlertKeys("salepulse"))
    finally:
        await redis.aclose()
