"""Whole processes with a real broker, Redis and receiver: killed, paused, and partitioned."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from alerts.redis_alerts import HANDOVER_TIMEOUT_MS
from alerts.role import run_every
from alerts.store.keys import AlertKeys
from consumers.kafka.standalone import read_to_end
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.embedded.child import always_ready
from streams.local.stack.plan import temporary_data_dir
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.last_evaluation import read_last_evaluation
from tests.support.fault_proxy import FaultProxy
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.servers import Server, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
KEYS = AlertKeys("salepulse")
TAKEN_OVER_WITHIN_S = 15


@dataclass
class Stage:
    """Alerts processes and their notifications."""

    bootstrap: str
    redis_url: str
    redis: Redis
    chat: HttpReceiver
    folder: Path
    processes: list[Server] = field(default_factory=list)

    def start(self, name: str, redis_url: str = "", **also: str) -> Server:
        """Start an alerts process."""
        folder = self.folder / name
        folder.mkdir()
        receivers = {
            "receivers": [{"name": "chat", "type": "slack", "url": f"{self.chat.url}/hook"}],
            "allow_networks": ["127.0.0.1"],
        }
        (folder / "receivers.yaml").write_text(json.dumps(receivers))
        env = {
            "SALEPULSE_BOOTSTRAP": self.bootstrap,
            "SALEPULSE_REDIS_URL": redis_url or self.redis_url,
            "SALEPULSE_ALERTS_RECEIVERS": str(folder / "receivers.yaml"),
            "SALEPULSE_ALERTS_INTERVAL_S": "0.2",
            "SALEPULSE_METRICS_PORT": "0",
            "PYTHONPATH": str(REPOSITORY),
            **also,
        }
        argv = [sys.executable, "-m", "tests.alerts.role_process"]
        process = Server(name, argv, 0, always_ready, folder, env=env)
        process.start()
        self.processes.append(process)
        return process

    async def say(self, what: str) -> None:
        await self.redis.set("condition", what)

    @property
    def sent(self) -> list[str]:
        """`FIRING` and `RESOLVED` in order of delivery."""
        return [got.json["text"].partition("[")[2].partition(",")[0].partition("]")[0] for got in self.chat.requests]

    async def until_sent(self, *expected: str, within_s: float = 30) -> float:
        """Wait until exactly these were sent; return the duration."""
        began = time.monotonic()
        while self.sent != list(expected):
            assert time.monotonic() - began < within_s, f"sent {self.sent}, not {expected}: {self.logs}"
            await anyio.sleep(0.05)
        return time.monotonic() - began

    async def leader(self, other_than: str = "", within_s: float = 30) -> str:
        """Wait for a leader; return its name."""
        deadline = time.monotonic() + within_s
        while True:
            held = await self.redis.hmget(KEYS.lead, "owner", "until")  # type: ignore[misc]
            owner = (held[0] or b"").decode()
            if owner and owner != other_than and float(held[1]) > time.time() * 1000:
                return owner
            assert time.monotonic() < deadline, f"no process leads: {self.logs}"
            await anyio.sleep(0.05)

    async def until_at_work(self, processes: int, within_s: float = 60) -> None:
        """Wait until this many processes report."""
        deadline = time.monotonic() + within_s
        while len(await self.redis.hkeys(Keys("salepulse", 1).reports)) < processes:  # type: ignore[misc]
            assert time.monotonic() < deadline, self.logs
            await anyio.sleep(0.1)

    def process(self, owner: str) -> Server:
        """The process of a leader's name."""
        return next(one for one in self.processes if one.running and _is(one.pid, owner))

    @property
    def logs(self) -> str:
        return "\n".join(f"{one.name}:\n{one.log_path.read_text()[-3000:]}" for one in self.processes)


def _is(pid: int, owner: str) -> bool:
    number = int(owner.split("-")[1])
    return number == pid or str(pid) in Path(f"/proc/{number}/stat").read_text().split()[3]


@contextlib.contextmanager
def stopping(stage: Stage) -> Iterator[Stage]:
    try:
        yield stage
    finally:
        for process in stage.processes:
            if process.running:
                process.kill()


