"""Child processes of the supervisor, their readiness probes and their events."""

from __future__ import annotations

import asyncio
import signal
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

Probe = Callable[[], Awaitable[str]]
"""Returns "" if the server is ready, else the problem. Never raises."""
READY = ""
TIMEOUT_S = 2.0


async def always_ready() -> str:
    """Ready as soon as the child runs."""
    return READY


def redis_ready(host: str, port: int) -> Probe:
    """Ready when PING is answered, after the append-only file is loaded."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(b"PING\r\n")
        answer = (await reader.readline()).strip().decode(errors="replace")
        # A server that requires a password is ready, too.
        return READY if answer == "+PONG" or answer.startswith("-NOAUTH") else f"Redis answers {answer or 'nothing'}"

    return over_tcp(host, port, ask)


def kafka_ready(host: str, port: int, brokers: int = 1) -> Probe:
    """Ready when the metadata lists `brokers` brokers; the port opens before the cluster is up."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        client = b"probe"
        # Metadata request, version 1, without topics; KIP-896 keeps this version.
        body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
        writer.write(struct.pack(">i", len(body)) + body)
        size, _correlation, broker_count = struct.unpack(">iii", await reader.readexactly(12))
        return READY if size >= 8 and broker_count >= brokers else f"{max(broker_count, 0)} of {brokers} brokers are up"

    return over_tcp(host, port, ask)


def over_tcp(
    host: str, port: int, ask: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str]]
) -> Probe:
    """A probe that connects and returns the result of `ask`."""

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


OnReady = Callable[[], Awaitable[None]]

_BASIC = frozenset({"HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "USER"})


def is_basic(name: str) -> bool:
    """Whether a third-party program needs this environment variable; any other may be a secret."""
    return name in _BASIC


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to start and keep running."""

    name: str
    argv: Sequence[str]
    log_path: Path
    """File that its standard output and error are appended to; created with its folder."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the inherited variables."""
    inherits: Callable[[str], bool] = lambda _name: True
    """Filter of the supervisor's environment variables, by name."""
    ready: Probe = always_ready
    on_ready: OnReady | None = None
    """Awaited after each start, before the event READY."""
    ready_within_s: float = 30
    grace_s: float = 10
    """Time from SIGTERM to SIGKILL."""
    restart_codes: frozenset[int] = frozenset()
    """Exit codes that ask for a restart and count as no death."""


class ChildEventKind(StrEnum):
    """Kind of an event."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    """Ended unexpectedly; a restart or the supervisor's failure follows."""
    STOPPED = "stopped"
    """Ended on SIGTERM within its grace time."""
    KILLED = "killed"
    """Ended by SIGKILL after its grace time or ready time-out."""


@dataclass(frozen=True)
class ChildEvent:
    """Event of a child."""

    name: str
    kind: ChildEventKind
    detail: str = ""


def describe_exit(code: int) -> str:
    """Text of a return code of `subprocess`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
