"""A Redis that answers but refuses writes for a minute: each cause in a shop of its own, all at once on one broker.

Also one whose Redis is unavailable for 20 s, and one whose Redis is slow for half a minute. All on the machine's clock:
each shop is polled, and whenever it is live its numbers must equal the events sent. A worker is killed and replaced
midway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import redis

from alerts.rules.loader import default_text
from consumers.kafka.producer import KeyedProducer, OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.embedded.child import always_ready, redis_ready
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.embedded.redis import redis_command
from streams.local.stack.plan import temporary_data_dir
from tests.support.fault_proxy import FaultProxy
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.servers import Server, redis_server, running
from tests.support.stack import Shop, environment, stack

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

REFUSED_S = float(os.environ.get("SALEPULSE_REFUSED_S", "60"))
"""How long writes are refused."""
GMV = 700
STUCK_S = REFUSED_S / 4
"""A worker that reads nothing for this time ends: both the one that is killed and its successor wait longer."""
STARTED_S = 13
"""How long a new worker may take to report that it waits."""
NOTICED_S = 5
"""How soon `/readyz` reports that writes are refused."""
BACK_S = 20
"""How soon everything is live after the end."""
SECRET = "whsec_" + "c2FsZXB1bHNl" * 4


class Refusing:
    """A Redis that can be made to refuse writes, by one cause."""

    cause = ""
    code = "redis_refuses_writes"
    """Code on `/readyz`."""
    rule = "store-refuses-writes"
    lasts_s = REFUSED_S
    alerts = 1
    """Number of processes of this role."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url

    def admin(self) -> redis.Redis:
        return redis.Redis.from_url(self.server.url)

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class OutOfMemory(Refusing):
    """`maxmemory` is reached."""

    cause = "oom"

    def begin(self) -> None:
        self.admin().config_set("maxmemory", "1")

    def end(self) -> None:
        self.admin().config_set("maxmemory", "0")


class TooFewReplicas(Refusing):
    """`min-replicas-to-write` is not met."""

    cause = "noreplicas"

    def begin(self) -> None:
        self.admin().config_set("min-replicas-to-write", "1")

    def end(self) -> None:
        self.admin().config_set("min-replicas-to-write", "0")


class FullDisk(Refusing):
    """The append-only file cannot grow: to Redis a process limit is the same as a full disk."""

    cause = "misconf"

    def begin(self) -> None:
        self._limit(0)

    def end(self) -> None:
        self._limit(None)

    def _limit(self, size: int | None) -> None:
        limit = "unlimited" if size is None else str(size)
        subprocess.run(["prlimit", f"--pid={self.server.pid}", f"--fsize={limit}:unlimited"], check=True)


class Demoted(Refusing):
    """Behind a stable address the primary becomes a replica; later the address leads to the new primary.

    Connections to the old one stay open.
    """

    cause = "readonly"
    alerts = 2

    def __init__(self, server: Server, other: Server, proxy: FaultProxy) -> None:
        super().__init__(server)
        self.other, self.proxy = other, proxy
        self.url = f"redis://{proxy.address}/0"
        redis.Redis.from_url(other.url).replicaof(server.host, server.port)

    def begin(self) -> None:
        client = redis.Redis.from_url(self.other.url)
        client.replicaof("NO", "ONE")
        self.admin().replicaof(self.other.host, self.other.port)

    def end(self) -> None:
        self.proxy.target = (self.other.host, self.other.port)


class Away(Refusing):
    """It is killed, and restarted with its data."""

    cause, code, rule, alerts = "away", "redis_down", "store-down", 2
    lasts_s = 20

    def begin(self) -> None:
        self.server.kill()

    def end(self) -> None:
        self.server.restart()


