"""Redis is killed and back after 20 s, under load: what could not be written meanwhile does not page.

Two shops share it. In one the leading `alerts` is killed at the same moment, so that another process evaluates first;
in the other the only worker is killed, which does page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import redis

from alerts.store.keys import AlertKeys
from consumers.kafka.producer import KeyedProducer, OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.embedded.child import always_ready
from streams.store.keys import ALERTS_NAME
from tests.chaos.test_redis_refuses import receivers, rules
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.servers import Server, redis_server
from tests.support.stack import Shop, environment, stack

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.kafka]

AWAY_S = float(os.environ.get("SALEPULSE_AWAY_S", "20"))
STALE_S, GRACE_S = 12, 5
"""A partition is stale after this long without a heartbeat; time for workers to recover after the outage."""
OVER = ["store-down firing", "store-down resolved"]


@dataclass
class Watched:
    """A shop, its alerts processes, and the notifications sent."""

    shop: Shop
    chat: HttpReceiver
    alerts: Sequence[Server]

    @property
    def notifications(self) -> list[str]:
        held = [got.json for got in self.chat.requests if got.path == "/hook"]
        return [f"{one['data']['rule']} {one['type'].removeprefix('alert.')}" for one in held]

    def oldest_heartbeat_s(self) -> float:
        """Age of the oldest heartbeat of all partitions."""
        return max(now_ms() - (held.heartbeat_ms or 0) for held in self.shop.state().partitions.values()) / 1000

    def kill_leader(self) -> None:
        """kill -9 of the `alerts` process that evaluates."""
        keys = AlertKeys(self.shop.settings.redis_prefix)
        with redis.Redis.from_url(self.shop.redis.url) as client:
            owner = (client.hget(keys.lead, "owner") or b"").decode()
        number = owner.removeprefix(ALERTS_NAME).partition("-")[0]
        parent = Path(f"/proc/{number}/stat").read_text().split()[3]
        next(one for one in self.alerts if str(one.pid) in (number, parent)).kill()

    @property
    def logs(self) -> str:
        return "\n".join([*(one.log_path.read_text()[-3000:] for one in self.alerts), self.shop.log()[-4000:]])


@contextlib.asynccontextmanager
async def watched(broker: Server, store: Server, folder: Path, name: str, *, alerts: int) -> AsyncIterator[Watched]:
    async with contextlib.AsyncExitStack() as ending:
        chat = await ending.enter_async_context(http_receiver())
        own = folder / name
        own.mkdir()
        changes: dict[str, Any] = {
            "clock": Clock.WALL,
            "retain": "",
            "partitions": 2,
            "redis_prefix": name,
            "group": name,
            "alerts_receivers": str(receivers(own, chat.url)),
            "alerts_rules": str(rules(own)),
        }
        shop = await anyio.to_thread.run_sync(lambda: ending.enter_context(stack(broker, store, **changes)))
        env = {**environment(shop.settings), "SALEPULSE_SESSION_TIMEOUT_S": "6"}
        argv = [sys.executable, "-m", "streams.cli", "alerts"]
        servers = [Server(f"alerts-{at}", argv, 0, always_ready, own, env=env) for at in range(alerts)]
        for server in servers:
            await anyio.to_thread.run_sync(server.start)
            ending.callback(server.stop)
        yield Watched(shop, chat, servers)


async def send(bootstrap: str, stop: asyncio.Event) -> None:
    """About 20 events a second on each topic."""
    number = 0
    async with KeyedProducer(bootstrap) as producer:
        while not stop.is_set():
            messages = []
            for _ in range(5):
                number, now = number + 1, now_ms()
                user, order = f"u{number % 50}", f"o{number}"
                item = {"sku": "s", "qty": 1, "unit_price": 700}
                click = {"type": "page_view", "session_id": user, "user_id": user}
                paid = {"type": "order_paid", "order_id": order, "user_id": user, "items": [item]}
                level = {"type": "stock_level", "sku": "s", "warehouse": f"w{number % 20}", "on_hand": 9}
                for topic, key, event in (
                    (Topic.CLICKS, user, click),
                    (Topic.ORDERS, order, paid),
                    (Topic.LOGISTICS, str(number % 20), level),
                ):
                    event |= {"event_id": f"{topic}{number}", "ts": now}
                    messages.append(OutgoingMessage(topic, key.encode(), json.dumps(event).encode()))
            await producer.put(messages)
            await producer.flush()
            await anyio.sleep(0.25)


async def test_an_unavailable_redis_does_not_page_and_does_not_hide_dead_workers(
    apache_kafka: Server, tmp_path: Path
) -> None:
    run, stop = anyio.to_thread.run_sync, asyncio.Event()
    with redis_server(aof=True) as store:
        async with (
            watched(apache_kafka, store, tmp_path, "whole", alerts=2) as whole,
            watched(apache_kafka, store, tmp_path, "hurt", alerts=1) as hurt,
        ):
            sending = asyncio.create_task(send(apache_kafka.bootstrap, stop))
            try:
                for one in (whole, hurt):
                    await run(one.shop.until_all_partitions_worked)
                await run(lambda: whole.shop.until_records_counted(600))
                await anyio.sleep(10)
                assert (whole.notifications, hurt.notifications) == ([], []), whole.logs
                await run(whole.kill_leader)
                await run(store.kill)
                await run(hurt.shop.kill_worker)
                await anyio.sleep(AWAY_S)
                await run(store.restart)
                back_s, oldest_s, stale_s = time.monotonic(), 0.0, 0.0
                while (passed_s := time.monotonic() - back_s) < STALE_S + GRACE_S + 12:
                    if passed_s > GRACE_S:
                        oldest_s = max(oldest_s, await run(whole.oldest_heartbeat_s))
                    if not stale_s and "input-stale firing" in hurt.notifications:
                        stale_s = passed_s
                    await anyio.sleep(0.5)
            finally:
                stop.set()
                await sending
            assert whole.notifications == OVER, whole.logs
            assert oldest_s < STALE_S / 2, "every partition has a heartbeat every few seconds"
            assert sorted(hurt.notifications) == sorted([*OVER, "input-stale firing"]), hurt.logs
            assert STALE_S < stale_s < STALE_S + GRACE_S + 5, "the grace period, and not more"
