"""Writing the states of alerts: one leader, every evaluation in one call.

The order that "once a state, and always resolved" rests on:

1. `lead` takes the lead and its epoch, for as long as the lease; `load` reads the states with their version.
2. The evaluation is computed from those states, and `write` puts everything that it comes to into Redis in one call:
   new states, changes, and the notices that people are owed. It is refused if another one leads by now, or the states
   are no longer those that were read.
3. Notices are sent from there, by whoever is alive (`alerts.store.outbox`), and taken away once they have arrived.
4. Changes are published from there to the topic `alerts`, in order, and marked as published afterwards.

Dying before 2 loses nothing: the next leader evaluates anew. After 2, the notices are already on their way and the
states say so: nobody is told a second time. After a call whose answer was lost, the states are read again first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from redis.asyncio import Redis

from alerts.notify.shown import shown_change
from alerts.notify.wording import Place
from alerts.state.alert import Alert
from alerts.state.tick import Tick
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys
from streams.store.connection import script

MOST_CHANGES = 100_000
"""Changes kept in Redis, for who follows and while Kafka is away."""

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Lead:
    """The right to write, until somebody else takes it."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Standby:
    """Somebody else leads."""

    owner: str
    free_in_ms: int
    """When the lead is free unless it is kept."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The states as they were read."""

    alerts: dict[str, Alert]
    version: int
    """The next write must name it."""
    memory: bytes | None = None
    """What the evaluation remembered, by the last `keep`."""


@dataclass(frozen=True, slots=True)
class Written:
    """A change that is in Redis."""

    at: str
    """Its place in the stream of changes."""
    fingerprint: bytes
    json: bytes
    """As the topic `alerts` has it."""


class WriteResult(StrEnum):
    """What became of a write."""

    OK = "ok"
    DEPOSED = "deposed"
    """Another one leads; nothing was written."""
    MOVED = "moved"
    """The states are not those that were read; nothing was written."""


class StateStore:
    """The states of alerts for one process."""

    def __init__(self, redis: Redis, keys: AlertKeys, place: Place, *, lease_ms: int) -> None:
        self._redis: Any = redis  # redis-py's own types fit neither of its two kinds of client
        self._keys = keys
        self._place = place
        self.lease_ms = lease_ms
        self._lead = script(redis, "lead", "alerts.store")
        self._keep = script(redis, "keep", "alerts.store")
        self._holder = script(redis, "holder", "alerts.store")
        self._write = script(redis, "write", "alerts.store")

    async def lead(self, owner: str) -> Lead | Standby:
        """Take the lead if nobody has it, or keep it. A new holder must `load`."""
        epoch, _, free_in_ms, held_by = await self._lead(keys=[self._keys.lead], args=[owner, self.lease_ms])
        return Lead(owner, int(epoch)) if epoch else Standby(held_by.decode(), int(free_in_ms))

    async def holder(self) -> str | None:
        """Who leads now; None: nobody."""
        owner = (await self._holder(keys=[self._keys.lead], args=[])).decode()
        return owner or None

    async def give_up(self, owner: str) -> None:
        """Let the next one lead at once, if this one did."""
        await self._lead(keys=[self._keys.lead], args=[owner, 0])

    async def load(self) -> Loaded:
        """All states, read at one moment."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._keys.states)
            pipe.hget(self._keys.lead, "version")
            pipe.get(self._keys.memory)
            states, version, memory = await pipe.execute()
        alerts = {name.decode(): decode(Alert, text) for name, text in states.items()}
        return Loaded(alerts, int(version or 0), memory)

    async def write(self, lead: Lead, version: int, tick: Tick) -> WriteResult:
        """Write an evaluation, worked out from the states of that version; the next version is one more."""
        receivers = list(dict.fromkeys(notice.receiver for notice in tick.notices))
        place = {name: at for at, name in enumerate(receivers)}
        work = [  # text throughout: Redis reads no MessagePack with bytes in it
            [part for alert in tick.changed for part in (alert.fingerprint, encode(alert).decode())],
            list(tick.gone),
            [
                part
                for change in tick.changes
                for part in (change.alert.fingerprint, shown_change(change, self._place).model_dump_json())
            ],
            [
                part
                for notice in tick.notices
                for part in (place[notice.receiver], notice.id, encode(notice).decode(), str(notice.due_ms))
            ],
        ]
        answer = await self._write(
            keys=[
                self._keys.lead,
                self._keys.states,
                self._keys.changes,
                self._keys.acks,
                *(key for name in receivers for key in (self._keys.outbox(name), self._keys.due(name))),
            ],
            args=[lead.owner, lead.epoch, version, self.lease_ms, _encoder.encode(work), MOST_CHANGES],
        )
        return WriteResult(answer.decode())

    async def keep(self, lead: Lead, memory: bytes) -> bool:
        """Keep what the evaluation remembers. False: another one leads; nothing was written."""
        return bool(await self._keep(keys=[self._keys.lead, self._keys.memory], args=[lead.owner, lead.epoch, memory]))

    # Publishing ------------------------------------------------------------------------------------------------------

    async def unpublished(self, most: int = 500) -> list[Written]:
        """Changes that are not known to be in Kafka, oldest first."""
        after = await self._redis.hget(self._keys.lead, "published") or b"0-0"
        entries = await self._redis.xrange(self._keys.changes, f"({after.decode()}", "+", count=most)
        return [Written(name.decode(), entry[b"fingerprint"], entry[b"json"]) for name, entry in entries]

    async def published(self, upto: str) -> None:
        """Everything up to this change is in Kafka. Said twice, or by two, it is published again at worst."""
        await self._redis.hset(self._keys.lead, "published", upto)