class Slow(Refusing):
    """It answers after 1.5 s, and accepts everything."""

    cause, code, rule = "slow", "", ""
    lasts_s = REFUSED_S / 2

    def __init__(self, server: Server, proxy: FaultProxy) -> None:
        super().__init__(server)
        self.proxy = proxy
        self.url = f"redis://{proxy.address}/0"

    def begin(self) -> None:
        self.proxy.delay(0.75)

    def end(self) -> None:
        self.proxy.delay(0)


@contextlib.contextmanager
def disk_limited_redis() -> Iterator[Server]:
    """A Redis with an append-only file that ignores the signal of a file size limit."""
    port = free_port()
    with temporary_data_dir() as folder:
        ignoring = ["sh", "-c", 'trap "" XFSZ; exec "$0" "$@"']
        argv = [*ignoring, *redis_command(port, folder, append_only=True)]
        with running(Server("redis", argv, port, redis_ready(LOOPBACK, port), folder)) as server:
            yield server


@contextlib.contextmanager
def refusing_redises() -> Iterator[list[Refusing]]:
    with (
        redis_server() as oom,
        redis_server() as lonely,
        disk_limited_redis() as full,
        redis_server() as old,
        redis_server() as new,
        FaultProxy((old.host, old.port)) as proxy,
        redis_server(aof=True) as killed,
        redis_server() as slow,
        FaultProxy((slow.host, slow.port)) as slowing,
    ):
        yield [
            OutOfMemory(oom),
            TooFewReplicas(lonely),
            FullDisk(full),
            Demoted(old, new, proxy),
            Away(killed),
            Slow(slow, slowing),
        ]


@dataclass
class Sent:
    """Events written to Kafka so far, by event time."""

    views_ms: list[int] = field(default_factory=list)
    orders_ms: list[int] = field(default_factory=list)

    def expected(self, as_of_ms: int) -> tuple[int, int]:
        """page_views and gmv of the minute before an as-of."""
        views, orders = (
            sum(as_of_ms - 60_000 <= at < as_of_ms for at in times[-2000:]) for times in (self.views_ms, self.orders_ms)
        )
        return views, orders * GMV

    async def send(self, bootstrap: str, stop: asyncio.Event) -> None:
        """About 16 views and 8 orders a second, with the send time as event time."""
        number = 0
        async with KeyedProducer(bootstrap) as producer:
            for topic in (Topic.CLICKS, Topic.ORDERS):  # metadata first: a slow first write would make its events late
                await producer.partitions(topic)
            while not stop.is_set():
                messages = []
                for i in range(6):
                    number, now = number + 1, now_ms()
                    event: dict[str, Any] = {"event_id": f"e{number}", "ts": now, "user_id": f"u{number % 50}"}
                    if i % 3:
                        event |= {"type": "page_view", "session_id": event["user_id"]}
                        self.views_ms.append(now)
                        messages.append(
                            OutgoingMessage(Topic.CLICKS, event["user_id"].encode(), json.dumps(event).encode())
                        )
                    else:
                        item = {"sku": "s", "qty": 1, "unit_price": GMV}
                        event |= {"type": "order_paid", "order_id": f"o{number}", "items": [item]}
                        self.orders_ms.append(now)
                        messages.append(
                            OutgoingMessage(Topic.ORDERS, event["order_id"].encode(), json.dumps(event).encode())
                        )
                await producer.put(messages)
                await producer.flush()
                await anyio.sleep(0.25)


@dataclass
class Sample:
    """A shop's state at one time."""

    at_s: float
    live: bool
    as_of_ms: int
    codes: list[str]
    wrong: str = ""


