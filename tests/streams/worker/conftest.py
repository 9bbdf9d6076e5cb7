"""A worker on a real Redis, reading topics that are lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from consumers.kafka.faust_transport import FetchBudget, RecordBatch
from consumers.topics import Partition
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.settings import Settings
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.state import StoreState, read_state
from streams.worker import Worker
from tests.streams.worker.topics import Topics


class Office:
    """One worker, and what it works on."""

    def __init__(self, redis_url: str, **changes: Any) -> None:
        self.settings = Settings(**{"redis_url": redis_url, "clock": "event", "retain": "all", **changes})
        self.topics = Topics()
        self.fetch_budget = FetchBudget(10_000, 2**25)
        self.ending = ShutdownWatchdog()
        self.worker = Worker(self.settings, self.topics, self.fetch_budget, self.ending)
        self.redis: Redis = connect(self.settings)
        self.keys = Keys(self.settings.redis_prefix, self.settings.shards)

    async def count(self, batch: RecordBatch) -> None:
        """Have a batch handled to its end."""
        await self.worker._process_batch(batch)

    async def state(self) -> StoreState:
        return await read_state(self.redis, self.keys)

    async def position(self, partition: Partition) -> int | None:
        held = await self.redis.hget(self.keys.state(self.keys.shard(partition)), f"pos:{partition}")
        return None if held is None else int(held)

    async def totals(self) -> dict[str, int]:
        held = await self.redis.hgetall(self.keys.totals(0))
        return {name.decode(): int(count) for name, count in held.items()}

    async def field(self, name: str) -> str | None:
        """A field of the state."""
        held = await self.redis.hget(self.keys.state(0), name)
        return None if held is None else held.decode()

    def metric(self, name: str, **labels: str) -> float:
        return self.worker.metrics.registry.get_sample_value(f"salepulse_{name}", labels) or 0


@asynccontextmanager
async def opened(redis_url: str, **changes: Any) -> AsyncIterator[Office]:
    office = Office(redis_url, **changes)
    try:
        yield office
    finally:
        await office.worker.stop()
        await office.redis.aclose()


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests, marked `anyio`, run on asyncio."""
    return "asyncio"


@pytest.fixture
async def office(redis_url: str) -> AsyncIterator[Office]:
    """A worker at work on an empty Redis."""
    async with opened(redis_url) as office:
        yield office


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock that only goes forward, moved by hand, in every module of the worker."""
    clock = Clock()
    for module in ("publishing", "housekeeping", "standing", "counting", "watching", "identity"):
        monkeypatch.setattr(f"streams.worker.{module}.monotonic", clock)
    return clock


class Clock:
    """Seconds, as of `time.monotonic`."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_(self, seconds: float) -> None:
        self.now_s += seconds
