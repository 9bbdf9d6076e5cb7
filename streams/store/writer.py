"""Writing panes: every batch in one fenced script call, results and position together.

The order that exactness rests on:

1. `load` reads where a partition stands; the worker seeks there.
2. `apply` says which position its batch follows. Redis applies it only if that is the stored position: the delta goes
into the partition's log, the event ids beside it, the position moves. Anything else (a repeat, a zombie after a
rebalance, a batch after a lost one, a wiped Redis) changes nothing and is answered with the position to go to.
What events tell of orders goes into records that two topics share, so these are compared and set in the same call.
3. `streams.store.compactor` moves deltas from the log into blocks of panes, under the same fence.

A call that was cut off may be sent again: each batch has an id of its own, which is kept beside the position that it
led to, so its sender is told that the first call got through. Somebody else's batch may lead to the same position, and
may have been joined with other records: whose word stands there is told by the id, and asked by rolls too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import uuid4

import numpy as np
from redis.asyncio import Redis

from consumers.dedup import Hashes
from consumers.kafka.topic_ids import TopicMetadata
from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.fold.codec import decode, encode
from streams.fold.delta import ZERO, PaneDelta
from streams.model.negative_amounts import MAX_CHANNEL_COUPON_PAIRS
from streams.panes.rows import RowIndex
from streams.shipping.join import RecordChange
from streams.shipping.record_keys import RecordKey
from streams.store.connection import script
from streams.store.id_log import IdSpan
from streams.store.keys import Keys
from streams.store.levels import PaneLevel
from streams.store.retained_spans import NO_RETAINED_SPANS, RetainedSpans


@dataclass(frozen=True, slots=True)
class IdEntry:
    """Event ids of one applied batch, or of several that were joined."""

    end_offset: int
    """Position after the last of them."""
    hashes: Hashes
    oldest_ms: int
    newest_ms: int

    @property
    def span(self) -> IdSpan:
        """The entry without its ids."""
        return IdSpan(self.end_offset, self.oldest_ms, self.newest_ms, len(self.hashes))


@dataclass(frozen=True, slots=True)
class StoredPartition:
    """What Redis holds of a partition."""

    position: int | None
    """Offset of the next record to count; None: nothing was ever applied."""
    compacted_to: int | None
    """Position up to which deltas are in the blocks."""
    log: list[tuple[int, PaneDelta]]
    """Deltas after that, each with the position after it."""
    ids: list[IdEntry]
    """Of what is not rolled."""
    compacted_ids: list[IdEntry]
    """Before those."""
    topic_ids: tuple[str, ...] = ()
    """The topic that was counted, and the one before it; empty while that is not known."""
    batch_id: str = ""
    """Which batch led to the position; empty where none did."""
    heartbeat_ms: int | None = None
    """When a worker last sent a heartbeat for it, epoch ms."""


@dataclass(frozen=True, slots=True)
class BatchUpdate:
    """One batch of one partition, ready to be applied."""

    partition: Partition
    start_offset: int
    """Offset after the record fetched before this batch, or the one last sought."""
    end_offset: int
    """Offset after the last record of this batch."""
    first: bool
    """Whether `load` found no position."""
    newest_ms: int | None
    """Newest event time that is not ahead of the clock; None when nothing in it counts, or all of it is ahead."""
    delta: PaneDelta = ZERO
    ids: IdEntry | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    """What to add to the totals, by name."""
    records: Sequence[RecordChange] = ()
    clock_ms: int | None = None
    """A newest event time later than this is not believed where it is stored already; None: any is."""
    batch_id: str = field(init=False, default_factory=lambda: uuid4().hex)
    """Another one of each such object, also of copies with something changed."""


@dataclass(frozen=True, slots=True)
class RecordConflict:
    """The batch was refused: a record is not what it was read as. Nothing was changed; read and try again."""


@dataclass(frozen=True, slots=True)
class OffsetMismatch:
    """The batch was refused: the partition stands elsewhere."""

    position: int | None
    """Where; None: Redis knows nothing of this partition."""


class PaneWriter:
    """Writes deltas and positions for one worker."""

    def __init__(
        self, redis: Redis, keys: Keys, levels: Sequence[PaneLevel], *, clock: Callable[[], int] = now_ms
    ) -> None:
        """`clock`: the one that all processes go by, epoch ms (`ReferenceClock`)."""
        self._redis = redis
        self._keys = keys
        self._levels = levels
        self._clock = clock
        self._apply = script(redis, "apply")
        self._restart = script(redis, "restart")
        self._identify = script(redis, "identify")
        self._incomplete = script(redis, "incomplete")
        self._topics = script(redis, "topics")
        self._heartbeat = script(redis, "heartbeat")
        self._promotions = script(redis, "promotions")
        self._stop = script(redis, "stop")
        self._records = script(redis, "records")

    async def load(self, partition: Partition, rows: RowIndex) -> StoredPartition:
        """Everything a new owner of a partition needs, read at one moment."""
        state = self._keys.state(self._keys.shard(partition))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(state, [f"{name}:{partition}" for name in ("pos", "rolled", "topic", "by", "seen")])
            pipe.xrange(self._keys.log(partition))
            pipe.xrange(self._keys.ids(partition))
            pipe.xrange(self._keys.compacted_ids(partition))
            (position, compacted_to, topic, batch_id, seen), log, ids, compacted_ids = await pipe.execute()
        compacted_offset = None if compacted_to is None else int(compacted_to)
        return StoredPartition(
            position=None if position is None else int(position),
            compacted_to=compacted_offset,
            log=[
                (offset, decode(entry[b"d"], rows) if entry[b"d"] else ZERO)
                for entry_id, entry in log
                if (offset := _offset(entry_id)) > (compacted_offset or 0)
            ],
            ids=list(map(_id_entry, ids)),
            compacted_ids=list(map(_id_entry, compacted_ids)),
            topic_ids=tuple((topic or b"").decode().split()),
            batch_id=(batch_id or b"").decode(),
            heartbeat_ms=None if seen is None else int(seen),
        )

    async def note_topic_id(self, partition: Partition, position: int, topic_id: str) -> bool:
        """Note the topic that a partition is counted from, where none is noted; False if it stands elsewhere."""
        keys = [self._keys.state(self._keys.shard(partition))]
        return bool(await self._identify(keys=keys, args=[str(partition), position, topic_id]) == b"ok")

    async def records(self, partition: Partition, orders: Iterable[RecordKey]) -> dict[RecordKey, bytes | None]:
        """The records of orders that a partition tells of; None: there is none."""
        keys = list(orders)
        records: dict[RecordKey, bytes | None] = dict.fromkeys(keys)
        held = iter(await self._records(keys=[self._keys.buckets(self._keys.shard(partition))], args=[b"".join(keys)]))
        for place, record in zip(held, held, strict=True):
            records[keys[place]] = record
        return records

    async def apply(self, batch: BatchUpdate, rows: RowIndex) -> OffsetMismatch | RecordConflict | None:
        """Apply a batch; None when it is in, by this call or by an earlier one of the same, else why it was refused."""
        shard = self._keys.shard(batch.partition)
        answer = await self._apply(
            keys=[
                self._keys.state(shard),
                self._keys.log(batch.partition),
                self._keys.ids(batch.partition),
                self._keys.totals(shard),
                self._keys.buckets(shard),
            ],
            args=[
                str(batch.partition),
                batch.start_offset,
                batch.end_offset,
                int(batch.first),
                batch.batch_id,
                "" if batch.newest_ms is None else batch.newest_ms,
                self._clock(),
                encode(batch.delta, rows, compress=False) if batch.delta else b"",
                batch.ids.hashes.astype("<u8").tobytes() if batch.ids else b"",
                batch.ids.oldest_ms if batch.ids else "",
                batch.ids.newest_ms if batch.ids else "",
                uuid4().hex,
                _packed(batch.records),
                MAX_CHANNEL_COUPON_PAIRS,
                "" if batch.clock_ms is None else batch.clock_ms,
                *(part for total in batch.totals.items() for part in total),
            ],
        )
        return RecordConflict() if answer == b"read again" else _moved(answer)

    async def mark_incomplete(self, partition: Partition, position: int | None, unknown_ms: int) -> bool:
        """Mark that records after the position are lost: incomplete since the newest event counted of the partition.

        Of several losses the earliest is kept. `unknown_ms` is the time to use where no event of it was ever counted;
        `position` is None where none is stored. False if the partition is at another position: nothing is marked then.
        """
        keys = [self._keys.state(self._keys.shard(partition))]
        at = "" if position is None else position
        return bool(await self._incomplete(keys=keys, args=[str(partition), at, unknown_ms]) == b"ok")

    async def restart(
        self, partition: Partition, position: int, at: int, unknown_ms: int | None, topic_id: str = ""
    ) -> bool:
        """Go to another position; all of the log must be rolled.

        `unknown_ms`: as of `mark_incomplete`, which is done too; None where nothing is known to be missing.
        `topic_id`: the topic that is read now, empty where that is to be found out. Views begin again. False if the
        partition is at another position, or something is not rolled: nothing is changed then.
        """
        answer = await self._restart(
            keys=[
                self._keys.state(self._keys.shard(partition)),
                self._keys.log(partition),
                self._keys.ids(partition),
                self._keys.compacted_ids(partition),
            ],
            args=[str(partition), position, at, "" if unknown_ms is None else unknown_ms, topic_id, uuid4().hex],
        )
        return bool(answer == b"ok")

    async def apply_promotions(
        self,
        partition: Partition,
        start_offset: int,
        end_offset: int,
        first: bool,
        changes: Sequence[tuple[str, bytes | None]],
        totals: Mapping[str, int] = MappingProxyType({}),
    ) -> OffsetMismatch | None:
        """Set (JSON) or delete (None) promotions, in order, and add to totals, with the position of their partition."""
        shard = self._keys.shard(partition)
        answer = await self._promotions(
            keys=[self._keys.state(shard), self._keys.promotions, self._keys.totals(shard)],
            args=[
                str(partition),
                start_offset,
                end_offset,
                int(first),
                uuid4().hex,
                len(totals),
                *(part for total in totals.items() for part in total),
                *(part for promotion_id, definition in changes for part in (promotion_id, definition or b"")),
            ],
        )
        return _moved(answer)

    async def stop(self, partition: Partition, position: int | None, why: str) -> OffsetMismatch | None:
        """Note why a partition is not read on, until something of it is applied; None when that is noted."""
        keys = [self._keys.state(self._keys.shard(partition))]
        return _moved(await self._stop(keys=keys, args=[str(partition), "" if position is None else position, why]))

    async def confirm(self, partition: Partition) -> None:
        """Say no more that anything was lost of a partition."""
        await self._redis.hdel(self._keys.state(self._keys.shard(partition)), f"incomplete:{partition}")

    async def note_topics(self, known: Mapping[Topic, TopicMetadata]) -> None:
        """Note which topics the broker has, and how many partitions: readers wait for a heartbeat of each."""
        if known:
            args = [part for topic, held in known.items() for part in (topic, held.topic_id, held.partitions)]
            await self._topics(keys=[self._keys.state(0)], args=args)

    async def heartbeat(
        self,
        lags: Mapping[Partition, tuple[int | None, int | None]],
        counted_through_ms: Mapping[Partition, int] = MappingProxyType({}),
        steps: Mapping[Partition, int] = MappingProxyType({}),
        applying: Mapping[Partition, str] = MappingProxyType({}),
    ) -> set[Partition]:
        """Say that partitions are attended: (position, records not yet counted) of each. Returns those that moved.

        Where the broker does not answer for a partition its records are None: only that is noted then.
        `counted_through_ms`:
        everything that had arrived in Kafka by then is before the position, where that is known. `steps`: grows while a
        large record is read. `applying`: ids of batches that are being applied: the position that one led to is the
        caller's too.
        """
        moved: set[Partition] = set()
        for shard in {self._keys.shard(partition) for partition in lags}:
            args: list[str | int] = [self._clock()]
            for partition, (position, lag) in lags.items():
                if self._keys.shard(partition) == shard:
                    args += [str(partition), "" if position is None else position, "" if lag is None else lag]
                    args += [
                        counted_through_ms.get(partition, ""),
                        steps.get(partition, 0),
                        applying.get(partition, ""),
                    ]
            answer = await self._heartbeat(keys=[self._keys.state(shard)], args=args)
            moved |= {Partition.parse(name.decode()) for name in answer}
        return moved

    async def expire(self, oldest_s: Mapping[str, int], kept: RetainedSpans = NO_RETAINED_SPANS) -> int:
        """Delete blocks whose panes are all older than their level keeps, and not kept for years; returns how many."""
        deleted = 0
        for shard in range(self._keys.shards):
            for level in self._levels:
                if level.name not in oldest_s:
                    continue
                for first, last in kept.droppable(level.name, level.block_s, oldest_s[level.name]):
                    deleted += await self._drop(shard, level.name, first, last)
        return deleted

    async def _drop(self, shard: int, level: str, first: int, last: int) -> int:
        """Delete blocks that begin in [first, last], a few thousand at a time; returns how many."""
        index = self._keys.blocks(shard, level)
        found: list[bytes] = await self._redis.zrangebyscore(index, first, last, start=0, num=5000)  # type: ignore[assignment]
        starts = [int(start) for start in found]
        if starts:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.unlink(*(self._keys.pane(shard, level, start) for start in starts))
                pipe.zrem(index, *starts)
                await pipe.execute()
        return len(starts)


_NO_RECORD = (0).to_bytes(2, "big")


def _packed(records: Sequence[RecordChange]) -> bytes:
    """As `apply.lua` reads them."""
    parts: list[bytes] = []
    for key, before, after in records:
        if before is None:
            parts += (key, _NO_RECORD, len(after).to_bytes(2, "big"), after)
        else:
            parts += (key, len(before).to_bytes(2, "big"), before, len(after).to_bytes(2, "big"), after)
    return b"".join(parts)


def _moved(answer: bytes) -> OffsetMismatch | None:
    if answer == b"ok":
        return None
    return OffsetMismatch(int(answer) if answer else None)


def _id_entry(entry: tuple[bytes, dict[bytes, bytes]]) -> IdEntry:
    entry_id, held = entry
    hashes = np.frombuffer(held[b"h"], "<u8").astype(np.uint64)
    return IdEntry(_offset(entry_id), hashes, int(held[b"o"]), int(held[b"n"]))


def _offset(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])