@dataclass
class Case:
    """One shop with its fault."""

    refusing: Refusing
    shop: Shop
    chat: HttpReceiver
    alerts: list[Server] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    began_s: float = 0
    ended_s: float = 0
    refused: int = 0
    """HTTP status of a silence created meanwhile."""
    ran_on: bool = False
    """Whether every process was still running at the end."""
    notified_meanwhile: list[str] = field(default_factory=list)

    @property
    def cause(self) -> str:
        return self.refusing.cause

    async def play(self, client: httpx.AsyncClient) -> None:
        """From the start of the fault to its end."""
        run, lasts_s = anyio.to_thread.run_sync, self.refusing.lasts_s
        await run(self.refusing.begin)
        self.began_s = time.monotonic()
        await anyio.sleep(min(lasts_s / 2, lasts_s - STARTED_S))
        await run(self.shop.kill_worker)
        await run(self.shop.start_worker)
        self.refused = await self.silence(client)
        await anyio.sleep(lasts_s - (time.monotonic() - self.began_s))
        self.ran_on = all(server.running for server in (*self.shop.workers, self.shop.serve, *self.alerts))
        self.notified_meanwhile = self.notifications()
        self.ended_s = time.monotonic()
        await run(self.refusing.end)

    async def sample(self, client: httpx.AsyncClient, sent: Sent) -> None:
        """Poll once, and compare."""
        try:
            ready = await client.get(f"{self.shop.api.url}/readyz")
            answer = await client.get(f"{self.shop.api.url}/api/v1/kpis", params={"window": "1m"})
        except httpx.TransportError:
            self.samples.append(Sample(time.monotonic(), False, 0, ["no answer"]))
            return
        if answer.status_code != 200:
            self.samples.append(Sample(time.monotonic(), False, 0, ready.json()["codes"]))
            return
        reported = answer.json()
        found = reported["values"]["page_views"], reported["values"]["gmv"]
        wrong = ""
        if found != sent.expected(reported["as_of"]):
            wrong = f"{found} instead of {sent.expected(reported['as_of'])} at {reported['as_of']}"
        self.samples.append(Sample(time.monotonic(), reported["live"], reported["as_of"], ready.json()["codes"], wrong))

    def since(self, began_s: float, until_s: float = float("inf")) -> list[Sample]:
        return [sample for sample in self.samples if began_s <= sample.at_s < until_s]

    def notifications(self) -> list[str]:
        """Notifications about the store, in order: `store-refuses-writes firing`."""
        return [
            f"{one['data']['rule']} {one['type'].removeprefix('alert.')}"
            for one in (got.json for got in self.chat.requests if got.path == "/hook")
            if one["data"]["category"] == "data"
        ]

    def logs(self) -> str:
        texts = [f"{server.name}: {server.log_path.read_text()[-3000:]}" for server in (self.shop.serve, *self.alerts)]
        return "\n".join([*texts, self.shop.log()[-6000:]])

    async def silence(self, client: httpx.AsyncClient) -> int:
        """HTTP status of creating a silence."""
        wish = {"matchers": ["rule=x"], "duration": "1m", "by": "me"}
        answer = await client.post(f"{self.shop.api.url}/api/v1/silences", json=wish)
        if answer.status_code == 503:
            expected = "redis_unreachable" if self.cause == "away" else "redis_refuses"
            assert answer.json()["error"]["code"] == expected, answer.text
        return answer.status_code

    def has_counted(self, sent: Sent) -> bool:
        """Whether every event was counted, and none twice."""
        totals = self.shop.totals()
        found = totals.get("events,clicks,page_view"), totals.get("events,orders,order_paid")
        return found == (len(sent.views_ms), len(sent.orders_ms))

    def check(self, sent: Sent) -> None:
        """Assertions of every case."""
        wrong = [sample for sample in self.samples if sample.live and sample.wrong]
        assert not wrong, wrong[:3]
        assert self.ran_on
        if self.cause == "slow":
            assert self.refused == 201
            assert "store-down firing" not in self.notifications()
        else:
            self._check_refusing()
        assert "worker is stuck" not in self.shop.log()
        assert self.has_counted(sent), (self.shop.totals(), len(sent.views_ms), len(sent.orders_ms))

    def _check_refusing(self) -> None:
        during = self.since(self.began_s + NOTICED_S, self.ended_s)
        assert during
        assert not [sample for sample in during if self.refusing.code not in sample.codes], during
        assert self.refused == 503
        assert "Redis is not available yet; waiting for it" in self.shop.log()
        assert self.notified_meanwhile == [f"{self.refusing.rule} firing"]
        assert self.notifications() == [f"{self.refusing.rule} firing", f"{self.refusing.rule} resolved"]


