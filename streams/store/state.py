"""Reads the state of all partitions, and the newest as-of that follows from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from redis.asyncio import Redis

from consumers.topics import CONTRACT_FEEDS, Feeds, InputTopic, Partition, Topic, topics_feeding
from streams.settings import Settings
from streams.store.as_of import AsOf, PartitionState, as_of
from streams.store.feeds import FEEDS_FIELD, parse_feeds
from streams.store.keys import Keys
from streams.store.stuck_partitions import UnmovedPosition

SETUP_FIELD = "setup"
"""Field of the state of each shard: the token of the model and sources that may count there."""
CHANGING_FIELD = "setup-changing"
"""Field of the state of shard 0; present while a change of them is not complete."""
UNKNOWN_SINCE_MS = 1
"""Stands for an unknown time of loss: earlier versions stored none."""
_STOPPED, _WAITS = b"stopped:", b"waits:"


@dataclass(frozen=True, slots=True)
class StoreState:
    """All shards at about the same time."""

    epochs: tuple[str, ...]
    """One per shard. A new epoch means another Redis or a recreated topic: everything read before is invalid."""
    partitions: dict[Partition, PartitionState]
    """All event partitions that were ever read, even if the broker no longer has them."""
    promotions_version: int
    """Incremented by every change of a promotion."""
    partition_counts: Mapping[InputTopic, int] = field(default_factory=dict)
    """# <topic that workers read: number of partitions on the broker, 0 if it does not exist>, as far as noted."""
    unread: tuple[Partition, ...] = ()
    """Partitions of the broker without any heartbeat yet."""
    incomplete: Mapping[Partition, int] = field(default_factory=dict)
    """# <partition that lost uncounted records: event time of the loss, epoch ms, never 0>, also of `promotions`."""
    paused: dict[Partition, str] = field(default_factory=dict)
    """# <paused partition: reason>: most messages of its topic break the contract."""
    feeds: Feeds = field(default_factory=lambda: CONTRACT_FEEDS)
    """The topics with events that workers read."""
    unmoved: Mapping[Partition, UnmovedPosition] = field(default_factory=dict)
    """Partitions with a backlog, or that the broker does not answer for; also of `promotions`."""
    setups: tuple[str, ...] = ()
    """The token of the workers' model and sources in each shard; empty: none."""
    setup_changing: bool = False
    """Whether a change of them is not complete."""

    @property
    def setup(self) -> str:
        """`setups` if all shards have the same and no change is incomplete, else empty."""
        same = len(set(self.setups)) == 1 and not self.setup_changing
        return self.setups[0] if same else ""

    @property
    def existing_partitions(self) -> dict[Partition, PartitionState]:
        """`partitions` without those that the broker no longer has, because their topic was recreated with fewer. Their
        counts remain. A topic that is missing entirely keeps all of its partitions, since it may come back; those of
        a topic that workers no longer read are left out."""
        return {
            partition: state
            for partition, state in self.partitions.items()
            if partition.topic in self.feeds
            and (not (count := self.partition_counts.get(partition.topic)) or partition.number < count)
        }

    @property
    def partition_count_mismatch(self) -> tuple[int, int] | None:
        """Two partition counts of topics with orders or shipments if they must match and do not."""
        counts = [
            count
            for topic, fed in self.feeds.items()
            if not {Topic.ORDERS, Topic.LOGISTICS}.isdisjoint(fed) and (count := self.partition_counts.get(topic, 0))
        ]
        differing = next((count for count in counts if count != counts[0]), None)
        return (counts[0], differing) if len(self.epochs) > 1 and differing is not None else None

    @property
    def incomplete_since_ms(self) -> int | None:
        """Event time from which on uncounted events were lost; None if there is no known loss."""
        return min(
            (ms for partition, ms in self.incomplete.items() if partition.topic is not Topic.PROMOTIONS), default=None
        )

    @property
    def missing_topics(self) -> tuple[InputTopic, ...]:
        """Topics that the broker does not have."""
        return tuple(topic for topic, count in self.partition_counts.items() if not count)

    def capped(self, now_ms: int) -> StoreState:
        """A copy without event times in the future."""
        return replace(self, partitions={name: state.capped(now_ms) for name, state in self.partitions.items()})


