"""Reading where every partition stands."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS, Partition
from streams.asof import PartitionState
from streams.store.keys import Keys


@dataclass(frozen=True, slots=True)
class State:
    """All shards at about one moment."""

    epochs: tuple[str, ...]
    """One of each shard. With another one Redis is another, or a topic was made anew: what was read before is void."""
    partitions: dict[Partition, PartitionState]
    """The partitions of the event topics."""
    promotions_version: int
    """Grows with every change of a promotion."""


async def read_state(redis: Redis, keys: Keys) -> State:
    """Where every partition of the event topics stands."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(keys.shards):
            pipe.hgetall(keys.state(shard))
        shards = await pipe.execute()
    return parse_state(shards)


def parse_state(shards: list[dict[bytes, bytes]]) -> State:
    """The state from the hash of each shard."""
    partitions: dict[Partition, PartitionState] = {}
    for fields in shards:
        names = {name.partition(b":")[2] for name in fields if b":" in name}
        for name in names:
            partition = Partition.parse(name.decode())
            if partition.topic in EVENT_TOPICS:
                partitions[partition] = PartitionState(
                    *(
                        _int(fields.get(field + b":" + name))
                        for field in (b"pos", b"rolled", b"max", b"new", b"seen", b"lag")
                    )
                )
    return State(
        tuple(fields.get(b"epoch", b"").decode() for fields in shards),
        partitions,
        sum(int(fields.get(b"promotions", 0)) for fields in shards),
    )


def _int(value: bytes | None) -> int | None:
    return None if value is None else int(value)
