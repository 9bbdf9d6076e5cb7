"""Idle, slow and greedy connections: other clients are served, and memory is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from streams.process.tuning import raise_file_limit
from streams.serve import app, connections, request_limits
from streams.serve.connections import Connections, most_connections
from streams.serve.http_limits import HttpLimitCounts
from streams.settings import Settings
from tests.streams.serve.following import served
from tests.streams.serve.process import answered, connected, serving
from tests.support.certificates import Authority
from tests.support.servers import Server

IDLE = 1_100
MB = 2**20


@pytest.fixture(scope="module")
def many_files() -> Iterator[None]:
    """A limit of open files high enough for this test's connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit() > 2 * IDLE
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def server(redis_url: str) -> Iterator[Server]:
    """A server with a limit of 1,024 open files."""
    with serving({"redis_url": redis_url}, files=1024) as made:
        yield made


def get(server: Server, path: str) -> tuple[int, float, bytes]:
    """Status, seconds and body of a request on a connection of its own."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://{server.address}{path}", timeout=5) as answer:
        return answer.status, time.perf_counter() - began, answer.read()


@pytest.mark.usefixtures("many_files")
def test_idle_connections_do_not_block_other_clients(server: Server) -> None:
    with connected(server.port, IDLE) as idle:
        assert len(idle) == IDLE
        for _ in range(20):
            for path in ("/healthz", "/metrics"):
                status, took_s, _ = get(server, path)
                assert (status, took_s < 1.0) == (200, True), took_s
        scraped = get(server, "/metrics")[2].decode()
    dropped = int(_number(scraped, 'salepulse_http_refused_total{reason="connection_dropped"}'))
    assert dropped >= IDLE - most_connections(2000, 1024)
    assert 0 < _number(scraped, "salepulse_http_connections") <= most_connections(2000, 1024)
    assert psutil.Process(server.pid).num_fds() < 1024


@pytest.mark.usefixtures("many_files")
def test_connections_that_send_slowly_do_not_block_other_clients(server: Server) -> None:
    """Hold 1,100 connections, each with an incomplete request."""
    head = b"POST /api/v1/silences HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with connected(server.port, IDLE) as slow:
        for at, one in enumerate(slow):
            with contextlib.suppress(ConnectionError):
                one.sendall(head + (b"" if at % 2 else b"content-length: 100\r\n\r\n{"))
        for path in ("/healthz", "/metrics"):
            status, took_s, _ = get(server, path)
            assert (status, took_s < 1.0) == (200, True), took_s


def test_a_large_body_is_rejected_without_buffering(server: Server) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    block, length = b" " * MB, 150 * MB
    most = before
    with connected(server.port) as (one,):
        one.sendall(_post(f"content-length: {length}"))
        with contextlib.suppress(ConnectionError):
            for _ in range(150):
                one.sendall(block)
                most = max(most, process.memory_info().rss)
        reply = answered(one)
    assert reply.startswith(b"HTTP/1.1 413 "), reply
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"
    assert most - before < 20 * MB


def test_a_large_chunked_body_is_rejected_without_buffering(server: Server) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    with connected(server.port) as (one,):
        one.sendall(_post("transfer-encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                one.sendall(b"100000\r\n" + b" " * MB + b"\r\n")
            one.sendall(b"0\r\n\r\n")
        reply = answered(one)
    assert reply.startswith(b"HTTP/1.1 413 "), reply
    assert process.memory_info().rss - before < 20 * MB


def test_a_large_body_with_expect_100_continue_is_rejected_at_once(server: Server) -> None:
    with connected(server.port) as (one,):
        reply = answered(one, _post(f"content-length: {150 * MB}\r\nexpect: 100-continue"))
    assert reply.startswith(b"HTTP/1.1 413 "), reply


def _post(*headers: str) -> bytes:
    lines = ["POST /api/v1/silences HTTP/1.1", "host: localhost", "content-type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _number(scraped: str, series: str) -> float:
    return float(next(line for line in scraped.splitlines() if line.startswith(series)).rpartition(" ")[2])


# Within this process, with short times --------------------------------------------------------------------------------


@pytest.fixture
async def port(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server with timeouts of half a second."""
    monkeypatch.setattr(connections, "REQUEST_WITHIN_S", 0.5)
    monkeypatch.setattr(request_limits, "BODY_WITHIN_S", 0.5)
    async with served(settings) as url:
        yield int(url.rpartition(":")[2])


