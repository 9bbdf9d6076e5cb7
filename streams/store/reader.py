"""Reads panes: blocks, and the deltas not yet in blocks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis

from consumers.contract.events import Promotion
from consumers.errors import SalepulseError
from consumers.topics import Partition
from streams.dictionary.types import Model
from streams.dictionary.wire import WireError
from streams.fold.codec import decode
from streams.fold.delta import PaneDelta
from streams.panes.keys import MAX_ROWS
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.connection import Access, open_store
from streams.store.keys import Keys
from streams.store.merging import BlockId
from streams.store.process_reports import ProcessReport, decode_report
from streams.store.retained_spans import RetainedSpans, from_json
from streams.store.state import StoreState, read_state


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One applied batch."""

    start_offset: int
    end_offset: int
    delta: PaneDelta


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A consistent view of a block: the parts of all partitions, and their compacted positions."""

    parts: list[tuple[Partition, PaneDelta]]
    compacted_to: Mapping[Partition, int]
    gone: bool = False
    """Whether the block has expired, at least in part, so that `parts` are incomplete."""


class PaneSource(Protocol):
    """The source that a view reads blocks, logs and state from."""

    def with_rows(self, rows: RowIndex) -> PaneSource:
        """The same source with another row index."""

    async def state(self) -> StoreState:
        """The state of every partition."""

    async def model(self) -> Model | None:
        """The model in force; None while it changes. Raises SalepulseError if this release cannot read it."""

    async def promotions(self) -> dict[str, Promotion]:
        """The promotions in force, by id."""

    async def retained_spans(self) -> RetainedSpans:
        """The spans of minutes that are retained beyond their level's retention."""

    async def log(self, after: Mapping[Partition, int]) -> dict[Partition, list[LogEntry]]:
        """The log entries of each partition after a position, oldest first, as far as the log reaches back."""

    async def blocks(self, wanted: Sequence[BlockId], partitions: Iterable[Partition]) -> dict[BlockId, StoredBlock]:
        """Blocks with the positions up to which they are complete."""

    async def starts(self, level: str) -> set[int]:
        """Starts of a level's existing blocks, epoch seconds."""


