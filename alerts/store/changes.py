"""The log of alert changes, a `ChangeLog` of `streams.serve.changes`."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from alerts.store.keys import AlertKeys
from streams.serve.changes import AlertStreamEntry
from streams.serve.sse import StreamEntryId

_LOOK_BACK_MS = 60_000
"""Tolerated clock difference between two Redis nodes."""
_PAGE = 500


class StoredChanges:
    """Reads the stream that `alerts.store.states` writes in the same call as the states."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's types fit neither kind of its clients
        self._key = keys.changes

    async def end(self) -> StreamEntryId:
        """An id after every existing entry."""
        seconds, _ = await self._redis.time()
        entry_id = (seconds * 1000 - _LOOK_BACK_MS, 0)
        while found := await self.after(entry_id, _PAGE):
            entry_id = found[-1].entry_id
        return entry_id

    async def oldest(self) -> StreamEntryId | None:
        """Id of the first stored change."""
        entries = await self._redis.xrange(self._key, count=1)
        return _entry_id(entries[0][0]) if entries else None

    async def after(self, entry_id: StreamEntryId, most: int) -> list[AlertStreamEntry]:
        """The first changes after an id, as JSON of the topic `alerts`."""
        entries = await self._redis.xrange(self._key, f"({entry_id[0]}-{entry_id[1]}", "+", count=most)
        return [AlertStreamEntry(_entry_id(name), entry[b"json"]) for name, entry in entries]


def _entry_id(name: bytes) -> StreamEntryId:
    ms, _, number = name.partition(b"-")
    return int(ms), int(number)