async def talk_to(port: int, *parts: bytes, every_s: float = 0.0, within_s: float = 3.0) -> tuple[bytes, float]:
    """All bytes until the connection closes, and the seconds until then; `parts` are sent one by one."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(every_s)

    sending = asyncio.create_task(send())
    received = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(within_s):
                while part := await reader.read(65536):
                    received += part
        return received, time.monotonic() - began
    finally:
        sending.cancel()
        writer.close()


@pytest.mark.anyio
async def test_a_silent_connection_is_closed(port: int) -> None:
    reply, took_s = await talk_to(port)
    assert (reply, 0.3 < took_s < 2) == (b"", True)


@pytest.mark.anyio
@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"])
async def test_slow_headers_are_cut_off_also_after_a_request(port: int, first: bytes) -> None:
    head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: " + b"s" * 100
    parts = [bytes([byte]) for byte in head]
    reply, took_s = await talk_to(port, first, *parts, every_s=0.02)
    assert took_s < 2
    assert b"HTTP/1.1 408 " in reply
    assert reply.startswith(b"HTTP/1.1 200 ") is bool(first)


@pytest.mark.anyio
@pytest.mark.parametrize("framing", ["content-length: 100", "transfer-encoding: chunked"])
async def test_a_slow_body_is_cut_off(port: int, framing: str) -> None:
    parts = [b"1\r\n \r\n" if "chunked" in framing else b" "] * 90
    reply, took_s = await talk_to(port, _post(framing), *parts, every_s=0.02)
    assert (reply.startswith(b"HTTP/1.1 408 "), took_s < 2) == (True, True), reply


@pytest.mark.anyio
async def test_a_slow_body_after_the_response_is_cut_off(port: int) -> None:
    get = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    reply, took_s = await talk_to(port, get, *[b"1\r\n \r\n"] * 200, every_s=0.02)
    assert took_s < 2
    assert reply.startswith(b"HTTP/1.1 408 ")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET /?" + b"a" * 10_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET /" + b"a" * 2_000_000, 414),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"a: " + b"b" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 300_000, 431),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),  # the preface of HTTP/2 is a valid request line
        (_post("content-length: -1"), 400),
        (_post("content-length: 99999999999999999999"), 413),
    ],
)
async def test_oversized_requests_are_rejected(port: int, request_: bytes, status: int) -> None:
    reply, _ = await talk_to(port, request_)
    assert reply.startswith(f"HTTP/1.1 {status} ".encode()), reply[:200]
    first, _ = json.JSONDecoder().raw_decode(reply.partition(b"\r\n\r\n")[2].decode())
    assert set(first["error"]) == {"code", "message"}


@pytest.mark.anyio
async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    one = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    reply, _ = await talk_to(port, one * 50)
    assert reply.count(b"HTTP/1.1 200 ") == 50


@pytest.mark.anyio
async def test_a_websocket_upgrade_is_answered_in_http(port: int) -> None:
    upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x"
    reply, _ = await talk_to(port, f"GET /healthz HTTP/1.1\r\nhost: localhost\r\n{upgrade}\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_unread_responses_are_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_UNREAD", 3)
    async with served(settings) as url, httpx.AsyncClient(base_url=url) as http:
        port = int(url.rpartition(":")[2])
        held = []
        for _ in range(6):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 400)
            held.append(one)
        try:
            async with asyncio.timeout(10):
                while 'reason="answer_not_read"} 3' not in (await http.get("/metrics")).text:
                    await asyncio.sleep(0.05)
        finally:
            for one in held:
                one.close()


@pytest.mark.anyio
async def test_a_missing_tls_handshake_is_cut_off(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_HANDSHAKE_WITHIN_S", 0.5)
    pair = Authority(tmp_path).issue("serve")
    files = {"http_cert_file": str(pair.cert), "http_key_file": str(pair.key)}
    async with served(settings.model_copy(update=files)) as url:
        reply, took_s = await talk_to(int(url.rpartition(":")[2]))
        assert (reply, 0.3 < took_s < 2) == (b"", True)


class TestConnectionLimit:
    """Which connection is closed over the limit."""

    def test_a_connection_of_the_client_with_the_most_is_dropped(self) -> None:
        held = Connections(4, HttpLimitCounts())
        few, many = [_Fake(held, "a")], [_Fake(held, "b") for _ in range(3)]
        _Fake(held, "c")
        assert [one.closed for one in (*few, *many)] == ["", "connection_dropped", "", ""]

    def test_a_busy_connection_is_not_dropped(self) -> None:
        held = Connections(2, HttpLimitCounts())
        first, second = _Fake(held, "a"), _Fake(held, "a")
        held.answer(first)  # type: ignore[arg-type]
        third = _Fake(held, "a")
        assert [one.closed for one in (first, second, third)] == ["", "connection_dropped", ""]

    def test_a_new_connection_is_refused_when_all_are_busy(self) -> None:
        held = Connections(1, HttpLimitCounts())
        held.answer(_Fake(held, "a"))  # type: ignore[arg-type]
        assert _Fake(held, "b").closed == "connections_full"
        assert len(held) == 1


class _Fake:
    """A connection that records how it was closed."""

    def __init__(self, held: Connections, address: str) -> None:
        self.address, self.closed, self._held = address, "", held
        held.add(self)  # type: ignore[arg-type]

    def drop(self, why: str) -> None:
        self.closed = why
        self._held.remove(self)  # type: ignore[arg-type]

    refuse = drop


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_soft_limit_of_open_files_is_raised(redis_url: str) -> None:
    with serving({"redis_url": redis_url}) as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
        assert int(soft) == min(65_536, int(hard))
