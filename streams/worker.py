"""The worker: carries batches from Kafka to the panes in Redis.

Faust gives consumer groups, rebalances, agents and timers; what counts, and up to where, is decided by `PartitionWork`
and the fence in Redis. Kafka's committed offsets are kept near the truth for tools that watch lag, and are never relied
upon.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP
from prometheus_client import generate_latest
from redis.exceptions import RedisError

from consumers.dead_letters import DeadLetter, DeadLetterWriter
from consumers.decoding import decode_promotion
from consumers.rejects import Rejected
from consumers.topics import EVENT_TOPICS, Topic
from consumers.transport import BatchApp, RecordBatch
from streams.asof import as_of
from streams.metrics import WorkerMetrics
from streams.partition import PartitionWork, Prepared, clocks
from streams.rows import Rows
from streams.settings import Settings, limits
from streams.store.connection import UNREACHABLE, connect
from streams.store.keeper import Keeper
from streams.store.keys import Keys, Partition
from streams.store.levels import levels
from streams.store.roller import Roller
from streams.store.state import read_state
from streams.store.sweep import RecordSweep
from streams.store.writer import Moved, PaneWriter, now_ms

T = TypeVar("T")
log = structlog.get_logger()

_MAX_ROWS = 1_000_000
_SEEK_AGAIN_S = 5.0
_SILENT_S = 3.0
_GONE_MS = 600_000
_EXPIRE_EVERY_S = 10.0


class RevokedError(Exception):
    """The partition is no longer this worker's."""


