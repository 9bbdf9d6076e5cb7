"""Reading where every partition stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS, READ_TOPICS, Partition, Topic
from streams.store.as_of import PartitionState
from streams.store.keys import Keys
from streams.store.stuck_partitions import UnmovedPosition

UNKNOWN_SINCE_MS = 1
"""Of records that were lost at a time that is not known: a version before this one wrote none."""
_STOPPED, _WAITS = b"stopped:", b"waits:"


@dataclass(frozen=True, slots=True)
class StoreState:
    """All shards at about one moment."""

    epochs: tuple[str, ...]
    """One of each shard. With another one Redis is another, or a topic was made anew: what was read before is void."""
    partitions: dict[Partition, PartitionState]
    """The partitions of the event topics that were ever read, also those that the broker has no more."""
    promotions_version: int
    """Grows with every change of a promotion."""
    counts: Mapping[Topic, int] = field(default_factory=dict)
    """How many partitions the broker has of each topic that workers read, 0: there is no such topic. Without topics
    that no worker has noted."""
    unread: tuple[Partition, ...] = ()
    """Partitions that the broker has and no worker has ever sent a heartbeat for."""
    incomplete: Mapping[Partition, int] = field(default_factory=dict)
    """Partitions of which records were lost before they were counted, also of `promotions`: event time, epoch ms, from
    which on; never 0."""
    paused: dict[Partition, str] = field(default_factory=dict)
    """Partitions, also of promotions, that are not read: most of their topic's messages break the contract. # <why>"""
    waiting: Mapping[Partition, UnmovedPosition] = field(default_factory=dict)
    """Partitions, also of promotions, in which records wait, or that the broker does not answer for."""

    @property
    def existing_partitions(self) -> dict[Partition, PartitionState]:
        """`partitions` without those that the broker has no more: a topic was created again with fewer. Their counts
        stay. Where the topic is missing altogether all of them are waited for."""
        return {
            partition: held
            for partition, held in self.partitions.items()
            if not (count := self.counts.get(partition.topic)) or partition.number < count
        }

    @property
    def differing(self) -> tuple[int, int] | None:
        """How many partitions `orders` and `logistics` have, where they must have as many and do not."""
        orders, logistics = self.counts.get(Topic.ORDERS, 0), self.counts.get(Topic.LOGISTICS, 0)
        return (orders, logistics) if len(self.epochs) > 1 and orders and logistics and orders != logistics else None

    @property
    def incomplete_since_ms(self) -> int | None:
        """Event time from which on events were lost before they were counted; None: none are known to be."""
        return min((ms for partition, ms in self.incomplete.items() if partition.topic in EVENT_TOPICS), default=None)

    @property
    def missing(self) -> tuple[Topic, ...]:
        """Topics that the broker does not have."""
        return tuple(topic for topic, count in self.counts.items() if not count)

    def capped(self, now_ms: int) -> StoreState:
        """The same without event times that the clock has not reached."""
        return replace(self, partitions={name: held.capped(now_ms) for name, held in self.partitions.items()})


async def read_state(redis: Redis, keys: Keys) -> StoreState:
    """Where every partition of the event topics stands."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(keys.shards):
            pipe.hgetall(keys.state(shard))
        shards = await pipe.execute()
    return parse_state(shards)


def parse_state(shards: list[dict[bytes, bytes]]) -> StoreState:
    """The state from the hash of each shard."""
    partitions: dict[Partition, PartitionState] = {}
    attended: set[Partition] = set()
    incomplete: dict[Partition, int] = {}
    for fields in shards:
        names = {name.partition(b":")[2] for name in fields if b":" in name and not name.startswith(_WAITS)}
        for name in names:
            partition = Partition.parse(name.decode())
            if b"seen:" + name in fields:
                attended.add(partition)
            if (since := fields.get(b"incomplete:" + name)) is not None:
                incomplete[partition] = int(since) or UNKNOWN_SINCE_MS
            if partition.topic in EVENT_TOPICS:
                partitions[partition] = PartitionState(
                    *(
                        _int(fields.get(field + b":" + name))
                        for field in (b"pos", b"rolled", b"max", b"new", b"seen", b"lag", b"upto", b"void")
                    )
                )
    counts = {
        topic: int(held.split(b" ")[1])
        for topic in READ_TOPICS
        for fields in shards[:1]
        if (held := fields.get(f"broker,{topic}".encode())) is not None
    }
    return StoreState(
        tuple(fields.get(b"epoch", b"").decode() for fields in shards),
        partitions,
        sum(int(fields.get(b"promotions", 0)) for fields in shards),
        counts,
        tuple(
            partition
            for topic, count in counts.items()
            for partition in (Partition(topic, number) for number in range(count))
            if partition not in attended
        ),
        incomplete,
        {
            Partition.parse(name.removeprefix(_STOPPED).decode()): why.decode("utf-8", "replace")
            for fields in shards
            for name, why in fields.items()
            if name.startswith(_STOPPED)
        },
        {
            Partition.parse(name.removeprefix(_WAITS).decode()): _waiting(held)
            for fields in shards
            for name, held in fields.items()
            if name.startswith(_WAITS)
        },
    )


def _waiting(held: bytes) -> UnmovedPosition:
    """As `heartbeat.lua` writes it."""
    at, since_ms, reported_ms, lag = held.decode().split(" ")
    return UnmovedPosition(at.partition(".")[0], int(since_ms), int(reported_ms), int(lag) if lag else None)


def _int(value: bytes | None) -> int | None:
    return None if value is None else int(value)
