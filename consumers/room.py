"""How much was fetched and is not done with: while that is little the next is fetched, else fetching waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

_LOOK_AGAIN_S = 0.2
"""Batches that Faust drops are told by nobody: they are missed when somebody looks."""


class Held(Protocol):
    """What takes up room."""

    size: int
    """Bytes of its records."""

    def __len__(self) -> int: ...


class Room:
    """Room for what is fetched ahead of being counted.

    A go is fetched when what is held comes to no more than one go, so that one is counted while the next is gathered:
    never more than two goes are held. What nobody holds any more takes up no room: Faust drops what it was handed when
    partitions are revoked.
    """

    def __init__(self, records: int, size: int) -> None:
        self._records = records
        self._size = size
        self._held: WeakSet[Held] = WeakSet()
        self._given = asyncio.Event()

    @property
    def records(self) -> int:
        """Records held now."""
        return sum(len(held) for held in self._held)

    @property
    def size(self) -> int:
        """Bytes of records held now."""
        return sum(held.size for held in self._held)

    @property
    def full(self) -> bool:
        """Whether nothing more is fetched for now."""
        return self.records > self._records or self.size > self._size

    def take(self, held: Held) -> None:
        """A batch was fetched."""
        self._held.add(held)

    def give(self, held: Held) -> None:
        """A batch is done with."""
        self._held.discard(held)
        self._given.set()

    async def wait(self) -> None:
        """Until there is room for one more go."""
        while self.full:
            await self._change()

    async def _change(self) -> None:
        self._given.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._given.wait(), _LOOK_AGAIN_S)
