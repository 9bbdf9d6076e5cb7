"""A TCP proxy that cuts, black-holes and delays connections.

    with FaultProxy(("127.0.0.1", 9092)) as proxy:
        client.connect(proxy.address)
        proxy.black_hole()   # connections stay open, nothing passes
        proxy.silence()      # the same for open connections; new ones work
        proxy.heal()

Runs in its own thread. Methods are thread-safe and take effect before they return.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

CHUNK = 65536


class FaultProxy:
    """Listens on a port of 127.0.0.1 and passes bytes to and from `target`."""

    def __init__(self, target: tuple[str, int], port: int = 0) -> None:
        self.target = target
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay_s = 0.0
        self._age = 0
        """Connections of an earlier generation are silent."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Number of open client connections."""
        return len(self._tasks)

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing = asyncio.Event()
        self._call(self._flowing.set)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.cut()
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        self._call(self._cut)

    def black_hole(self) -> None:
        """Accept connections and bytes but pass nothing on, like a dead link or a hung server."""
        self._call(self._flowing.clear)

    def silence(self) -> None:
        """Pass nothing more on open connections, without closing them: half-open links. New connections work."""
        self._call(self._silence)

    def delay(self, seconds: float) -> None:
        """Delay all data by this time in each direction."""
        self._call(lambda: setattr(self, "_delay_s", seconds))

    def heal(self) -> None:
        """Remove all faults, and pass on the data of a black hole."""
        self.delay(0)
        self._call(self._flowing.set)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def _silence(self) -> None:
        self._age += 1

    def _cut(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in self._writers:
            # Without lingering, abort sends a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._writers.add(writer)
        ends = [writer]
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            ends.append(far_writer)
            self._writers.add(far_writer)
            ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, far_writer), (far_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in ends:
                self._writers.discard(end)
                end.close()  # data in transit still arrives; after a cut there is none

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        age = self._age
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                if age < self._age:
                    continue
                writer.write(data)
                await writer.drain()

    def _call(self, change: Callable[[], object]) -> None:
        """Run `change` in the proxy's thread and wait for it."""
        done = threading.Event()

        def run() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(10):
            raise RuntimeError("the fault proxy does not respond")