class Worker:
    """One worker process's work, apart from Faust itself."""

    def __init__(self, settings: Settings, app: BatchApp) -> None:
        self.settings = settings
        self.metrics = WorkerMetrics()
        self.works: dict[Partition, PartitionWork] = {}
        self.clocks = clocks(settings, None)
        self.id = f"{socket.gethostname()}-{os.getpid()}"
        self._app = app
        self._redis = connect(settings)
        self._keys = Keys(settings.redis_prefix, settings.shards)
        self._writer = PaneWriter(self._redis, self._keys, levels(settings))
        self._roller = Roller(self._redis, self._keys, levels(settings))
        self._sweep = RecordSweep(
            self._redis, self._keys, 1000 * limits(settings).horizon_s, settings.delivered_horizon_d * 86_400_000
        )
        self._keeper = Keeper(self._redis, self._keys, levels(settings), settings)
        self._dead_letters = DeadLetterWriter(settings.bootstrap)
        self._bury_lock = asyncio.Lock()
        self._burying = False
        """Whether the producer of dead letters is connected."""
        self._rows = Rows()
        self._locks: dict[Partition, asyncio.Lock] = {}
        self._rolls: set[asyncio.Task[None]] = set()
        self._sought: dict[Partition, float] = {}
        self._starts: dict[Partition, int] = {}
        self._expired_at = 0.0
        self._commit_at = 0.0

    async def stop(self) -> None:
        """Close connections. What was not applied is read again by the next owner."""
        for task in self._rolls:
            task.cancel()
        await self._dead_letters.stop()
        await self._redis.aclose()

    # Batches ---------------------------------------------------------------------------------------------------------

    async def handle(self, batch: RecordBatch) -> None:
        """Count a batch, or leave it uncounted and see to it that it is read again."""
        partition = Partition(Topic(batch.topic), batch.partition)
        started = monotonic()
        try:
            async with self._lock(partition):
                work = await self._loaded(partition)
                work.touched = monotonic()
                if await self._in_order(work, batch):
                    if partition.topic is Topic.PROMOTIONS:
                        await self._count_promotions(work, batch)
                    else:
                        await self._count(work, batch)
        except RevokedError:
            self.works.pop(partition, None)
        except Exception:  # a fault of ours: the position has not moved, so nothing is lost
            self.metrics.failures.inc()
            log.exception("batch failed, it will be read again", partition=str(partition), follows=batch.follows)
            self._forget(partition)
            await asyncio.sleep(1)
        self.metrics.batch_records.labels(batch.topic).observe(len(batch.records))
        self.metrics.batch_seconds.labels(batch.topic).observe(monotonic() - started)

    async def _count(self, work: PartitionWork, batch: RecordBatch) -> None:
        self._make_room()
        work.renumber(self._rows)
        prepared = work.prepare(batch, clocks(self.settings, self.clocks.as_of_ms))
        if prepared.rejected:
            await self._bury(work.partition, batch, prepared.rejected)
        await self._apply(work, prepared)

    async def _apply(self, work: PartitionWork, prepared: Prepared) -> None:
        moved = await self._redis_call("apply", work.partition, lambda: work.apply(prepared))
        if moved is not None:
            await self._go_back(work, moved)
        elif work.roll_due:
            await self._roll(work)

    async def _roll(self, work: PartitionWork) -> None:
        if not await self._redis_call("roll", work.partition, lambda: work.roll(self.clocks)):
            self.metrics.moved.inc()
            self._forget(work.partition)

    def _roll_aside(self, work: PartitionWork) -> None:
        """Roll without making other partitions wait for it: a roll may take seconds."""
        task = asyncio.create_task(self._roll_when_free(work))
        self._rolls.add(task)
        task.add_done_callback(self._rolls.discard)

    async def _roll_when_free(self, work: PartitionWork) -> None:
        try:
            async with self._lock(work.partition):
                if work.loaded and work.roll_due:
                    await self._roll(work)
        except RevokedError:
            self.works.pop(work.partition, None)
        except Exception:  # a fault of ours: nothing is lost, what was not rolled is still in the log
            self.metrics.failures.inc()
            log.exception("a roll failed", partition=str(work.partition))
            self._forget(work.partition)

    async def _count_promotions(self, work: PartitionWork, batch: RecordBatch) -> None:
        changes: list[tuple[str, bytes | None]] = []
        rejected: list[Rejected] = []
        for i, record in enumerate(batch.records):
            change = decode_promotion(record.key, record.value)
            if isinstance(change, Rejected):
                rejected.append(Rejected(i, change.reason, change.detail))
            else:
                definition = change.promotion
                text = None if definition is None else definition.model_dump_json(exclude_none=True).encode()
                changes.append((change.promotion_id, text))
        if rejected:
            await self._bury(work.partition, batch, rejected)
        moved = await self._redis_call(
            "promotions",
            work.partition,
            lambda: self._writer.apply_promotions(
                work.partition, batch.follows, batch.next, work.position is None, changes
            ),
        )
        if moved is None:
            work.position = batch.next
        else:
            await self._go_back(work, moved)

    async def _bury(self, partition: Partition, batch: RecordBatch, rejected: list[Rejected]) -> None:
        """Dead letters are acknowledged before the position moves: a crash between may repeat them, not lose them."""
        at = now_ms()
        letters = []
        for refused in rejected:
            record = batch.records[refused.index]
            letters.append(
                DeadLetter(
                    partition.topic,
                    partition.number,
                    record.offset,
                    record.key,
                    record.value,
                    refused.reason,
                    refused.detail,
                    at,
                    record.timestamp,
                )
            )
        async with self._bury_lock:
            if not self._burying:
                await self._dead_letters.start()
                self._burying = True
        await self._dead_letters.write(letters)

    # Where a partition stands ----------------------------------------------------------------------------------------

    async def _loaded(self, partition: Partition) -> PartitionWork:
        work = self.works.get(partition)
        if work is None:
            work = self.works[partition] = PartitionWork(
                partition, self.settings, self._writer, self._roller, self._rows
            )
        if not work.loaded:
            await self._redis_call("load", partition, work.load)
        return work

    async def _in_order(self, work: PartitionWork, batch: RecordBatch) -> bool:
        """Whether the batch is the next one; if not, reading goes to where the partition stands."""
        expected = work.position if work.position is not None else await self._start_of(work.partition)
        if batch.follows == expected:
            self._sought.pop(work.partition, None)
            return True
        self._starts.pop(work.partition, None)  # the first records may be gone by now
        await self._seek(work, expected)
        return False

    async def _start_of(self, partition: Partition) -> int:
        """Where a partition that was never counted begins."""
        if partition not in self._starts:
            tp = TP(partition.topic, partition.number)
            self._starts[partition] = int((await self._app.consumer.earliest_offsets(tp))[tp])
        return self._starts[partition]

    async def _go_back(self, work: PartitionWork, moved: Moved) -> None:
        self.metrics.moved.inc()
        log.info("partition stands elsewhere, going there", partition=str(work.partition), position=moved.position)
        self._forget(work.partition)

    async def _seek(self, work: PartitionWork, position: int) -> None:
        """Read on from a position; batches already fetched are passed over, so once is enough."""
        if monotonic() - self._sought.get(work.partition, -_SEEK_AGAIN_S) < _SEEK_AGAIN_S:
            return
        tp = TP(work.partition.topic, work.partition.number)
        position = await self._reachable(work, tp, position)
        await self._app.consumer.seek_wait({tp: position})
        self._sought[work.partition] = monotonic()

    async def _reachable(self, work: PartitionWork, tp: TP, position: int) -> int:
        """The position, or the beginning where Kafka no longer holds it: said aloud, and kept with the panes."""
        earliest = int((await self._app.consumer.earliest_offsets(tp))[tp])
        fetched_to = self._app.consumer.highwater(tp)
        if work.position is None or (earliest <= position and fetched_to is None):  # beyond the end? a fetch will tell
            return position
        # Asked for its end, the embedded broker names the start of the last batch; answering a fetch, the end itself.
        end = max((await self._app.consumer.highwaters(tp))[tp], fetched_to or 0)
        if earliest <= position <= max(end, earliest):
            return position
        log.error(
            "records were lost before they were counted: history is incomplete",
            partition=str(work.partition),
            position=position,
            earliest=earliest,
            end=end,
        )
        await self._roll(work)
        since_ms = self.clocks.as_of_ms or 0
        await self._redis_call(
            "restart", work.partition, lambda: self._writer.restart(work.partition, position, earliest, since_ms)
        )
        self._forget(work.partition)
        return earliest

    def _forget(self, partition: Partition) -> None:
        self._sought.pop(partition, None)
        self._starts.pop(partition, None)
        if partition in self.works:
            self.works[partition].forget()

    def _lock(self, partition: Partition) -> asyncio.Lock:
        return self._locks.setdefault(partition, asyncio.Lock())

    async def _redis_call(self, name: str, partition: Partition, call: Callable[[], Awaitable[T]]) -> T:
        """Call Redis until it answers or the partition is taken away: nothing is skipped, fetching stops meanwhile."""
        delay = 0.1
        while True:
            started = monotonic()
            try:
                answer = await call()
            except (RedisError, *UNREACHABLE) as error:
                self.metrics.redis_errors.inc()
                log.warning(
                    "Redis does not take our writes, trying again",
                    call=name,
                    error=str(error),
                    partition=str(partition),
                )
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
                if TP(partition.topic, partition.number) not in self._app.consumer.assignment():
                    raise RevokedError from None
            else:
                self.metrics.redis_seconds.labels(name).observe(monotonic() - started)
                return answer

    def _make_room(self) -> None:
        """Keep row numbers and event ids within memory."""
        if len(self._rows) > _MAX_ROWS:
            self._rows = Rows()  # each partition goes over to it with its own next batch
        limit = self.settings.dedup_memory_mb << 20
        while sum(work.seen.nbytes for work in self.works.values()) > limit:
            fullest = max(self.works.values(), key=lambda work: work.seen.nbytes)
            fullest.seen.forget_oldest()

    # Every second ----------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Say that we are at work, follow the clock, and take up partitions that nothing was read from."""
        try:
            await self._tick()
        except (RedisError, *UNREACHABLE) as error:
            log.warning("Redis does not answer", error=str(error))
        except Exception:  # a rebalance or a broker away in between; raising would end the worker
            self.metrics.failures.inc()
            log.exception("a turn of housekeeping failed, the next one is in a second")

    async def _tick(self) -> None:
        assigned = {Partition(Topic(tp.topic), tp.partition): tp for tp in self._app.consumer.assignment()}
        for partition in [partition for partition in self.works if partition not in assigned]:
            del self.works[partition]
        lags: dict[Partition, tuple[int | None, int]] = {}
        for partition, tp in assigned.items():
            if self._lock(partition).locked():  # being counted or rolled, which may take long: said as it stands
                busy = self.works.get(partition)
                if busy is not None and busy.loaded and busy.position is not None and self._hears_of(busy, tp):
                    lags[partition] = (busy.position, self._waiting(tp, busy.position))
                continue
            try:
                async with self._lock(partition):
                    work = await self._loaded(partition)
                    if self._hears_of(work, tp):
                        lags[partition] = (work.position, await self._lag(work, tp))
                if work.roll_due:
                    self._roll_aside(work)
            except RevokedError:
                self.works.pop(partition, None)
            except (TimeoutError, KafkaError) as error:
                log.warning("the broker does not answer", partition=str(partition), error=repr(error))
        for partition in await self._writer.heartbeat(lags):
            said = self.works.get(partition)
            # Where we moved on meanwhile, it was our own word that was old.
            if said is not None and said.position == lags[partition][0] and not self._lock(partition).locked():
                self._forget(partition)
        await self._follow_clock()
        self._measure()
        await self._publish()
        if monotonic() - self._commit_at > 5:
            self._commit_at = monotonic()
            await self._app.consumer._commit({tp: lags[p][0] for p, tp in assigned.items() if p in lags and lags[p][0]})

    def _hears_of(self, work: PartitionWork, tp: TP) -> bool:
        """Whether the broker lately answered for a partition: of one that it is silent about we know nothing to say."""
        answered_ms = self._app.consumer.answered_ms(tp)
        return monotonic() - work.touched < _SILENT_S or now_ms() - (answered_ms or 0) < _SILENT_S * 1000

    async def _lag(self, work: PartitionWork, tp: TP) -> int:
        """Records of a partition that are not counted yet; seeks where reading stands off the position."""
        position = work.position if work.position is not None else await self._start_of(work.partition)
        reading = await asyncio.wait_for(self._app.consumer.position(tp), 5)
        end = self._app.consumer.highwater(tp)
        # Beyond the end nothing will ever come: the topic was made anew. Not every broker calls it an error.
        beyond = end is not None and end < position
        if (beyond or reading != position) and monotonic() - work.touched > _SEEK_AGAIN_S:
            await self._seek(work, position)
        return self._waiting(tp, position)

    def _waiting(self, tp: TP, position: int) -> int:
        """Records from a position to the end; at least one where that is not known."""
        end = self._app.consumer.highwater(tp)
        return 1 if end is None or end < position else int(end - position)

    async def _follow_clock(self) -> None:
        state = await read_state(self._redis, self._keys)
        now = as_of(
            state.partitions,
            now_ms=now_ms(),
            clock=self.settings.clock,
            idle_after_ms=int(self.settings.idle_after_s * 1000),
            stale_after_ms=int(self.settings.stale_after_s * 1000),
        )
        self.clocks = clocks(self.settings, now.ms).keeping(self._keeper.kept)
        if self.clocks.oldest_s and now.ms is not None and monotonic() - self._expired_at > _EXPIRE_EVERY_S:
            self._expired_at = monotonic()
            fresh = clocks(self.settings, now.ms)
            self.clocks = fresh.keeping(await self._keeper.say(oldest_s=fresh.oldest_s["m"], as_of_s=now.ms // 1000))
            await self._writer.expire(self.clocks.oldest_s, self.clocks.kept)
        if self.settings.retain != "all" and now.ms is not None:
            await self._sweep.turn(now.ms)

    async def _publish(self) -> None:
        """Leave our metrics where `serve` finds them, and take away those of workers long gone."""
        text = b"%d\n" % now_ms() + generate_latest(self.metrics.registry)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(self._keys.workers, self.id, text)
            pipe.hgetall(self._keys.workers)
            _, published = await pipe.execute()
        gone = [name for name, said in published.items() if now_ms() - int(said.split(b"\n", 1)[0]) > _GONE_MS]
        if gone:
            await self._redis.hdel(self._keys.workers, *gone)

    def _measure(self) -> None:
        self.metrics.partitions.set(len(self.works))
        for topic in EVENT_TOPICS:
            seen = [work.seen for partition, work in self.works.items() if partition.topic is topic]
            self.metrics.dedup_ids.labels(topic).set(sum(map(len, seen)))
            cut = [ids.cut_at_ms for ids in seen if ids.cut_at_ms is not None]
            horizon = (seen[0].horizon_ms if seen else 0) / 1000
            if cut and self.clocks.as_of_ms is not None:
                horizon = min(horizon, max(0.0, (self.clocks.as_of_ms - max(cut)) / 1000))
            self.metrics.dedup_horizon.labels(topic).set(horizon)
