"""An evaluating process in a test: what it knows, and one evaluation at a time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from redis.asyncio import Redis

from alerts.findings import Finding
from alerts.notify.wording import Place
from alerts.state.policy import Routing, Timing
from alerts.state.telling import Surroundings
from alerts.state.tick import Tick, tick
from alerts.store.keys import AlertKeys
from alerts.store.said import Said
from alerts.store.states import Lead, StateStore, WriteResult
from tests.alerts.builders import T0, evaluation, to

KEYS = AlertKeys("test")


@dataclass
class Process:
    """One of several that may evaluate."""

    redis: Redis
    name: str = "one"
    lease_ms: int = 5000
    routing: Routing = field(default_factory=lambda: to("chat"))
    timing: Timing = field(default_factory=Timing)
    keys: AlertKeys = KEYS

    def __post_init__(self) -> None:
        self.store = StateStore(self.redis, self.keys, Place(), lease_ms=self.lease_ms)
        self.said = Said(self.redis, self.keys)

    async def lead(self) -> Lead:
        lead = await self.store.lead(self.name)
        assert isinstance(lead, Lead), lead
        self.held, self.loaded = lead, await self.store.load()
        return lead

    async def compute(self, second: float, *found: Finding) -> Tick:
        now_ms = T0 + round(second * 1000)
        return tick(
            self.loaded.alerts,
            evaluation(*(replace(one, as_of_ms=now_ms) for one in found), at_ms=now_ms),
            timing=lambda rule: self.timing,
            acks=await self.said.acks(),
            around=Surroundings(self.routing, await self.said.silences(now_ms)),
            now_ms=now_ms,
        )

    async def write(self, done: Tick) -> WriteResult:
        return await self.store.write(self.held, self.loaded.version, done)

    async def evaluate(self, second: float, *found: Finding) -> Tick:
        """One evaluation from beginning to end, from what Redis holds."""
        await self.lead()
        done = await self.compute(second, *found)
        assert await self.write(done) is WriteResult.OK
        return done


@contextlib.asynccontextmanager
async def beside_servers(redis_url: str) -> AsyncIterator[Process]:
    """One that evaluates where servers with default settings look for alerts."""
    redis = Redis.from_url(redis_url)
    try:
        yield Process(redis, keys=AlertKeys("salepulse"))
    finally:
        await redis.aclose()