@pytest.fixture
async def stage(embedded_broker: Server, redis_url: str) -> AsyncIterator[Stage]:
    await create_topics(embedded_broker.bootstrap, default_plans(1))
    redis = Redis.from_url(redis_url)
    async with http_receiver() as chat:
        with (
            temporary_data_dir() as folder,
            stopping(Stage(embedded_broker.bootstrap, redis_url, redis, chat, folder)) as made,
        ):
            yield made
    await redis.aclose()


async def published(stage: Stage) -> list[Any]:
    return [json.loads(record.value) async for record in read_to_end(stage.bootstrap, Topic.ALERTS)]


async def test_without_events_the_leader_reports_that_it_waits(stage: Stage) -> None:
    await stage.say("nothing")
    stage.start("one")
    await stage.leader()
    keys, settings = Keys("salepulse", 1), Settings()
    deadline = time.monotonic() + 30
    while not (found := await read_last_evaluation(stage.redis, keys)).awaits_events(now_ms(), settings):
        assert time.monotonic() < deadline, stage.logs
        await anyio.sleep(0.1)
    assert found.at_ms is None
    await stage.say("fine")
    while (found := await read_last_evaluation(stage.redis, keys)).at_ms is None:
        assert time.monotonic() < deadline, stage.logs
        await anyio.sleep(0.1)
    assert not found.awaits_events(now_ms(), settings)


async def test_a_finding_is_notified_and_published(stage: Stage) -> None:
    await stage.say("bad")
    stage.start("one")
    await stage.until_sent("FIRING")
    assert (await read_last_evaluation(stage.redis, Keys("salepulse", 1))).is_recent(now_ms(), Settings())
    await stage.say("fine")
    assert await stage.until_sent("FIRING", "RESOLVED") < 5
    changes = await published(stage)
    assert [change["change"] for change in changes if change["change"] != "reason"] == ["firing", "resolved"]


async def test_a_leader_killed_while_firing_is_replaced_without_a_repeated_notification(stage: Stage) -> None:
    await stage.say("bad")
    for name in ("one", "two"):
        stage.start(name)
    await stage.until_sent("FIRING")
    first = await stage.leader()
    began = time.monotonic()
    stage.process(first).kill()
    await stage.say("fine")
    await stage.until_sent("FIRING", "RESOLVED", within_s=TAKEN_OVER_WITHIN_S)
    assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
    await anyio.sleep(1)
    assert stage.sent == ["FIRING", "RESOLVED"]


async def test_a_restart_of_all_processes_repeats_no_notification(stage: Stage) -> None:
    await stage.say("bad")
    stage.start("one")
    await stage.until_sent("FIRING")
    stage.processes[0].kill()
    stage.start("two")
    await stage.leader(within_s=TAKEN_OVER_WITHIN_S)
    await anyio.sleep(2)
    assert stage.sent == ["FIRING"]


async def test_a_leader_that_was_paused_changes_nothing(stage: Stage) -> None:
    await stage.say("bad")
    for name in ("one", "two"):
        stage.start(name)
    await stage.until_sent("FIRING")
    first = await stage.leader()
    asleep = stage.process(first)
    asleep.pause()
    await stage.say("fine")
    await stage.until_sent("FIRING", "RESOLVED", within_s=TAKEN_OVER_WITHIN_S)
    second = await stage.leader(other_than=first)
    asleep.resume()
    await anyio.sleep(3)
    assert stage.sent == ["FIRING", "RESOLVED"]
    assert await stage.leader() == second


