"""Carrying a batch: decode, refuse, write dead letters, apply. The position moves last, with the results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog
from aiokafka.errors import KafkaError

from consumers.contract.decoding import decode_promotion
from consumers.contract.rejection import Reason, Rejected
from consumers.errors import SalepulseError
from consumers.kafka.connection import Where
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Partition, Topic
from streams.ahead import AheadSources
from streams.store.writer import Moved, PaneWriter
from streams.worker.acceptance import Acceptance, Stopped
from streams.worker.calls import RedisCalls, RevokedError
from streams.worker.dead_letter_output import DeadLetterOutput
from streams.worker.holding import Holding, WorkerClock
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import PartitionWork, refused_totals
from streams.worker.rolls import Rolls
from streams.worker.standing import Standing

log = structlog.get_logger()

_PAUSE_S = 1.0
"""After a batch that failed: it is read again, and may fail again."""


class Counting:
    """Counts batches. Those of one partition must come one after the other."""

    def __init__(
        self,
        *,
        calls: RedisCalls,
        holding: Holding,
        clock: WorkerClock,
        standing: Standing,
        rolls: Rolls,
        writer: PaneWriter,
        acceptance: Acceptance,
        kafka: Where,
        ahead: AheadSources,
        now_ms: Callable[[], int],
        metrics: WorkerMetrics,
    ) -> None:
        self._calls = calls
        self._holding = holding
        self._clock = clock
        self._standing = standing
        self._rolls = rolls
        self._writer = writer
        self._acceptance = acceptance
        self._metrics = metrics
        self._ahead = ahead
        self._now_ms = now_ms
        self._dead_letters = DeadLetterOutput(kafka, now_ms=now_ms)

    async def stop(self) -> None:
        """Disconnect from the broker."""
        await self._dead_letters.stop()

    async def handle(self, batch: RecordBatch) -> None:
        """Count a batch, or leave it uncounted and see to it that it is read again."""
        partition = Partition(batch.topic, batch.partition)
        try:
            async with self._holding.lock(partition):
                work = await self._holding.loaded(partition)
                work.touched = monotonic()
                follows = await self._standing.follows(work, batch)
                # A batch that ends where it begins holds nothing; Redis refuses to log it twice at one position.
                counted = follows and batch.next > batch.follows and await self._count(work, batch)
            if counted:
                self._metrics.batch_records.labels(batch.topic).observe(len(batch))
                self._metrics.batch_seconds.labels(batch.topic).observe(monotonic() - batch.arrived_s)
                self._rolls.look(work)
                await self._rolls.catch_up(work)
        except RevokedError:
            self._holding.let_go(partition)
        except (TimeoutError, KafkaError) as error:
            log.warning(
                "the broker does not answer, a batch will be read again", partition=str(partition), error=repr(error)
            )
        except Exception as error:  # the position has not moved, so nothing is lost
            self._failed(partition, batch, error)
            await asyncio.sleep(_PAUSE_S)

    def _failed(self, partition: Partition, batch: RecordBatch, error: Exception) -> None:
        """Tell of a batch that failed: what the broker does not take now, it may take later; all else is our fault."""
        if isinstance(error, SalepulseError) and error.retriable:
            log.warning(
                "dead letters are not taken, a batch will be read again", partition=str(partition), error=str(error)
            )
            return
        self._metrics.failures.inc()
        log.error(
            "batch failed, it will be read again", partition=str(partition), follows=batch.follows, exc_info=error
        )
        if partition in self._holding.works:
            self._standing.forget(self._holding.works[partition])

    async def _count(self, work: PartitionWork, batch: RecordBatch) -> bool:
        """Whether it is counted; else the partition stands elsewhere, or its topic is not read on."""
        if work.partition.topic is Topic.PROMOTIONS:
            moved = await self._count_promotions(work, batch)
        else:
            moved = await self._count_events(work, batch)
        if isinstance(moved, Stopped):
            return False
        if moved is not None:
            self._metrics.moved.inc()
            log.info("partition stands elsewhere, going there", partition=str(work.partition), position=moved.position)
            self._standing.forget(work)
        return moved is None

    async def _count_events(self, work: PartitionWork, batch: RecordBatch) -> Stopped | Moved | None:
        if not self._clock.followed:
            await self._calls("clock", work.partition, self._clock.follow)
        self._holding.make_room(work)
        prepared = work.prepare(batch, self._holding.clocks())
        if prepared.judged_by_clock and await self._calls(
            "clock", work.partition, lambda: self._clock.jumped(batch.arrived_s)
        ):
            prepared = work.prepare(batch, self._holding.clocks())
        self._ahead.note(prepared.ahead, self._now_ms())
        async with self._acceptance.turn(work.partition.topic):
            if (left := await self._acceptance.judge(work, batch, prepared.rejected)) is not None:
                return left
            await self._keep_refused(work, batch, prepared.rejected)
            return await self._calls("apply", work.partition, lambda: work.apply(prepared))

    async def _count_promotions(self, work: PartitionWork, batch: RecordBatch) -> Stopped | Moved | None:
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
        if (left := await self._acceptance.judge(work, batch, rejected)) is not None:
            return left
        await self._keep_refused(work, batch, rejected)
        moved = await self._calls(
            "promotions",
            work.partition,
            lambda: self._writer.apply_promotions(
                work.partition,
                batch.follows,
                batch.next,
                work.position is None,
                changes,
                refused_totals(work.partition.topic, rejected, batch.skipped),
            ),
        )
        if moved is None:
            work.position = batch.next
        return moved

    async def _keep_refused(self, work: PartitionWork, batch: RecordBatch, rejected: list[Rejected]) -> None:
        """Write dead letters and mark lost records; both may be done again, if the batch is not applied after all."""
        if not rejected and not batch.skipped:
            return
        await self._dead_letters.write(work.partition, batch, rejected)
        if any(skipped.reason is Reason.UNREADABLE_BATCH for skipped in batch.skipped):
            unknown_ms = self._standing.lost_from_ms(work)
            await self._calls(
                "incomplete",
                work.partition,
                lambda: self._writer.mark_incomplete(work.partition, work.position, unknown_ms),
            )
