"""Notifies all waiting tasks of one event loop of changes."""

from __future__ import annotations

import asyncio


class ChangeNotifier:
    """Take `next_signal` before checking for changes, then wait for it: no change is missed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next_signal(self) -> asyncio.Event:
        """Set at the next change."""
        return self._next

    def signal(self) -> None:
        """Notify all waiting tasks."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()


async def wait_for_signal(signal: asyncio.Event, within_s: float) -> bool:
    """Wait for a signal; False on timeout."""
    try:
        async with asyncio.timeout(within_s):
            await signal.wait()
    except TimeoutError:
        return False
    return True
