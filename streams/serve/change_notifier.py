"""Wakes everyone who waits for news, in one event loop."""

from __future__ import annotations

import asyncio


class ChangeNotifier:
    """Take `next_signal` before looking for news, and wait for it afterwards: so no ring goes unheard."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next_signal(self) -> asyncio.Event:
        """The ring that comes next."""
        return self._next

    def signal(self) -> None:
        """There is news."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()


async def wait_for_signal(signal: asyncio.Event, within_s: float) -> bool:
    """Wait for a ring; False: there was none in time."""
    try:
        async with asyncio.timeout(within_s):
            await signal.wait()
    except TimeoutError:
        return False
    return True
