"""The alert states in Redis, written by one leader in one call per evaluation.

The order guarantees that an incident and its end are both notified:

1. `lead` acquires the lease with an epoch; `load` reads the states with their version.
2. `write` stores new states, changes and notices in one call. Redis rejects the call if the lease has another
   owner or the states have another version.
3. Any process sends the notices (`alerts.store.outbox`) and removes those that were delivered.
4. The leader publishes the changes to the topic `alerts`, in order, and marks them as published.

If the leader dies before 2, the next leader evaluates again. After 2, the stored states prevent a second notification.
If the response of a call is lost, the states are read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from redis.asyncio import Redis

from alerts.payloads import change_payload
from alerts.rule_states import NO_RULE_STATES, RuleStates
from alerts.shop import ShopInfo
from alerts.state.alert import AlertState
from alerts.state.update import AlertStateUpdate
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys
from alerts.store.rule_states import decode_rule_states, encode_rule_states
from streams.serve.changes import AlertStreamEntry
from streams.serve.sse import StreamEntryId
from streams.store.connection import script

MAX_CHANGES = 100_000
"""Maximum length of the change stream, which serves followers and buffers changes while Kafka is unavailable."""
_LOOK_BACK_MS = 60_000
"""Tolerated clock difference between two Redis nodes."""
_PAGE = 500
"""Number of changes read in one call."""

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class LeaderLease:
    """The right to write until the lease ends."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Standby:
    """Another process leads."""

    owner: str
    free_in_ms: int
    """Remaining lease of the leader."""


@dataclass(frozen=True, slots=True)
class StoredAlerts:
    """The states and their version."""

    alerts: dict[str, AlertState]
    version: int
    """The version that the next write must name."""
    memory: bytes | None = None
    """The evaluation memory of the last `save_memory`."""
    rules: RuleStates = NO_RULE_STATES
    """The states of the rules of the last `save_rules`."""


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change in the stream."""

    at: str
    """Its stream id."""
    fingerprint: bytes
    json: bytes
    """The record of the topic `alerts`."""


class WriteResult(StrEnum):
    """The result of a write."""

    OK = "ok"
    DEPOSED = "deposed"
    """Another process leads; nothing was written."""
    MOVED = "moved"
    """The states have another version, or a withdrawn notice has been sent; nothing was written."""


class StateStore:
    """Reads and writes the alert states."""

    def __init__(self, redis: Redis, keys: AlertKeys, shop: ShopInfo, *, lease_ms: int) -> None:
        self._redis: Any = redis  # redis-py's types fit neither kind of its clients
        self._keys = keys
        self._shop = shop
        self.lease_ms = lease_ms
        self._lead = script(redis, "lead", "alerts.store")
        self._keep = script(redis, "keep", "alerts.store")
        self._holder = script(redis, "holder", "alerts.store")
        self._write = script(redis, "write", "alerts.store")

    async def lead(self, owner: str) -> LeaderLease | Standby:
        """Acquire or renew the lease. A new leader must `load`."""
        epoch, _, free_in_ms, holder_name = await self._lead(keys=[self._keys.lead], args=[owner, self.lease_ms])
        return LeaderLease(owner, int(epoch)) if epoch else Standby(holder_name.decode(), int(free_in_ms))

    async def holder(self) -> str | None:
        """Return the leader's name: empty if the lease was released or never taken, None if it expired."""
        owner: bytes | None = await self._holder(keys=[self._keys.lead], args=[])
        return None if owner is None else owner.decode()

    async def release_lead(self, owner: str) -> None:
        """Release the lease if this owner holds it."""
        await self._lead(keys=[self._keys.lead], args=[owner, 0])

    async def load(self) -> StoredAlerts:
        """Read all states in one transaction."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._keys.states)
            pipe.hget(self._keys.lead, "version")
            pipe.get(self._keys.memory)
            pipe.get(self._keys.rules)
            states, version, memory, rules = await pipe.execute()
        alerts = {name.decode(): decode(AlertState, text) for name, text in states.items()}
        return StoredAlerts(alerts, int(version or 0), memory, decode_rule_states(rules))

    async def write(self, lead: LeaderLease, version: int, update: AlertStateUpdate) -> WriteResult:
        """Write an evaluation of the states of that version; the version increases by one."""
        named = [notice.receiver for notice in update.notices]
        named += [notice.receiver for notice in update.withdrawn]
        receivers = list(dict.fromkeys(named))
        index = {name: position for position, name in enumerate(receivers)}
        payload = [  # text, because cmsgpack in Redis does not decode bin
            [part for alert in update.updated_alerts for part in (alert.fingerprint, encode(alert).decode())],
            list(update.removed_fingerprints),
            [
                part
                for change in update.changes
                for part in (change.alert.fingerprint, change_payload(change, self._shop).model_dump_json())
            ],
            [
                part
                for notice in update.notices
                for part in (index[notice.receiver], notice.id, encode(notice).decode(), str(notice.due_ms))
            ],
            [part for notice in update.withdrawn for part in (index[notice.receiver], notice.id)],
        ]
        reply = await self._write(
            keys=[
                self._keys.lead,
                self._keys.states,
                self._keys.changes,
                self._keys.acks,
                *(key for name in receivers for key in (self._keys.outbox(name), self._keys.due(name))),
            ],
            args=[lead.owner, lead.epoch, version, self.lease_ms, _encoder.encode(payload), MAX_CHANGES],
        )
        return WriteResult(reply.decode())

    async def save_memory(self, lead: LeaderLease, memory: bytes) -> bool:
        """Store the evaluation memory. False: another process leads; nothing was written."""
        return bool(await self._keep(keys=[self._keys.lead, self._keys.memory], args=[lead.owner, lead.epoch, memory]))

    async def save_rules(self, lead: LeaderLease, rules: RuleStates) -> bool:
        """Store the states of the rules. False: another process leads; nothing was written."""
        args: list[str | int | bytes] = [lead.owner, lead.epoch, encode_rule_states(rules)]
        return bool(await self._keep(keys=[self._keys.lead, self._keys.rules], args=args))

    # Publishing ------------------------------------------------------------------------------------------------------

    async def unpublished(self, most: int = 500) -> list[StoredChange]:
        """Changes not yet marked as published, oldest first."""
        after = await self._redis.hget(self._keys.lead, "published") or b"0-0"
        entries = await self._redis.xrange(self._keys.changes, f"({after.decode()}", "+", count=most)
        return [StoredChange(name.decode(), entry[b"fingerprint"], entry[b"json"]) for name, entry in entries]

    async def published(self, upto: str) -> None:
        """Mark changes up to this id as published. A repeated or concurrent call republishes at worst."""
        await self._redis.hset(self._keys.lead, "published", upto)


class StoredChanges:
    """Reads the change stream, which `StateStore.write` extends in the same call as the states."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's types fit neither kind of its clients
        self._key = keys.changes

    async def end(self) -> StreamEntryId:
        """An id after every existing entry."""
        seconds, _ = await self._redis.time()
        entry_id = (seconds * 1000 - _LOOK_BACK_MS, 0)
        while entries := await self.after(entry_id, _PAGE):
            entry_id = entries[-1].entry_id
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
