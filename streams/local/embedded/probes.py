"""Readiness probes.

A probe is an async callable that returns "" if the server is ready, else the problem. It never raises.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[str]]
READY = ""
TIMEOUT_S = 2.0


def always_ready() -> Probe:
    """Ready as soon as the child runs."""

    async def probe() -> str:
        return READY

    return probe


def redis_ready(host: str, port: int) -> Probe:
    """Ready when PING is answered, after the append-only file is loaded."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(b"PING\r\n")
        answer = (await reader.readline()).strip().decode(errors="replace")
        # A server that requires a password is ready, too.
        return READY if answer == "+PONG" or answer.startswith("-NOAUTH") else f"Redis answers {answer or 'nothing'}"

    return _over_tcp(host, port, ask)


def kafka_ready(host: str, port: int, brokers: int = 1) -> Probe:
    """Ready when the metadata lists `brokers` brokers; the port opens before the cluster is up."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        client = b"probe"
        # Metadata request, version 1, without topics; KIP-896 keeps this version.
        body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
        writer.write(struct.pack(">i", len(body)) + body)
        size, _correlation, found = struct.unpack(">iii", await reader.readexactly(12))
        return READY if size >= 8 and found >= brokers else f"{max(found, 0)} of {brokers} brokers are up"

    return _over_tcp(host, port, ask)


def http_ready(host: str, port: int, path: str = "/readyz") -> Probe:
    """Ready when `path` answers 200."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).decode(errors="replace").split(" ", 2)
        if len(status) > 1 and status[1] == "200":
            return READY
        answer = (await reader.read(4096)).decode(errors="replace").partition("\r\n\r\n")[2]
        return f"{path} answers {' '.join(status[1:]).strip() or 'nothing'} {answer[:200]}".strip()

    return _over_tcp(host, port, ask)


def _over_tcp(
    host: str, port: int, ask: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str]]
) -> Probe:
    async def connect_and_ask() -> str:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return await ask(reader, writer)
        finally:
            writer.close()

    async def probe() -> str:
        try:
            return await asyncio.wait_for(connect_and_ask(), TIMEOUT_S)
        except TimeoutError:
            return f"{host}:{port} does not answer within {TIMEOUT_S:g} s"
        except (OSError, asyncio.IncompleteReadError):
            return f"nothing answers on {host}:{port}"

    return probe
