"""A `serve` process, and raw connections to it."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Mapping

from streams.local.embedded.ports import free_port
from streams.local.stack.plan import temporary_data_dir
from tests.support.servers import Server, http_ready, running

_SERVE = """
import resource, sys
if int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from streams.serve import app
from streams.settings import Settings
app.run(Settings())
"""


@contextlib.contextmanager
def serving(settings: Mapping[str, object], *, files: int = 0) -> Iterator[Server]:
    """A server; `files`: its soft and hard limit of open files."""
    port = free_port()
    env = {f"SALEPULSE_{name.upper()}": str(value) for name, value in settings.items()}
    with temporary_data_dir() as folder:
        argv = [sys.executable, "-c", _SERVE, str(files)]
        server = Server(
            "serve",
            argv,
            port,
            http_ready("127.0.0.1", port, "/healthz"),
            folder,
            env={**env, "SALEPULSE_HTTP_PORT": str(port)},
        )
        with running(server):
            yield server


@contextlib.contextmanager
def connected(port: int, how_many: int = 1) -> Iterator[list[socket.socket]]:
    """Idle connections."""
    held: list[socket.socket] = []
    try:
        for _ in range(how_many):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        yield held
    finally:
        for one in held:
            one.close()


def answered(one: socket.socket, request: bytes = b"") -> bytes:
    """Send bytes, and read until the connection closes or times out."""
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        one.sendall(request)
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := one.recv(65536):
            received += part
    return received