class PaneReader:
    """The `PaneSource` that reads Redis, where `PaneWriter` writes."""

    def __init__(self, redis: Redis, keys: Keys, rows: RowIndex) -> None:
        self._redis = redis
        self._keys = keys
        self._rows = rows

    def with_rows(self, rows: RowIndex) -> PaneReader:
        """The same reader with another row index."""
        return type(self)(self._redis, self._keys, rows)

    async def state(self) -> StoreState:
        """The state of every partition."""
        return await read_state(self._redis, self._keys)

    async def model(self) -> Model | None:
        """The model in force; None while it changes. Raises SalepulseError if this release cannot read it."""
        from streams.store.worker_setup import SetupStore  # it reads with this module

        stored = await SetupStore(self._redis, self._keys).read()
        if stored is None or stored.changing:
            return None
        try:
            return stored.compile()
        except WireError as error:
            raise SalepulseError(str(error)) from error

    async def promotions(self) -> dict[str, Promotion]:
        """The current promotions, by id."""
        stored: dict[bytes, bytes] = await self._redis.hgetall(self._keys.promotions)  # type: ignore[assignment]
        return {name.decode(): Promotion.model_validate_json(definition) for name, definition in stored.items()}

    async def retained_spans(self) -> RetainedSpans:
        """The spans of minutes that are retained beyond their level's retention."""
        return from_json(await self._redis.get(self._keys.retained_spans))

    async def log(self, after: Mapping[Partition, int]) -> dict[Partition, list[LogEntry]]:
        """Deltas applied to each partition after a position, oldest first, as far as they are still in the log."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition, position in after.items():
                pipe.xrange(self._keys.log(partition), min=f"({position}-0")
            logs = await pipe.execute()
        by_partition: dict[Partition, list[LogEntry]] = {}
        for partition, entries in zip(after, logs, strict=True):
            by_partition[partition] = [
                LogEntry(int(entry[b"f"]), int(entry_id.split(b"-")[0]), self._decoded(entry[b"d"]))
                for entry_id, entry in entries
            ]
            await asyncio.sleep(0)
        return by_partition

    async def blocks(self, wanted: Sequence[BlockId], partitions: Iterable[Partition]) -> dict[BlockId, StoredBlock]:
        """Blocks with their compacted positions, read atomically per shard; other calls may run between shards."""
        parts: dict[BlockId, list[tuple[Partition, PaneDelta]]] = {block: [] for block in wanted}
        compacted_to: dict[Partition, int] = {}
        gone: set[BlockId] = set()
        for shard in range(self._keys.shards):
            in_shard = [partition for partition in partitions if self._keys.shard(partition) == shard]
            async with self._redis.pipeline(transaction=True) as pipe:
                if in_shard:
                    pipe.hmget(self._keys.state(shard), [f"rolled:{partition}" for partition in in_shard])
                for level, start in wanted:
                    pipe.zrangebyscore(self._keys.blocks(shard, level), start, start)
                    pipe.hgetall(self._keys.block(shard, level, start))
                answers = await pipe.execute()
            if in_shard:
                compacted_to |= {
                    partition: int(position or 0) for partition, position in zip(in_shard, answers.pop(0), strict=True)
                }
            for block, listed, fields in zip(wanted, answers[::2], answers[1::2], strict=True):
                if listed and not fields:
                    gone.add(block)
                for name, content in fields.items():
                    partition = Partition.parse(name.decode().rpartition(":")[0])
                    parts[block].append((partition, self._decoded(content)))
                await asyncio.sleep(0)
        return {block: StoredBlock(parts[block], compacted_to, block in gone) for block in wanted}

    def _decoded(self, content: bytes) -> PaneDelta:
        delta = decode(content, self._rows) if content else PaneDelta()
        if self._rows.names > MAX_ROWS:
            raise SalepulseError(
                f"more than {MAX_ROWS:,} values of all scopes, or names in the stock event log, were read: query "
                "less at a time",
                retriable=True,
            )
        return delta

    async def starts(self, level: str) -> set[int]:
        """Starts of a level's existing blocks, epoch seconds."""
        starts: set[int] = set()
        for shard in range(self._keys.shards):
            listed: list[bytes] = await self._redis.zrange(self._keys.blocks(shard, level), 0, -1)  # type: ignore[assignment]
            starts.update(map(int, listed))
        return starts

    async def totals(self) -> dict[str, int]:
        """See `read_counts`."""
        return await read_counts(self._redis, self._keys)

    async def reports(self) -> dict[str, ProcessReport]:
        """See `read_reports`."""
        return await read_reports(self._redis, self._keys)


async def read_counts(redis: Redis, keys: Keys) -> Counter[str]:
    """Counts of all shards since the start, by the names that `Keys` lists."""
    totals: Counter[str] = Counter()
    for shard in range(keys.shards):
        stored = await redis.hgetall(keys.totals(shard))
        totals.update({_text(name): int(count) for name, count in stored.items()})
    return totals


async def read_reports(redis: Redis, keys: Keys) -> dict[str, ProcessReport]:
    """The last reports of workers and alerts processes by process id, without those of unknown versions."""
    client: Any = redis  # redis-py's types fit neither kind of client
    stored = await client.hgetall(keys.reports)
    reports = {_text(name): decode_report(text) for name, text in stored.items()}
    return {name: report for name, report in reports.items() if report is not None}


def _text(stored: bytes | str) -> str:
    return stored if isinstance(stored, str) else stored.decode()


async def read_promotions(settings: Settings) -> dict[str, Promotion]:
    """# <promotion_id: its newest definition>. Raises SalepulseError if Redis does not answer."""
    async with open_store(settings, Access.READ) as (redis, keys):
        return await PaneReader(redis, keys, RowIndex()).promotions()
