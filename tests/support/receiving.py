"""Receivers of notifications that keep requests and send canned responses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class ReceivedRequest:
    """A received request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class CannedResponse:
    """A response."""

    status: int = 200
    body: str = '{"errcode":0,"code":0,"errmsg":"ok"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0


@dataclass
class HttpReceiver:
    """Keeps requests; answers with each of `responses` once, then with success."""

    url: str = ""
    requests: list[ReceivedRequest] = field(default_factory=list)
    responses: deque[CannedResponse] = field(default_factory=deque)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            ReceivedRequest(request.path, dict(request.query), dict(request.headers), await request.read())
        )
        response = self.responses.popleft() if self.responses else CannedResponse()
        await asyncio.sleep(response.after_s)
        return web.Response(status=response.status, text=response.body, headers=dict(response.headers))


@contextlib.asynccontextmanager
async def http_receiver() -> AsyncIterator[HttpReceiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = HttpReceiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class MailServer:
    """Keeps mails; answers recipients with each of `responses` once, then with 250."""

    port: int = 0
    letters: list[bytes] = field(default_factory=list)
    responses: deque[str] = field(default_factory=deque)
    silent: bool = False
    logins: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        try:
            if self.silent:
                await reader.read()
                return
            answer("220 here")
            while line := (await reader.readline()).decode().strip():
                match line.split(" ")[0].upper().split(":")[0]:
                    case "EHLO":
                        answer("250 here")
                    case "RCPT":
                        answer(self.responses.popleft() if self.responses else "250 well")
                    case "DATA":
                        answer("354 go on")
                        self.letters.append(await reader.readuntil(b"\r\n.\r\n"))
                        answer("250 taken")
                    case "QUIT":
                        answer("221 bye")
                        return
                    case _:
                        answer("250 well")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def mail_server(*, silent: bool = False) -> AsyncIterator[MailServer]:
    """A mail server on a free port of 127.0.0.1. `silent`: it never responds."""
    server = MailServer(silent=silent)
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
