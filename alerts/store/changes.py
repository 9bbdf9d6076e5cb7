"""The log of changes of alerts, in order, for whoever follows them: a `ChangeLog` of `streams.serve.changes`."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from alerts.store.keys import AlertKeys
from streams.serve.changes import AlertStreamEntry
from streams.serve.sse import StreamEntryId

_LOOK_BACK_MS = 60_000
"""The clocks of two nodes of Redis may be so far apart."""
_PAGE = 500


class StoredChanges:
    """Written with the states, in one call (`alerts.store.states`): neither is there without the other."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's own types fit neither of its two kinds of client
        self._key = keys.changes

    async def end(self) -> StreamEntryId:
        """A place that nothing stands after yet."""
        seconds, _ = await self._redis.time()
        entry_id = (seconds * 1000 - _LOOK_BACK_MS, 0)
        while found := await self.after(entry_id, _PAGE):
            entry_id = found[-1].entry_id
        return entry_id

    async def oldest(self) -> StreamEntryId | None:
        """The first change that is kept."""
        entries = await self._redis.xrange(self._key, count=1)
        return _entry_id(entries[0][0]) if entries else None

    async def after(self, entry_id: StreamEntryId, most: int) -> list[AlertStreamEntry]:
        """The first changes after a place; each as the topic `alerts` has it."""
        entries = await self._redis.xrange(self._key, f"({entry_id[0]}-{entry_id[1]}", "+", count=most)
        return [AlertStreamEntry(_entry_id(name), entry[b"json"]) for name, entry in entries]


def _entry_id(name: bytes) -> StreamEntryId:
    ms, _, number = name.partition(b"-")
    return int(ms), int(number)
