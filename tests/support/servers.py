"""Real servers for tests: the embedded broker, Apache Kafka, Redis. Each can be killed, paused and restarted.

    with redis_server(aof=True) as redis, tansu_broker() as broker:
        broker.bootstrap, redis.url
        redis.kill()
        redis.restart()   # on the same port and the same data

Servers end with the `with` block, and with the process that started them even if that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streams.local.embedded.broker import broker_command
from streams.local.embedded.child import READY, Probe, describe_exit, kafka_ready, over_tcp, redis_ready
from streams.local.embedded.guard import guarded
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.embedded.redis import redis_command
from streams.local.embedded.supervisor import tail
from streams.local.stack.plan import temporary_data_dir

# On Linux a guarded child dies with the thread that started it, which may be short-lived in a test.
_hands = ThreadPoolExecutor(1, thread_name_prefix="servers")


class Server:
    """A server process with its own port on 127.0.0.1 and folder, both kept over restarts."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        ready: Probe,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        ready_within_s: float = 60,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.host, self.port = LOOPBACK, port
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self._ready = ready
        self._env = dict(env or {})
        self._ready_within_s = ready_within_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def bootstrap(self) -> str:
        """The bootstrap address of a broker."""
        return self.address

    @property
    def url(self) -> str:
        """The URL of a Redis."""
        return f"redis://{self.address}/0"

    @property
    def pid(self) -> int:
        return self._present().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start the process without waiting for it."""
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        with self.log_path.open("ab") as log:
            self._process = _hands.submit(
                subprocess.Popen,
                guarded(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._env},
                cwd=self.folder,
                start_new_session=True,
            ).result()

    def wait_ready(self) -> None:
        """Wait until it responds; fails with the end of its log if it exits or times out."""
        deadline = time.monotonic() + self._ready_within_s
        while missing := _hands.submit(asyncio.run, self._ready()).result():
            code = self._present().poll()
            if code is not None or time.monotonic() > deadline:
                what = missing if code is None else describe_exit(code)
                raise RuntimeError("\n".join([f"{self.name} did not start: {what}", *tail(self.log_path)]))
            time.sleep(0.05)

    def start(self) -> None:
        self.spawn()
        self.wait_ready()

    def terminate(self, within_s: float) -> int:
        """Send SIGTERM; returns the exit code. Raises subprocess.TimeoutExpired."""
        self._present().terminate()
        return self._present().wait(within_s)

    def ended(self, within_s: float) -> int:
        """Wait for its exit; returns the exit code. Raises subprocess.TimeoutExpired."""
        return self._present().wait(within_s)

    def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self._signal_group(signal.SIGKILL)
        self._present().wait()

    def restart(self) -> None:
        """Start it again on its port and data; kills it first if it runs."""
        if self.running:
            self.kill()
        self.start()

    def stop(self, grace_s: float = 20) -> None:
        """Send SIGTERM, and SIGKILL after the grace time."""
        if not self.running:
            return
        self.resume()
        self._present().terminate()
        try:
            self._present().wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open without responses."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_group(signal.SIGCONT)

    def _present(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process

    def _signal_group(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The started server; stopped at the end."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def redis_server(*options: str, aof: bool = False, port: int = 0) -> Iterator[Server]:
    """A Redis without eviction. With `aof`, data survives a restart.

    `options` are appended to its command line and take precedence: `"--maxmemory", "20mb"`.
    """
    port = port or free_port()
    with temporary_data_dir() as folder:
        argv = [*redis_command(port, folder, append_only=aof), *options]
        with running(Server("redis", argv, port, redis_ready(LOOPBACK, port), folder)) as server:
            yield server


@contextlib.contextmanager
def tansu_broker(*, port: int = 0, advertised: str = "") -> Iterator[Server]:
    """An empty embedded broker; in memory, so a restart empties it. `advertised`: a proxy's host:port."""
    port = port or free_port()
    with temporary_data_dir() as folder:
        argv = broker_command(port, advertised=advertised)
        ready = kafka_ready(LOOPBACK, port)
        with running(Server("broker", argv, port, ready, folder, env={"RUST_LOG": "warn"})) as server:
            yield server


def http_ready(host: str, port: int, path: str = "/readyz") -> Probe:
    """Ready when `path` answers 200."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).decode(errors="replace").split(" ", 2)
        if len(status) > 1 and status[1] == "200":
            return READY
        answer = (await reader.read(4096)).decode(errors="replace").partition("\r\n\r\n")[2]
        return f"{path} answers {' '.join(status[1:]).strip() or 'nothing'} {answer[:200]}".strip()

    return over_tcp(host, port, ask)