async def read_state(redis: Redis, keys: Keys) -> StoreState:
    """Read the state of every event partition."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(keys.shards):
            pipe.hgetall(keys.state(shard))
        shards = await pipe.execute()
    return parse_state(shards)


async def read_topic_id(redis: Redis, keys: Keys, partition: Partition) -> str:
    """Id of the topic that a partition was counted from, else of the topic on the broker; empty if unknown."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hget(keys.state(keys.shard(partition)), f"topic:{partition}")
        pipe.hget(keys.state(0), f"broker,{partition.topic}")
        counted, noted = [(stored or b"").decode() for stored in await pipe.execute()]
    current = counted.split()
    return str(current[0] if current else noted.partition(" ")[0])


def parse_state(shards: list[dict[bytes, bytes]]) -> StoreState:
    """Parse the state from each shard's hash."""
    partitions: dict[Partition, PartitionState] = {}
    with_heartbeat: set[Partition] = set()
    incomplete: dict[Partition, int] = {}
    for fields in shards:
        names = {name.partition(b":")[2] for name in fields if b":" in name and not name.startswith(_WAITS)}
        for name in names:
            partition = Partition.parse(name.decode())
            if b"seen:" + name in fields:
                with_heartbeat.add(partition)
            if (since := fields.get(b"incomplete:" + name)) is not None:
                incomplete[partition] = int(since) or UNKNOWN_SINCE_MS
            if partition.topic is not Topic.PROMOTIONS:
                partitions[partition] = PartitionState(
                    *(
                        _int(fields.get(field + b":" + name))
                        for field in (b"pos", b"rolled", b"max", b"new", b"seen", b"lag", b"upto", b"void")
                    )
                )
    feeds = parse_feeds(shards[0].get(FEEDS_FIELD.encode()) if shards else None)
    partition_counts: dict[InputTopic, int] = {
        topic: int(stored.split(b" ")[1])
        for topic in (*feeds, Topic.PROMOTIONS)
        for fields in shards[:1]
        if (stored := fields.get(f"broker,{topic}".encode())) is not None
    }
    return StoreState(
        tuple(fields.get(b"epoch", b"").decode() for fields in shards),
        partitions,
        sum(int(fields.get(b"promotions", 0)) for fields in shards),
        partition_counts,
        tuple(
            partition
            for topic, count in partition_counts.items()
            for partition in (Partition(topic, number) for number in range(count))
            if partition not in with_heartbeat
        ),
        incomplete,
        {partition: why.decode("utf-8", "replace") for partition, why in _by_partition(shards, _STOPPED)},
        feeds,
        {partition: _unmoved(stored) for partition, stored in _by_partition(shards, _WAITS)},
        tuple(fields.get(SETUP_FIELD.encode(), b"").decode() for fields in shards),
        any(CHANGING_FIELD.encode() in fields for fields in shards),
    )


def _by_partition(shards: list[dict[bytes, bytes]], prefix: bytes) -> Iterator[tuple[Partition, bytes]]:
    for fields in shards:
        for name, stored in fields.items():
            if name.startswith(prefix):
                yield Partition.parse(name.removeprefix(prefix).decode()), stored


def _unmoved(stored: bytes) -> UnmovedPosition:
    """Parse the format of `heartbeat.lua`."""
    position, since_ms, reported_ms, lag = stored.decode().split(" ")
    return UnmovedPosition(position.partition(".")[0], int(since_ms), int(reported_ms), int(lag) if lag else None)


def _int(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def newest_as_of(
    state: StoreState, now_ms: int, settings: Settings, *, waiting_for: Collection[Topic] | None = None
) -> AsOf:
    """The newest as-of, and the stale partitions.

    Partitions that no worker reads count as stale; the as-of does not wait for them. `waiting_for`: topics; by default
    those of the settings.
    """
    newest = as_of(
        state.existing_partitions,
        now_ms=now_ms,
        clock=settings.clock,
        idle_after_ms=int(settings.idle_after_s * 1000),
        stale_after_ms=int(settings.stale_after_s * 1000),
        topics=topics_feeding(state.feeds, settings.topics_in_as_of if waiting_for is None else waiting_for),
    )
    return replace(newest, stale=(*newest.stale, *state.unread))


def queryable_until_ms(state: StoreState, now_ms: int, settings: Settings) -> int | None:
    """The newest as-of that can be queried, epoch ms; None if there is none.

    This is the newest as-of. If it is unknown because a partition never had an event, it is that of the other
    partitions.
    """
    known = {
        name: partition for name, partition in state.existing_partitions.items() if partition.newest_ms is not None
    }
    newest_ms = newest_as_of(state, now_ms, settings).ms
    if newest_ms is not None:
        return newest_ms
    return newest_as_of(StoreState(state.epochs, known, 0, feeds=state.feeds), now_ms, settings).ms