@contextlib.asynccontextmanager
async def cases(broker: Server, folder: Path) -> AsyncIterator[list[Case]]:
    """All shops, running."""
    async with contextlib.AsyncExitStack() as ending:
        redises = ending.enter_context(refusing_redises())
        made = []
        for refusing in redises:
            chat = await ending.enter_async_context(http_receiver())
            own = folder / refusing.cause
            own.mkdir()
            changes: dict[str, Any] = {
                "clock": Clock.WALL,
                "retain": "",
                "partitions": 1,
                "group": f"salepulse-{refusing.cause}",
                "stuck_after_s": STUCK_S,
                "alerts_receivers": str(receivers(own, chat.url)),
                "alerts_rules": str(rules(own)),
            }
            store: Any = refusing
            shop = await anyio.to_thread.run_sync(
                lambda store=store, changes=changes: ending.enter_context(stack(broker, store, **changes))
            )
            case = Case(refusing, shop, chat)
            env = environment(shop.settings)
            argv = [sys.executable, "-m", "streams.cli", "alerts"]
            names = [f"alerts-{number}" for number in range(refusing.alerts)]
            case.alerts += [Server(name, argv, 0, always_ready, own, env=env) for name in names]
            made.append(case)
        for case in made:
            for server in case.alerts:
                await anyio.to_thread.run_sync(server.start)
                ending.callback(server.stop)
        yield made


def rules(folder: Path) -> Path:
    """The default rules with shorter resolve times."""
    path = folder / "rules.yaml"
    path.write_text(default_text().replace("    runbook: ", "    keep_firing_for: 3s\n    runbook: "))
    return path


def receivers(folder: Path, url: str) -> Path:
    path = folder / "receivers.yaml"
    chat = {"name": "chat", "type": "webhook", "url": f"{url}/hook", "secret": SECRET}
    path.write_text(json.dumps({"receivers": [chat], "allow_networks": ["127.0.0.1"]}))
    return path


@pytest.mark.kafka
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit (util-linux) is not here")
async def test_refused_writes_are_reported_retried_and_caught_up(apache_kafka: Server, tmp_path: Path) -> None:
    sent, stop = Sent(), asyncio.Event()
    async with cases(apache_kafka, tmp_path) as shops, httpx.AsyncClient(timeout=10) as client:
        sending = asyncio.create_task(sent.send(apache_kafka.bootstrap, stop))

        async def watch(until: Callable[[], bool], within_s: float) -> bool:
            """Poll all shops every half second until a condition holds."""
            began_s = time.monotonic()
            while time.monotonic() - began_s < within_s:
                await asyncio.gather(*(case.sample(client, sent) for case in shops))
                if until():
                    return True
                await anyio.sleep(0.5)
            return False

        def live() -> bool:
            return all(case.samples[-1].live for case in shops)

        try:
            assert await watch(live, 90), [case.logs() for case in shops]
            await watch(lambda: False, 5)
            assert [case.notifications() for case in shops] == [[]] * len(shops)
            async with anyio.create_task_group() as group:
                for case in shops:
                    group.start_soon(case.play, client)
                assert await watch(lambda: all(case.ended_s for case in shops), REFUSED_S + 30)
            assert await watch(live, BACK_S), [(case.cause, case.samples[-1]) for case in shops]
            await watch(lambda: False, 15)
            assert [await case.silence(client) for case in shops] == [201] * len(shops)
        finally:
            stop.set()
            await sending
        await watch(lambda: all(case.has_counted(sent) for case in shops), 20)
        for case in shops:
            try:
                case.check(sent)
            except AssertionError as error:
                error.add_note(f"{case.cause}: {case.logs()}")
                raise
