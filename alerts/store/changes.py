"""The log of changes of alerts, in order, for whoever follows them: a `ChangeLog` of `streams.serve.changes`."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from alerts.store.keys import AlertKeys
from streams.serve.changes import Change
from streams.serve.sse import Place

_LOOK_BACK_MS = 60_000
"""The clocks of two nodes of Redis may be so far apart."""
_PAGE = 500


class StoredChanges:
    """Written with the states, in one call (`alerts.store.states`): neither is there without the other."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's own types fit neither of its two kinds of client
        self._key = keys.changes

    async def end(self) -> Place:
        """A place that nothing stands after yet."""
        seconds, _ = await self._redis.time()
        place = (seconds * 1000 - _LOOK_BACK_MS, 0)
        while found := await self.after(place, _PAGE):
            place = found[-1].place
        return place

    async def oldest(self) -> Place | None:
        """The first change that is kept."""
        entries = await self._redis.xrange(self._key, count=1)
        return _place(entries[0][0]) if entries else None

    async def after(self, place: Place, most: int) -> list[Change]:
        """The first changes after a place; each as the topic `alerts` has it."""
        entries = await self._redis.xrange(self._key, f"({place[0]}-{place[1]}", "+", count=most)
        return [Change(_place(name), entry[b"json"]) for name, entry in entries]


def _place(name: bytes) -> Place:
    ms, _, number = name.partition(b"-")
    return int(ms), int(number)