async def test_a_process_that_cannot_write_is_replaced_and_exits(stage: Stage) -> None:
    await stage.say("bad")
    rights = ("on", ">secret", "~*", "&*", "+@all")
    await stage.redis.execute_command("ACL", "SETUSER", "one", *rights)
    try:
        first = stage.start(
            "one", stage.redis_url.replace("redis://", "redis://one:secret@"), SALEPULSE_STUCK_AFTER_S="6"
        )
        leader = await stage.leader()
        await stage.until_sent("FIRING")
        stage.start("two")
        await stage.until_at_work(2)
        await stage.redis.execute_command("ACL", "SETUSER", "one", "-hset", "-hincrby")
        await stage.leader(other_than=leader, within_s=TAKEN_OVER_WITHIN_S)
        await stage.say("fine")
        await stage.until_sent("FIRING", "RESOLVED", within_s=TAKEN_OVER_WITHIN_S)
        assert await anyio.to_thread.run_sync(first.ended, 20) == 1
        assert "no evaluation completed for 6 s although Redis accepts writes" in first.log_path.read_text()
    finally:
        await stage.redis.execute_command("ACL", "DELUSER", "one")


@pytest.mark.parametrize("dies", [False, True], ids=["both live", "the leader dies and is restarted"])
async def test_a_redis_outage_is_notified_once_and_so_is_its_end(stage: Stage, dies: bool) -> None:
    also = {"STORE_RULES": "1", "SALEPULSE_SESSION_TIMEOUT_S": "6", "SALEPULSE_STUCK_AFTER_S": "6"}
    with redis_server(aof=True) as server:
        stage.redis = Redis.from_url(server.url)
        await stage.say("fine")
        for name in ("one", "two"):
            stage.start(name, server.url, **also)
        await stage.until_at_work(2)
        leader = await stage.leader()
        await anyio.sleep(2)  # until the standby has seen the leader
        await anyio.to_thread.run_sync(server.kill)
        if dies:
            stage.process(leader).kill()
            stage.start("restarted", server.url, **also)
        await stage.until_sent("FIRING", within_s=25)
        await anyio.sleep(15)
        assert stage.sent == ["FIRING"]
        await anyio.to_thread.run_sync(server.restart)
        await stage.redis.connection_pool.disconnect()
        await stage.until_sent("FIRING", "RESOLVED", within_s=TAKEN_OVER_WITHIN_S)
        await stage.leader(within_s=TAKEN_OVER_WITHIN_S)
        await anyio.sleep(HANDOVER_TIMEOUT_MS / 1000 + 2)
        assert stage.sent == ["FIRING", "RESOLVED"]
        assert [one.running for one in stage.processes].count(True) == 2, stage.logs
        await stage.redis.aclose()


async def test_a_process_that_starts_while_redis_is_down_notifies_it(stage: Stage) -> None:
    with redis_server(aof=True) as server:
        server.kill()
        stage.start("one", server.url, STORE_RULES="1")
        await stage.until_sent("FIRING", within_s=25)
        await anyio.to_thread.run_sync(server.restart)
        await stage.until_sent("FIRING", "RESOLVED", within_s=TAKEN_OVER_WITHIN_S)


async def test_a_network_partition_repeats_no_notification(stage: Stage) -> None:
    await stage.say("bad")
    host, _, port = stage.redis_url.removeprefix("redis://").removesuffix("/0").partition(":")
    with FaultProxy((host, int(port))) as proxy:
        stage.start("cut", f"redis://{proxy.address}/0")
        await stage.until_sent("FIRING")
        cut = await stage.leader()
        stage.start("other")
        await anyio.sleep(3)
        proxy.black_hole()
        await stage.leader(other_than=cut, within_s=TAKEN_OVER_WITHIN_S)
        await stage.say("fine")
        await stage.until_sent("FIRING", "RESOLVED")
        proxy.heal()
        await anyio.sleep(3)
    assert stage.sent == ["FIRING", "RESOLVED"]


async def test_an_unavailable_receiver_gets_all_notifications_later(stage: Stage) -> None:
    from tests.support.receiving import CannedResponse

    stage.chat.responses.extend(
        [CannedResponse(503), CannedResponse(after_s=11), CannedResponse(429, headers={"Retry-After": "2"})]
    )
    await stage.say("bad")
    stage.start("one")
    await stage.until_sent(*["FIRING"] * 4, within_s=40)


async def test_a_loop_ends_although_its_work_loses_the_cancellation() -> None:
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    loop = asyncio.create_task(run_every(0.01, "work", work))
    await started.wait()
    loop.cancel()
    await asyncio.wait({loop}, timeout=5)
    assert loop.cancelled()
