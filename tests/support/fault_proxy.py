"""A TCP proxy that does harm on request: cuts, black-holes and delays connections.

    with FaultProxy(("127.0.0.1", 9092)) as proxy:
        client.connect(proxy.address)
        proxy.black_hole()   # connections stay open, nothing passes
    proxy.silence()      # those open now stay so and pass nothing more; new ones work
        proxy.heal()

It runs in a thread of its own. All its methods may be called from any thread, and have taken effect when they are back.
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
        """Connections of an earlier age than this one are silent."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Client connections open now."""
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
        """Take connections and bytes, and pass nothing on: what a dead link or a hung server looks like."""
        self._call(self._flowing.clear)

    def silence(self) -> None:
        """Pass nothing more on connections that are open now, and tell nobody: half-open links. New ones work."""
        self._call(self._silence)

    def delay(self, seconds: float) -> None:
        """Hold every piece of data for so long, each way."""
        self._call(lambda: setattr(self, "_delay_s", seconds))

    def heal(self) -> None:
        """No faults from now on. What a black hole held back is passed on, as a link that comes back does."""
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
            # Without lingering, the abort is a reset and not an orderly end.
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
                end.close()  # what is on its way still arrives; after a cut there is nothing left to send

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
        """Run `change` in the proxy's own thread; back when it is done."""
        done = threading.Event()

        def run() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(10):
            raise RuntimeError("the fault proxy hangs")
