"""Writes panes: each batch in one fenced script call, results and position together.

Exactness depends on this order:

1. `load` reads a partition's position; the worker seeks there.

2. `apply` sends a batch with its start offset. Redis applies it only if that is the stored position: it appends the
   delta to the partition's log, stores the event ids and moves the position. Otherwise (a repeat, a zombie after a
   rebalance, a gap, a wiped Redis) it changes nothing and returns the stored position. Order records, which two topics
   share, are compared and set in the same call.

3. `streams.store.compactor` moves deltas from the log into blocks of panes, under the same fence.

A call without an answer may be repeated: the id of the last batch is stored with the position, so that Redis recognises
a batch that it applied already. Another worker's batch may have led to the same position with other records; compaction
therefore checks the id, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import uuid4

import numpy as np
from redis.asyncio import Redis

from consumers.dedup import Hashes
from consumers.kafka.metadata import TopicMetadata
from consumers.topics import InputTopic, Partition
from streams.clock import now_ms
from streams.fold.codec import decode, encode
from streams.fold.delta import ZERO, PaneDelta
from streams.model.negative_amounts import MAX_CHANNEL_COUPON_PAIRS
from streams.panes.rows import RowIndex
from streams.shipping.join import RecordChange
from streams.shipping.record import RecordKey
from streams.store.connection import script
from streams.store.id_log import IdSpan
from streams.store.keys import Keys
from streams.store.levels import PaneLevel
from streams.store.retained_spans import NO_RETAINED_SPANS, RetainedSpans


@dataclass(frozen=True, slots=True)
class IdEntry:
    """Event ids of one applied batch, or of several joined."""

    end_offset: int
    """Position after the last of them."""
    hashes: Hashes
    oldest_ms: int
    """Oldest event time among them, epoch ms."""
    newest_ms: int
    """Newest event time among them, epoch ms."""

    @property
    def span(self) -> IdSpan:
        """The entry without its ids."""
        return IdSpan(self.end_offset, self.oldest_ms, self.newest_ms, len(self.hashes))


@dataclass(frozen=True, slots=True)
class StoredPartition:
    """The stored state of a partition."""

    position: int | None
    """Offset of the next record to count; None: nothing was applied yet."""
    compacted_to: int | None
    """Position up to which deltas are in blocks."""
    log: list[tuple[int, PaneDelta]]
    """# <(position after the delta, delta)>, not yet compacted"""
    ids: list[IdEntry]
    """Ids since the last compaction."""
    compacted_ids: list[IdEntry]
    """Earlier ids."""
    topic_ids: tuple[str, ...] = ()
    """Ids of the counted topic and of its predecessor; empty if unknown."""
    batch_id: str = ""
    """Id of the batch that set the position; empty if there is none."""
    heartbeat_ms: int | None = None
    """Last heartbeat, epoch ms."""


@dataclass(frozen=True, slots=True)
class BatchUpdate:
    """One batch of one partition, ready to be applied."""

    partition: Partition
    start_offset: int
    """Offset after the last record of the batch before, or the offset of the last seek."""
    end_offset: int
    """Offset after the last record of this batch."""
    first: bool
    """Whether `load` found no position."""
    newest_ms: int | None
    """Newest event time that is not ahead of the clock; None if no event counts or all are ahead."""
    delta: PaneDelta = ZERO
    ids: IdEntry | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    """# <total: increment>"""
    records: Sequence[RecordChange] = ()
    clock_ms: int | None = None
    """A later stored event time is replaced, since a wrong clock wrote it; None: never."""
    batch_id: str = field(init=False, default_factory=lambda: uuid4().hex)
    """Unique per object, also for copies with changes."""


class SupersededError(Exception):
    """Another worker started with another model or other sources; this one must end."""


@dataclass(frozen=True, slots=True)
class RecordConflict:
    """The batch was refused: an order record has changed since it was read. Nothing was written; read it and retry."""


@dataclass(frozen=True, slots=True)
class OffsetMismatch:
    """The batch was refused: it does not start at the stored position."""

    position: int | None
    """The stored position; None if there is none."""


