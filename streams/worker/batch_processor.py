"""Processes a batch: decode, reject, write dead letters, apply. Results and position are applied together, last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError

from consumers.contract.decoding import decode_promotion
from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget
from consumers.kafka.faust_transport import RecordBatch
from consumers.sources.registry import SchemaLoader, SchemaRegistryError
from consumers.topics import Partition, Topic
from streams.clock import MachineClock
from streams.store.writer import OffsetMismatch, PaneWriter, SupersededError
from streams.worker.compaction_scheduler import CompactionScheduler
from streams.worker.contract_check import ContractCheck, TopicPaused
from streams.worker.dead_letter_output import DeadLetterOutput
from streams.worker.fast_clocks import FastClocks
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import OwnedPartition, refused_totals
from streams.worker.position_tracker import PositionTracker
from streams.worker.redis_retry import RedisRetry, RevokedError
from streams.worker.registry import PartitionRegistry, WorkerClock

log = structlog.get_logger()

_PAUSE_S = 1.0
"""Pause after a failed batch, before it is read again."""


@dataclass(eq=False, kw_only=True)
class BatchProcessor:
    """Counts batches. Batches of one partition must not run concurrently."""

    redis_retry: RedisRetry
    registry: PartitionRegistry
    worker_clock: WorkerClock
    position_tracker: PositionTracker
    compaction_scheduler: CompactionScheduler
    writer: PaneWriter
    contract_check: ContractCheck
    schema_loader: SchemaLoader | None
    kafka: KafkaTarget
    fast_clocks: FastClocks
    now_ms: Callable[[], int]
    metrics: WorkerMetrics
    machine: MachineClock
    superseded: Callable[[], Awaitable[None]]
    """Ends the worker, as another one started with another setup."""

    def __post_init__(self) -> None:
        self._dead_letters = DeadLetterOutput(self.kafka, now_ms=self.now_ms)

    async def stop(self) -> None:
        """Disconnect the dead-letter producer."""
        await self._dead_letters.stop()

    async def handle(self, batch: RecordBatch) -> None:
        """Count a batch, or leave its position unchanged so that it is read again."""
        partition = Partition(batch.topic, batch.partition)
        try:
            async with self.registry.lock(partition):
                owned = await self.registry.get_loaded(partition)
                owned.last_batch_s = self.machine.monotonic()
                is_next = await self.position_tracker.is_next_batch(owned, batch)
                # Redis rejects a second log entry with the same offset, so skip empty batches.
                counted = is_next and batch.end_offset > batch.start_offset and await self._count(owned, batch)
            if counted:
                self.metrics.batch_records.labels(batch.topic).observe(len(batch))
                self.metrics.batch_seconds.labels(batch.topic).observe(self.machine.monotonic() - batch.arrived_s)
                self.compaction_scheduler.start_if_due(owned)
                await self.compaction_scheduler.wait_if_overdue(owned)
        except RevokedError:
            self.registry.release(partition)
        except SupersededError:
            await self.superseded()
        except (TimeoutError, KafkaError) as error:
            log.warning("broker did not answer; rereading batch", partition=str(partition), error=repr(error))
        except Exception as error:  # the position is unchanged, so no record is lost
            self._failed(partition, batch, error)
            await asyncio.sleep(_PAUSE_S)

    def _failed(self, partition: Partition, batch: RecordBatch, error: Exception) -> None:
        """Log a failed batch: a warning if the error is retriable, else an error that counts in the metrics."""
        if isinstance(error, SalepulseError) and error.retriable:
            log.warning("broker refused dead letters; rereading batch", partition=str(partition), error=str(error))
            return
        self.metrics.failures.inc()
        log.error(
            "batch failed; rereading it", partition=str(partition), start_offset=batch.start_offset, exc_info=error
        )
        if partition in self.registry.owned_partitions:
            self.position_tracker.forget(self.registry.owned_partitions[partition])

    async def _count(self, owned: OwnedPartition, batch: RecordBatch) -> bool:
        """Whether the batch was counted; False on an offset mismatch or a paused topic."""
        if owned.partition.topic is Topic.PROMOTIONS:
            outcome = await self._count_promotions(owned, batch)
        else:
            outcome = await self._count_events(owned, batch)
        if isinstance(outcome, TopicPaused):
            return False
        if outcome is not None:
            self.metrics.batches_fenced.inc()
            log.info(
                "offset mismatch; seeking to stored position", partition=str(owned.partition), position=outcome.position
            )
            self.position_tracker.forget(owned)
        return outcome is None

    async def _count_events(self, owned: OwnedPartition, batch: RecordBatch) -> TopicPaused | OffsetMismatch | None:
        if not self.worker_clock.followed:
            await self.redis_retry("clock", owned.partition, self.worker_clock.follow)
        if (outcome := await self._load_schemas(owned, batch)) is not None:
            return outcome
        self.registry.limit_memory(owned)
        prepared = owned.prepare(batch, self.registry.event_time_bounds())
        if prepared.depends_on_clock and await self.redis_retry(
            "clock", owned.partition, lambda: self.worker_clock.jumped(batch.arrived_s)
        ):
            prepared = owned.prepare(batch, self.registry.event_time_bounds())
        self.fast_clocks.note(prepared.fast_clocks, self.now_ms())
        async with self.contract_check.serialized(owned.partition.topic):
            if (outcome := await self.contract_check.check_contract(owned, batch, prepared.rejected)) is not None:
                return outcome
            await self._write_dead_letters(owned, batch, prepared.rejected)
            return await self.redis_retry("apply", owned.partition, lambda: owned.apply(prepared))

    async def _load_schemas(self, owned: OwnedPartition, batch: RecordBatch) -> TopicPaused | OffsetMismatch | None:
        """Load the schemas of a batch; None if they are loaded, or unknown to the registry."""
        loader = self.schema_loader
        if loader is None or owned.source is None or not owned.source.needs_schemas:
            return None
        now_s = self.machine.monotonic()
        if missing := loader.missing((record.value for record in batch.records), now_s):
            try:
                await loader.load(missing, now_s)
            except SchemaRegistryError as error:
                return await self.contract_check.pause_without_schemas(owned, batch, str(error))
        return None

    async def _count_promotions(self, owned: OwnedPartition, batch: RecordBatch) -> TopicPaused | OffsetMismatch | None:
        changes: list[tuple[str, bytes | None]] = []
        rejected: list[RejectedMessage] = []
        for i, record in enumerate(batch.records):
            change = decode_promotion(record.key, record.value)
            if isinstance(change, RejectedMessage):
                rejected.append(RejectedMessage(i, change.reason, change.detail))
            else:
                definition = change.promotion
                definition_json = None if definition is None else definition.model_dump_json(exclude_none=True).encode()
                changes.append((change.promotion_id, definition_json))
        if (outcome := await self.contract_check.check_contract(owned, batch, rejected)) is not None:
            return outcome
        await self._write_dead_letters(owned, batch, rejected)
        mismatch = await self.redis_retry(
            "promotions",
            owned.partition,
            lambda: self.writer.apply_promotions(
                owned.partition,
                batch.start_offset,
                batch.end_offset,
                owned.position is None,
                changes,
                refused_totals(owned.partition.topic, rejected, batch.skipped),
            ),
        )
        if mismatch is None:
            owned.position = batch.end_offset
        return mismatch

    async def _write_dead_letters(
        self, owned: OwnedPartition, batch: RecordBatch, rejected: list[RejectedMessage]
    ) -> None:
        """Write dead letters and mark lost records. Both are repeated if applying the batch fails."""
        if not rejected and not batch.skipped:
            return
        await self._dead_letters.write(owned.partition, batch, rejected)
        if any(skipped.reason is RejectionReason.UNREADABLE_BATCH for skipped in batch.skipped):
            unknown_ms = self.position_tracker.lost_from_ms(owned)
            await self.redis_retry(
                "incomplete",
                owned.partition,
                lambda: self.writer.mark_incomplete(owned.partition, owned.position, unknown_ms),
            )
