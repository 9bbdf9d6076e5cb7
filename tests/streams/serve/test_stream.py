"""The SSE stream over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from streams.serve import app, broadcast, stream
from streams.serve.live import Live
from streams.settings import Settings
from streams.tokens.token import TokenScope
from streams.view.cached_queries import CachedQuery, EncodedAnswer
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.following import Log, events, received, served
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, at, click, paid, shop_settings
from tests.streams.tokens.making import token, write

pytestmark = pytest.mark.anyio

PATH = "/api/v1/stream"
HELD_S = 4
"""Lifetime of a stream that is not read: long enough for a busy machine."""
OneUnread = Callable[[], contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[int]]]]


@contextlib.contextmanager
def unread(url: str) -> Iterator[socket.socket]:
    """A connection that requested all changes and reads nothing."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as made:
        made.sendall(f"GET {PATH} HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: {at(60)}.0-1\r\n\r\n".encode())
        made.setblocking(False)
        yield made


async def is_it(status: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await status() == wanted


async def move(shop: Shop, second: int) -> None:
    await shop.send(CLICKS, click(second, user="u9"))
    await shop.send(ORDERS, paid(second, 500, f"u{second}"))
    await shop.send(LOGISTICS, {"type": "shipment_dispatched", "ts": at(second), "order_id": "o-u2"})


async def test_a_stream_can_be_resumed_at_another_server(open_shop: Shop, settings: Settings) -> None:
    async with served(settings) as url, served(settings) as other, httpx.AsyncClient(timeout=15) as http:
        async with http.stream("GET", url + PATH) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            coming = received(answer)
            first = await anext(coming)
            assert (first.name, first.data["as_of"], first.data["values"]["gmv"]) == ("kpis", at(60), 1300)
            await move(open_shop, 61)
            second = await anext(coming)
            assert (second.name, second.data["as_of"]) == ("kpis", at(61))
        await move(open_shop, 62)
        async with http.stream("GET", other + PATH, headers={"last-event-id": str(second.id)}) as answer:
            third = await anext(received(answer))
            assert (third.name, third.data["as_of"], third.data["values"]["gmv"]) == ("kpis", at(62), 1800)


@pytest.mark.parametrize("query", ["", "?scope=channel", "?scope=channel&value=app&window=15m"])
async def test_kpis_events_have_incomplete_since(open_shop: Shop, settings: Settings, query: str) -> None:
    """From the first event after the loss on, until it is cleared."""
    state = open_shop.keys.state(0)
    async with (
        served(settings) as url,
        httpx.AsyncClient(timeout=15) as http,
        http.stream("GET", url + PATH + query) as answer,
    ):
        coming = received(answer)
        since = [(await anext(coming)).data["incomplete_since"]]
        await open_shop.redis.hset(state, mapping={"incomplete:orders/0": at(50), "incomplete:clicks/0": at(40)})
        await move(open_shop, 61)
        since.append((await anext(coming)).data["incomplete_since"])
        async with http.stream("GET", url + PATH + query) as later:
            since.append((await anext(received(later))).data["incomplete_since"])
        await open_shop.redis.hdel(state, "incomplete:orders/0", "incomplete:clicks/0")
        await move(open_shop, 62)
        since.append((await anext(coming)).data["incomplete_since"])
    assert since == [None, at(40), at(40), None]


@pytest.mark.parametrize(
    ("query", "last", "message"),
    [
        ("window=2m", "", "unknown window '2m'; known: 1m, 5m"),
        ("scope=planet", "", "unknown scope 'planet'; known: all, "),
        ("scope=all&value=x", "", "scope all has no values"),
        ("", "yesterday", "Last-Event-ID: 'yesterday' is not an event id of this stream; omit it"),
    ],
)
async def test_an_invalid_stream_is_a_422(api: httpx.AsyncClient, query: str, last: str, message: str) -> None:
    answer = await api.get(f"{PATH}?{query}", headers={"last-event-id": last} if last else {})
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (422, True), answer.text


async def test_the_number_of_streams_is_limited(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "MAX_SUBSCRIBERS", 0)
    answer = await api.get(PATH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_streams")


async def test_the_limit_of_streams_holds_for_concurrent_requests(
    open_shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_answer = Live.get_answer

    async def after_a_while(live: Live, ask: CachedQuery[EncodedAnswer]) -> EncodedAnswer:
        await asyncio.sleep(0.1)
        return await get_answer(live, ask)

    monkeypatch.setattr(Live, "get_answer", after_a_while)
    monkeypatch.setattr(broadcast, "MAX_SUBSCRIBERS", 2)
    monkeypatch.setattr(stream, "_LONGEST_S", 1.0)
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    async with served(settings) as url, httpx.AsyncClient(base_url=url, timeout=15) as http:
        await ready(http)
        answers = await asyncio.gather(*(http.get(PATH) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
        assert (await http.get(PATH)).status_code == 200, "places are free again"


@pytest.fixture
def one_unread(open_shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> OneUnread:
    """A server that allows one stream, which is taken and not read; yields the status of another request."""
    monkeypatch.setattr(broadcast, "MAX_SUBSCRIBERS", 1)
    log = Log()
    log.add(*range(1, 4001), size=5000)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with served(settings, log) as url, httpx.AsyncClient(base_url=url, timeout=15) as http:
            await ready(http)

            async def status() -> int:
                async with http.stream("GET", PATH) as answer:
                    return answer.status_code

            with unread(url):
                await soon(log.is_read)
                yield status

    return opened


async def test_a_stream_whose_client_does_not_read_ends(one_unread: OneUnread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LONGEST_S", 0.1)
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(stream, "_TAKEN_WITHIN_S", HELD_S)
    async with one_unread() as status:
        assert await status() == 503
        await soon(lambda: is_it(status, 200))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="what a connection takes is watched on Linux only")
async def test_a_connection_without_progress_is_closed(one_unread: OneUnread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_UNTAKEN_MS", 1000 * HELD_S)
    async with one_unread() as status:
        assert await status() == 503
        await soon(lambda: is_it(status, 200))


async def test_an_unexpected_error_ends_each_stream_and_is_logged_once(
    open_shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fails(*_: object) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr(broadcast.Broadcast, "newest_kpis", fails)
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    async with served(settings) as url, httpx.AsyncClient(base_url=url, timeout=15) as http:
        await ready(http)
        for _ in range(3):
            answer = await http.get(PATH)
            assert answer.status_code == 200, "it began, and has an end"
    output = capfd.readouterr()
    assert (output.out + output.err).count("SSE stream failed") == 1


async def test_a_stream_before_the_first_event_sends_heartbeats(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    async with served(settings) as url, httpx.AsyncClient() as http, http.stream("GET", url + PATH) as answer:
        lines = answer.aiter_lines()
        assert [await anext(lines) for _ in range(6)] == ["event: heartbeat", "data: {}", ""] * 2


async def test_a_stream_ends_after_a_while_so_that_tokens_are_checked_again(
    open_shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_LONGEST_S", 0.1)
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    async with served(settings) as url, httpx.AsyncClient() as http:
        assert (await http.get(url + PATH)).status_code == 200


async def test_a_read_token_can_stream(redis_url: str, open_shop: Shop, tmp_path: Path) -> None:
    tokens = write(tmp_path / "tokens.json", token("read", TokenScope.READ))
    bearer = {"authorization": "Bearer sp_read"}
    async with served(shop_settings(redis_url, tokens_file=str(tokens))) as url, httpx.AsyncClient() as http:
        assert (await http.get(url + PATH)).status_code == 401
        async with http.stream("GET", url + PATH, headers=bearer) as answer:
            assert (await anext(received(answer))).name == "kpis"


async def test_a_stopping_server_ends_all_streams(open_shop: Shop, settings: Settings) -> None:
    async with httpx.AsyncClient(timeout=15) as http:
        async with served(settings) as url:
            answer = await http.send(http.build_request("GET", url + PATH), stream=True)
            coming = received(answer)
            await anext(coming)
            began = anyio.current_time()
        assert anyio.current_time() - began < 4.5, "and not only when waiting is given up"
        with pytest.raises(StopAsyncIteration):
            await anext(coming)


async def test_a_slow_client_delays_no_other_and_gets_everything_later(open_shop: Shop, settings: Settings) -> None:
    log = Log()
    log.add(*range(1, 4001), size=5000)
    async with served(settings, log) as url, httpx.AsyncClient(base_url=url, timeout=15) as http:
        await ready(http)
        with unread(url) as slow:
            given = 0
            while log.given > given or not given:  # page by page, until the buffers are full
                given = log.given
                await asyncio.sleep(0.3)
            assert given < 3000
            async with http.stream("GET", PATH) as answer:
                assert (await anext(received(answer))).name == "kpis", "others are not held up"
            text = b""
            loop = asyncio.get_running_loop()
            while b'"number": 4000,' not in text[-20_000:]:
                text += await asyncio.wait_for(loop.sock_recv(slow, 1 << 20), 10)
    sent = events(text.partition(b"\r\n\r\n")[2].decode().rpartition("\n\n")[0])
    assert [one.data["number"] for one in sent if one.name == "alert"] == list(range(1, 4001))
