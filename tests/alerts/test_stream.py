"""Changes of alerts on `/api/v1/stream`: each once, from any server, through crashes of servers."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from alerts.store.states import StoredChanges
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.serve.sse import StreamPosition
from tests.alerts.builders import finding
from tests.alerts.engine import Process, beside_servers
from tests.alerts.state.alert_play import BAD, FINE
from tests.streams.serve.following import Event, received
from tests.streams.serve.shop import shop_settings
from tests.support.servers import Server, http_ready, running
from tests.support.stack import SERVE, environment

pytestmark = pytest.mark.anyio

WEB = finding(labels={"channel": "web"})


@pytest.fixture
async def process(redis_url: str) -> AsyncIterator[Process]:
    """An evaluating process without any changes yet."""
    async with beside_servers(redis_url) as made:
        yield made


def change_of(event: Event) -> tuple[str, str]:
    return event.data["change"], event.data["alert"]["labels"]["channel"]


async def test_the_change_log_matches_the_topic(process: Process) -> None:
    log = StoredChanges(process.redis, process.keys)
    assert await log.oldest() is None
    assert await log.after(await log.end(), 10) == []
    for second, found in enumerate((WEB, BAD, FINE), 1):
        await process.evaluate(10 * second, found)
    changes = await log.after((0, 0), 100)
    published = await process.store.unpublished()
    assert [change.json for change in changes] == [written.json for written in published]
    assert (await log.oldest(), await log.end()) == (changes[0].entry_id, changes[-1].entry_id)
    assert await log.after(changes[0].entry_id, 1) == [changes[1]]


class TestServers:
    """Two `salepulse serve`."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def servers(self, redis_url: str, tmp_path: Path) -> Iterator[list[Server]]:
        made = []
        for name in ("one", "two"):
            settings = shop_settings(redis_url, http_port=free_port())
            folder = tmp_path / name
            folder.mkdir()
            answering = http_ready(LOOPBACK, settings.http_port, "/healthz")
            argv = [sys.executable, "-c", SERVE]
            made.append(Server(name, argv, settings.http_port, answering, folder, env=environment(settings)))
        with running(made[0]), running(made[1]):
            yield made

    async def test_no_change_is_lost_or_repeated_when_a_server_dies(
        self, servers: list[Server], process: Process
    ) -> None:
        one, two = (f"http://{server.address}/api/v1/stream" for server in servers)
        async with httpx.AsyncClient(timeout=15) as http:
            begin = StreamPosition(None, await StoredChanges(process.redis, process.keys).end())
            async with http.stream("GET", one, headers={"last-event-id": str(begin)}) as answer:
                coming = received(answer)
                await process.evaluate(0, WEB, BAD)
                first = await anext(coming)
                second = await anext(coming)
                assert {change_of(first), change_of(second)} == {("firing", "web"), ("firing", "app")}
                await anyio.to_thread.run_sync(servers[0].kill)
                with pytest.raises(httpx.TransportError):
                    await anext(coming)
            await process.evaluate(60, WEB)
            async with http.stream("GET", two, headers={"last-event-id": str(first.id)}) as answer:
                coming = received(answer)
                again = await anext(coming)
                assert (again.id, again.data) == (second.id, second.data), "the same id, at whichever server"
                assert change_of(await anext(coming)) == ("resolved", "app")
                await process.evaluate(120, FINE)
                assert change_of(await anext(coming)) == ("resolved", "web")

    async def test_a_server_stops_despite_open_streams(self, servers: list[Server], process: Process) -> None:
        server = servers[0]
        entry = {"fingerprint": "x", "json": json.dumps({"much": "x" * 100_000})}
        added = [await process.redis.xadd(process.keys.changes, entry) for _ in range(100)]
        after = f".{added[0].decode()}"
        async with (
            await anyio.connect_tcp(server.host, server.port) as stuck,
            httpx.AsyncClient(timeout=15) as http,
            http.stream("GET", f"http://{server.address}/api/v1/stream", headers={"last-event-id": after}) as answer,
        ):
            head = f"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {after}\r\n\r\n"
            await stuck.send(head.encode())
            assert (await anext(received(answer))).data["much"]
            await stuck.receive(1)
            assert await anyio.to_thread.run_sync(server.terminate, 15) in (0, -15)
