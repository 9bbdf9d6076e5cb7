"""Servers of the benchmarks: one broker, one Redis, and salepulse processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from consumers.settings import Clock
from consumers.topic_admin import create_topics, default_plans
from streams.local.embedded.child import always_ready
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.embedded.supervisor import tail
from streams.local.stack.plan import temporary_data_dir
from streams.settings import Settings
from streams.store.keys import Keys
from tests.support.empty_broker import empty_broker
from tests.support.kafka import apache_kafka
from tests.support.servers import Server, http_ready, redis_server, running, tansu_broker

REPOSITORY = Path(__file__).parents[2]
PARTITIONS = 4
_ROLES = {
    "worker": "from streams.worker.app import run; from streams.settings import Settings; run(Settings())",
    "serve": "from streams.serve.app import run; from streams.settings import Settings; run(Settings())",
}
"""Command line of `salepulse`, which need not be installed."""


class BenchError(Exception):
    """A measurement that could not be made; the message says why."""


@dataclass
class Ground:
    """The servers, and a way to start what is measured."""

    broker: Server
    redis: Server
    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def settings(self, **changes: Any) -> Settings:
        """Default settings on these servers, in a consumer group of its own."""
        chosen = {"clock": Clock.EVENT, "partitions": PARTITIONS, "group": f"bench-{next(self._numbers)}", **changes}
        return Settings(bootstrap=self.broker.bootstrap, redis_url=self.redis.url, **chosen)

    def empty(self) -> None:
        """New topics and an empty Redis."""
        empty_broker(self.broker.bootstrap)
        asyncio.run(create_topics(self.broker.bootstrap, default_plans(PARTITIONS)))
        self.empty_redis()

    def empty_redis(self) -> None:
        with self.client() as client:
            client.flushall()
            client.config_resetstat()

    def client(self) -> Redis:
        """A connection that gives up soon."""
        return Redis.from_url(self.redis.url, socket_timeout=2, socket_connect_timeout=2)

    def totals(self, settings: Settings) -> dict[str, int]:
        """The exact totals kept beside the panes: `events,topic,type`, `duplicates,topic`, ..."""
        with self.client() as client:
            held: Any = client.hgetall(Keys(settings.redis_prefix, 1).totals(0))
        return {name.decode(): int(count) for name, count in held.items()}

    @contextlib.contextmanager
    def workers(self, count: int, settings: Settings) -> Iterator[list[Server]]:
        """Worker processes, as `salepulse worker` starts them; they are at work some seconds later."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.worker(settings)) for _ in range(count)]

    def worker(self, settings: Settings) -> contextlib.AbstractContextManager[Server]:
        """One of them; it may be killed before the end."""
        return self._role("worker", settings)

    @contextlib.contextmanager
    def serve(self, settings: Settings) -> Iterator[Server]:
        """One `salepulse serve`; does not wait until it is ready."""
        port = free_port()
        with self._role("serve", settings.model_copy(update={"http_port": port}), port) as server:
            yield server

    @contextlib.contextmanager
    def _role(self, command: str, settings: Settings, port: int = 0) -> Iterator[Server]:
        ready = http_ready(LOOPBACK, port, "/healthz") if port else always_ready
        argv = [sys.executable, "-P", "-c", _ROLES[command]]
        name = f"{command}-{next(self._numbers)}"
        with running(Server(name, argv, port, ready, self.folder, env=environment(settings))) as server:
            yield server


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings as a process of ours reads them."""
    plain = settings.model_dump(mode="json") | {"redis_url": settings.redis_url.get_secret_value()}
    return {"PYTHONPATH": str(REPOSITORY), "SALEPULSE_METRICS_PORT": "0"} | {
        f"SALEPULSE_{name.upper()}": str(value) for name, value in plain.items() if value is not None
    }


def require_running(servers: list[Server]) -> None:
    """Raises BenchError with the end of its log when one has ended."""
    for server in servers:
        if not server.running:
            raise BenchError("\n".join([f"{server.name} ended by itself", *tail(server.log_path)]))


@contextlib.contextmanager
def ground(broker: str) -> Iterator[Ground]:
    """`broker`: embedded or apache. Redis writes its append-only file, as it does under `salepulse up`."""
    start = apache_kafka(memory="1g") if broker == "apache" else tansu_broker()
    with start as kafka, redis_server(aof=True) as store, temporary_data_dir() as folder:
        yield Ground(kafka, store, folder)
