"""SSE events as a client gets them, and an alert log in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from streams.local.embedded.ports import free_port
from streams.serve.app import bind, create_app, server
from streams.serve.changes import AlertStreamEntry
from streams.serve.sse import StreamEntryId
from streams.settings import Settings


@dataclass(frozen=True)
class Event:
    """One event."""

    name: str
    id: str | None
    data: Any


def events(text: str) -> list[Event]:
    """The events in a part of a stream."""
    return [found for block in text.split("\n\n") if (found := _event(block))]


def _event(block: str) -> Event | None:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
    return Event(fields["event"], fields.get("id"), json.loads(fields["data"])) if "data" in fields else None


async def received(answer: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream."""
    block: list[str] = []
    async for line in answer.aiter_lines():
        block.append(line)
        if line == "" and (found := _event("\n".join(block))):
            yield found
        if line == "":
            block = []


@dataclass
class Log:
    """An alert log in memory; `fault`: the error that every call raises."""

    held: list[AlertStreamEntry] = field(default_factory=list)
    fault: Exception | None = None
    failed: int = 0
    """Number of calls that raised it."""
    given: int = 0
    """Number of changes requested."""

    def add(self, *numbers: int, size: int = 0) -> None:
        """Add changes, each with the id (number, 0)."""
        self.held += [
            AlertStreamEntry((number, 0), json.dumps({"number": number, "much": "x" * size}).encode())
            for number in numbers
        ]

    async def is_read(self) -> bool:
        """Whether any changes were read."""
        return self.given > 0

    async def end(self) -> StreamEntryId:
        self._answer()
        return self.held[-1].entry_id if self.held else (0, 0)

    async def oldest(self) -> StreamEntryId | None:
        self._answer()
        return self.held[0].entry_id if self.held else None

    async def after(self, entry_id: StreamEntryId, most: int) -> list[AlertStreamEntry]:
        self._answer()
        found = [change for change in self.held if change.entry_id > entry_id][:most]
        self.given += len(found)
        return found

    def _answer(self) -> None:
        if self.fault is not None:
            self.failed += 1
            raise self.fault


@contextlib.asynccontextmanager
async def served(settings: Settings, log: Log | None = None) -> AsyncIterator[str]:
    """A server on a port of its own, stopped after the block. `log`: alert changes to relay."""
    settings = settings.model_copy(update={"http_port": free_port()})
    app = create_app(settings)
    with bind(settings) as bound:
        running = server(app, settings)
        task = asyncio.create_task(running.serve(sockets=[bound]))
        while not running.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        try:
            async with contextlib.AsyncExitStack() as stack:
                if log is not None:
                    await stack.enter_async_context(app.state.broadcast.relay_alerts(log))
                yield f"http://127.0.0.1:{settings.http_port}"
                running.should_exit = True
                await asyncio.wait_for(task, 10)
        finally:
            running.should_exit = True
            await task
