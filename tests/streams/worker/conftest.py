"""A worker on a real Redis that reads in-memory topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from consumers.kafka.faust_transport import FetchBudget, RecordBatch
from consumers.sources.inputs import InputTopics
from consumers.topics import Partition
from streams.clock import MACHINE, MachineClock
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.settings import Settings
from streams.store.connection import connect, open_store
from streams.store.keys import Keys
from streams.store.state import StoreState, read_state
from streams.store.worker_setup import DeclaredSetup, SetupStore, StoredSetup
from streams.worker.worker import Worker
from tests.streams.worker.topics import Topics


class Office:
    """One worker with its topics, settings and Redis."""

    def __init__(
        self, settings: Settings, setup: StoredSetup, machine: MachineClock = MACHINE, inputs: InputTopics | None = None
    ) -> None:
        self.settings = settings
        self.topics = Topics()
        self.fetch_budget = FetchBudget(10_000, 2**25)
        self.ending = ShutdownWatchdog()
        self.worker = Worker(
            self.settings, self.topics, self.fetch_budget, self.ending, machine, inputs=inputs, setup=setup
        )
        self.redis: Redis = connect(self.settings)
        self.keys = Keys(self.settings.redis_prefix, self.settings.shards)

    async def count(self, batch: RecordBatch) -> None:
        """Handle a batch to completion."""
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
async def opened(
    redis_url: str,
    machine: MachineClock = MACHINE,
    inputs: InputTopics | None = None,
    declared: DeclaredSetup | None = None,
    **changes: Any,
) -> AsyncIterator[Office]:
    """`declared`: its setup; by default the built-in model and the sources of `inputs`."""
    settings = Settings(**{"redis_url": redis_url, "clock": "event", "retain": "all", **changes})
    if declared is None:
        declared = DeclaredSetup(settings)
        if inputs is not None:
            declared = replace(declared, feeds=inputs.feeds, sources=inputs.fingerprint)
    async with open_store(settings) as (redis, keys):
        setup = await SetupStore(redis, keys).adopt(declared)
    office = Office(settings, setup, machine, inputs)
    try:
        yield office
    finally:
        await office.worker.stop()
        await office.redis.aclose()


class Clock:
    """A monotonic clock that only tests advance."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.machine = MachineClock(monotonic=lambda: self.now_s)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    """The monotonic clock of the tests that ask for it."""
    return Clock()


@pytest.fixture
async def office(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    """A worker on an empty Redis, on the real clock unless the test asks for `clock`."""
    machine = request.getfixturevalue("clock").machine if "clock" in request.fixturenames else MACHINE
    async with opened(redis_url, machine) as office:
        yield office
