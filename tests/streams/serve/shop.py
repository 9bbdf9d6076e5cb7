"""A small shop for tests: events written to Redis as a worker does, and an app over them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from consumers.kafka.faust_transport import RecordBatch
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.panes.rows import RowIndex
from streams.serve.app import create_app
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition

T0 = 1_764_590_400_000
"""2025-12-01T12:00:00Z; events are given in seconds after it."""

QUIET_S = 600
"""Heartbeats are not stale for this long, so that slow tests need only one."""

CLICKS, ORDERS, LOGISTICS = (Partition(topic, 0) for topic in (Topic.CLICKS, Topic.ORDERS, Topic.LOGISTICS))


@dataclass
class Message:
    """A record as aiokafka gives it."""

    offset: int
    value: bytes
    key: bytes = b"k"
    timestamp: int | None = None


def shop_settings(redis_url: str, **changes: Any) -> Settings:
    """On the event clock, so that answers do not depend on the time of the run."""
    usual = {"redis_url": redis_url, "clock": Clock.EVENT, "poll_ms": 20, "stale_after_s": QUIET_S}
    return Settings(**{**usual, **changes})


def at(seconds: float) -> int:
    """Epoch ms of a second of the shop."""
    return T0 + int(seconds * 1000)


def click(seconds: float, type_: str = "page_view", user: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"type": type_, "ts": at(seconds), "user_id": user, "session_id": f"s-{user}", **fields}


def paid(seconds: float, amount: int, user: str = "u1", sku: str = "sku-1", **fields: Any) -> dict[str, Any]:
    """A paid order of one unit."""
    return order(seconds, "order_paid", amount, user, sku, **fields)


def order(
    seconds: float, type_: str, amount: int, user: str = "u1", sku: str = "sku-1", **fields: Any
) -> dict[str, Any]:
    lines = [{"sku": sku, "qty": 1, "unit_price": amount}]
    return {"type": type_, "ts": at(seconds), "order_id": f"o-{user}", "user_id": user, "items": lines, **fields}


class Shop:
    """Writes events; each `send` is one batch of a partition."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = connect(settings)
        self.keys = Keys(settings.redis_prefix, settings.shards)
        self.writer = PaneWriter(self.redis, self.keys, levels(settings))
        self._compactor = Compactor(self.redis, self.keys, levels(settings), settings.clock)
        self.works: dict[Partition, OwnedPartition] = {}
        self._rows = RowIndex()
        self._ids = 0

    async def send(self, partition: Partition, *events: dict[str, Any] | bytes) -> None:
        """Count events; bytes are written as they are."""
        work = self.works.get(partition)
        if work is None:
            made = OwnedPartition(partition, self.settings, self.writer, self._compactor, self._rows)
            work = self.works[partition] = made
        if not work.loaded:
            await work.load()
        follows = work.position or 0
        values = [event if isinstance(event, bytes) else self._encoded(event) for event in events]
        records = [Message(follows + i, value) for i, value in enumerate(values)]
        batch = RecordBatch(partition.topic, partition.number, follows, follows + len(records), records)
        moved = await work.apply(work.prepare(batch, event_time_bounds(self.settings, None, now_ms())))
        assert moved is None

    async def compact(self) -> None:
        for work in self.works.values():
            assert await work.compact(event_time_bounds(self.settings, None, now_ms()))

    async def attend(self, lag: int = 0, *only: Partition) -> None:
        """Write a heartbeat for all partitions, also for empty ones."""
        works = {partition: self.works.get(partition) for partition in only or (CLICKS, ORDERS, LOGISTICS)}
        await self.writer.heartbeat({partition: (work and work.position, lag) for partition, work in works.items()})

    async def silent_since(self, partition: Partition, seconds: float) -> None:
        """Set the last heartbeat of a partition back."""
        state = self.keys.state(self.keys.shard(partition))
        await self.redis.hset(state, f"seen:{partition}", str(now_ms() - int(seconds * 1000)))

    async def promote(self, promotion_id: str, start: float, end: float, **fields: Any) -> None:
        """Announce a promotion."""
        definition = {"promotion_id": promotion_id, "name": promotion_id, "timezone": "UTC"}
        times = {"starts_at": at(start), "ends_at": at(end)}
        await self.redis.hset(self.keys.promotions, promotion_id, json.dumps(definition | times | fields))
        await self.redis.hincrby(self.keys.state(0), "promotions", 1)

    async def withdraw(self, promotion_id: str) -> None:
        """Delete a promotion."""
        await self.redis.hdel(self.keys.promotions, promotion_id)
        await self.redis.hincrby(self.keys.state(0), "promotions", 1)

    async def close(self) -> None:
        await self.redis.aclose()

    def _encoded(self, event: dict[str, Any]) -> bytes:
        self._ids += 1
        return json.dumps({"event_id": f"e{self._ids}", **event}).encode()


@contextlib.asynccontextmanager
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    made = Shop(settings)
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def client(settings: Settings, app: FastAPI | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A running app and its client."""
    app = app or create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as made,
    ):
        yield made