class PaneWriter:
    """Writes deltas and positions for one worker."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        levels: Sequence[PaneLevel],
        *,
        clock: Callable[[], int] = now_ms,
        setup_token: str = "",
    ) -> None:
        """`clock`: the reference clock that all processes share, epoch ms. `setup_token`: of the worker's setup, see
        `streams.store.worker_setup`; empty: batches are applied whatever the present one is."""
        self._redis = redis
        self._keys = keys
        self._levels = levels
        self._clock = clock
        self._setup_token = setup_token
        self._apply = script(redis, "apply")
        self._reset_position = script(redis, "reset_position")
        self._note_topic_id = script(redis, "note_topic_id")
        self._mark_incomplete = script(redis, "mark_incomplete")
        self._note_topics = script(redis, "note_topics")
        self._heartbeat = script(redis, "heartbeat")
        self._apply_promotions = script(redis, "apply_promotions")
        self._note_paused = script(redis, "note_paused")
        self._read_records = script(redis, "read_records")

    async def load(self, partition: Partition, rows: RowIndex) -> StoredPartition:
        """Read the state that a new owner needs, atomically."""
        state = self._keys.state(self._keys.shard(partition))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(state, [f"{name}:{partition}" for name in ("pos", "rolled", "topic", "by", "seen")])
            pipe.xrange(self._keys.log(partition))
            pipe.xrange(self._keys.ids(partition))
            pipe.xrange(self._keys.compacted_ids(partition))
            (position, compacted_to, topic_ids, batch_id, heartbeat_ms), log, ids, compacted_ids = await pipe.execute()
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
            topic_ids=tuple((topic_ids or b"").decode().split()),
            batch_id=(batch_id or b"").decode(),
            heartbeat_ms=None if heartbeat_ms is None else int(heartbeat_ms),
        )

    async def note_topic_id(self, partition: Partition, position: int, topic_id: str) -> bool:
        """Note the id of a partition's topic if none is stored; False on an offset mismatch."""
        keys = [self._keys.state(self._keys.shard(partition))]
        return bool(await self._note_topic_id(keys=keys, args=[str(partition), position, topic_id]) == b"ok")

    async def records(self, partition: Partition, orders: Iterable[RecordKey]) -> dict[RecordKey, bytes | None]:
        """# <order: its encoded record; None if it has none>"""
        keys = list(orders)
        records: dict[RecordKey, bytes | None] = dict.fromkeys(keys)
        flat_answer = iter(
            await self._read_records(keys=[self._keys.buckets(self._keys.shard(partition))], args=[b"".join(keys)])
        )
        for index, record in zip(flat_answer, flat_answer, strict=True):
            records[keys[index]] = record
        return records

    async def apply(self, batch: BatchUpdate, rows: RowIndex) -> OffsetMismatch | RecordConflict | None:
        """Apply a batch; None if it is applied, by this call or an earlier one with the same batch, else why it was
        refused. Raises SupersededError, and applies nothing, if workers have another setup now."""
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
                self._setup_token,
                *(part for total in batch.totals.items() for part in total),
            ],
        )
        if answer == b"superseded":
            raise SupersededError
        return RecordConflict() if answer == b"read again" else _moved(answer)

    async def mark_incomplete(self, partition: Partition, position: int | None, unknown_ms: int) -> bool:
        """Mark that records after the position are lost: the history is incomplete since the newest event counted.

        The earliest of several losses is kept. `unknown_ms` is used if no event was ever counted. `position` is None if
        none is stored. False and no change on an offset mismatch.
        """
        keys = [self._keys.state(self._keys.shard(partition))]
        offset = "" if position is None else position
        return bool(await self._mark_incomplete(keys=keys, args=[str(partition), offset, unknown_ms]) == b"ok")

    async def reset_position(
        self, partition: Partition, position: int, at: int, unknown_ms: int | None, topic_id: str = ""
    ) -> bool:
        """Move from `position` to `at`; the whole log must be compacted.

        `unknown_ms`: see `mark_incomplete`, which is included; None if no record is known to be lost. `topic_id`: id of
        the current topic, empty if unknown. Readers start over. False and no change on an offset mismatch or if the log
        is not compacted.
        """
        answer = await self._reset_position(
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
        """Set (JSON) or delete (None) promotions in order, and add to totals, together with the position."""
        shard = self._keys.shard(partition)
        answer = await self._apply_promotions(
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

    async def note_paused(self, partition: Partition, position: int | None, why: str) -> OffsetMismatch | None:
        """Note why a partition is paused, until its next batch is applied; None if noted."""
        keys = [self._keys.state(self._keys.shard(partition))]
        return _moved(
            await self._note_paused(keys=keys, args=[str(partition), "" if position is None else position, why])
        )

    async def clear_incomplete(self, partition: Partition) -> None:
        """Clear the mark that records of a partition were lost."""
        await self._redis.hdel(self._keys.state(self._keys.shard(partition)), f"incomplete:{partition}")

    async def note_topics(self, known: Mapping[InputTopic, TopicMetadata]) -> None:
        """Note the broker's topics and partition counts: readers await a heartbeat of each partition."""
        if known:
            args = [
                part for topic, metadata in known.items() for part in (topic, metadata.topic_id, metadata.partitions)
            ]
            await self._note_topics(keys=[self._keys.state(0)], args=args)

    async def heartbeat(
        self,
        lags: Mapping[Partition, tuple[int | None, int | None]],
        counted_through_ms: Mapping[Partition, int] = MappingProxyType({}),
        steps: Mapping[Partition, int] = MappingProxyType({}),
        batches_in_flight: Mapping[Partition, str] = MappingProxyType({}),
    ) -> set[Partition]:
        """Write heartbeats: (position, uncounted records) per partition. Returns the partitions whose position differs.

        Uncounted records are None if the broker does not answer for a partition; then only that is noted.
        `counted_through_ms`: all records that arrived in Kafka by then are before the position. `steps`: numbers that
        grow while a large record is read. `batches_in_flight`: ids of batches whose resulting positions are accepted as
        the caller's.
        """
        mismatched: set[Partition] = set()
        for shard in {self._keys.shard(partition) for partition in lags}:
            args: list[str | int] = [self._clock()]
            for partition, (position, lag) in lags.items():
                if self._keys.shard(partition) == shard:
                    args += [str(partition), "" if position is None else position, "" if lag is None else lag]
                    args += [counted_through_ms.get(partition, ""), steps.get(partition, 0)]
                    args.append(batches_in_flight.get(partition, ""))
            answer = await self._heartbeat(keys=[self._keys.state(shard)], args=args)
            mismatched |= {Partition.parse(name.decode()) for name in answer}
        return mismatched

    async def expire(self, oldest_s: Mapping[str, int], kept: RetainedSpans = NO_RETAINED_SPANS) -> int:
        """Delete blocks whose panes have all expired and are not retained; returns their number."""
        deleted = 0
        for shard in range(self._keys.shards):
            for level in self._levels:
                if level.name not in oldest_s:
                    continue
                for first, last in kept.droppable(level.name, level.block_s, oldest_s[level.name]):
                    deleted += await self._drop(shard, level.name, first, last)
        return deleted

    async def _drop(self, shard: int, level: str, first: int, last: int) -> int:
        """Delete blocks that start in [first, last], a few thousand at a time; returns their number."""
        index = self._keys.blocks(shard, level)
        listed: list[bytes] = await self._redis.zrangebyscore(index, first, last, start=0, num=5000)  # type: ignore[assignment]
        starts = [int(start) for start in listed]
        if starts:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.unlink(*(self._keys.block(shard, level, start) for start in starts))
                pipe.zrem(index, *starts)
                await pipe.execute()
        return len(starts)


def _packed(records: Sequence[RecordChange]) -> bytes:
    """Encode record changes for `apply.lua`; a record that does not exist yet is sent as an empty one."""
    parts: list[bytes] = []
    for key, stored, after in records:
        before = stored or b""
        parts += (key, len(before).to_bytes(2, "big"), before, len(after).to_bytes(2, "big"), after)
    return b"".join(parts)


def _moved(answer: bytes) -> OffsetMismatch | None:
    if answer == b"ok":
        return None
    return OffsetMismatch(int(answer) if answer else None)


def _id_entry(entry: tuple[bytes, dict[bytes, bytes]]) -> IdEntry:
    entry_id, fields = entry
    hashes = np.frombuffer(fields[b"h"], "<u8").astype(np.uint64)
    return IdEntry(_offset(entry_id), hashes, int(fields[b"o"]), int(fields[b"n"]))


def _offset(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])
