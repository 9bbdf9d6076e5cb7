"""Wires the components of a worker; `streams.worker.app` connects them to Faust."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from functools import partial

import structlog
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import FetchBudget, RecordBatch
from consumers.kafka.standalone import is_readable
from consumers.sources.inputs import InputTopics
from consumers.topics import Partition
from streams.clock import MACHINE, MachineClock
from streams.dictionary.builtin import BUILT_IN
from streams.process.shutdown_watchdog import SUPERSEDED_CODE, ShutdownWatchdog
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.connection import UNREACHABLE, connect
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.reference_clock import ReferenceClock
from streams.store.worker_setup import SetupStore, StoredSetup, superseded_text
from streams.store.write_probe import WriteProbe
from streams.store.writer import PaneWriter
from streams.worker.batch_processor import BatchProcessor
from streams.worker.compaction_scheduler import CompactionScheduler
from streams.worker.contract_check import ContractCheck
from streams.worker.expiry import Expiry
from streams.worker.fast_clocks import FastClocks
from streams.worker.housekeeping import Housekeeping, WorkerReporter
from streams.worker.metrics import WorkerMetrics
from streams.worker.position_tracker import PositionTracker, TopicIdentity
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry, WorkerClock
from streams.worker.stuck_monitor import StuckMonitor

log = structlog.get_logger()

_WITHDRAW_WITHIN_S = 0.5
"""Time to delete the worker's report when it ends: Redis may be away."""

Handle = Callable[[RecordBatch], Awaitable[None]]


class PartitionQueues:
    """One queue per partition: its batches run in order, partitions run concurrently. `handle` must not raise."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._waiting: dict[Partition, deque[RecordBatch]] = {}
        """Pending batches of each partition whose queue is active."""
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, batch: RecordBatch) -> None:
        """Queue a batch behind earlier ones of its partition."""
        partition = Partition(batch.topic, batch.partition)
        if partition in self._waiting:
            self._waiting[partition].append(batch)
            return
        self._waiting[partition] = deque([batch])
        task = asyncio.create_task(self._drain(partition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def busy(self, partition: Partition) -> bool:
        """Whether a batch of a partition is being handled."""
        return partition in self._waiting

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop the pending batches of revoked partitions. The batch in progress completes."""
        for partition, waiting in self._waiting.items():
            if partition in partitions:
                waiting.clear()

    async def stop(self) -> None:
        """Cancel all batches, also those in progress: the next owner reads uncounted ones again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, partition: Partition) -> None:
        waiting = self._waiting[partition]
        try:
            while waiting:
                await self._handle(waiting.popleft())
        finally:
            del self._waiting[partition]


class Worker:
    """Processes batches, and runs housekeeping every second."""

    def __init__(
        self,
        settings: Settings,
        reading: WorkerConsumer,
        fetch_budget: FetchBudget,
        shutdown_watchdog: ShutdownWatchdog,
        machine: MachineClock = MACHINE,
        metrics: WorkerMetrics | None = None,
        inputs: InputTopics | None = None,
        setup: StoredSetup | None = None,
    ) -> None:
        """`inputs`: the topics to read, by default those of the contract. `setup`: as adopted; None: it counts by the
        built-in model, whatever other workers have."""
        inputs = InputTopics(settings.topic_names) if inputs is None else inputs
        self.metrics = WorkerMetrics() if metrics is None else metrics
        self._fetch_budget = fetch_budget
        self._shutdown_watchdog = shutdown_watchdog
        self._stop = partial(os.kill, os.getpid(), signal.SIGTERM)
        self._redis = connect(settings)
        keys = Keys(settings.redis_prefix, settings.shards)
        reference = ReferenceClock(self._redis, keys, machine)
        self._setup = setup
        self._setup_store = SetupStore(self._redis, keys)
        setup_token = "" if setup is None else setup.token
        writer = PaneWriter(self._redis, keys, levels(settings), clock=reference.now_ms, setup_token=setup_token)
        compactor = Compactor(self._redis, keys, levels(settings), settings.clock)
        redis_retry = RedisRetry(reading, self.metrics, machine)
        registry = PartitionRegistry(
            settings,
            redis_retry,
            writer,
            compactor,
            now_ms=reference.now_ms,
            machine=machine,
            inputs=inputs,
            model=BUILT_IN if setup is None else setup.compile(),
        )
        identity = TopicIdentity(reading, machine, inputs.all)
        position_tracker = PositionTracker(
            reading, redis_retry, registry, writer, identity, reference_ms=reference.now_ms, machine=machine
        )
        worker_clock = WorkerClock(settings, self._redis, keys, registry, reference, machine)
        contract_check = ContractCheck(
            settings,
            self._redis,
            keys,
            redis_retry=redis_retry,
            writer=writer,
            reading=reading,
            registry=registry,
            machine=machine,
        )
        self._compaction_scheduler = CompactionScheduler(redis_retry, registry, position_tracker, self.metrics)
        fast_clocks = FastClocks()
        self._batch_processor = BatchProcessor(
            redis_retry=redis_retry,
            registry=registry,
            worker_clock=worker_clock,
            position_tracker=position_tracker,
            compaction_scheduler=self._compaction_scheduler,
            writer=writer,
            contract_check=contract_check,
            schema_loader=inputs.schema_loader,
            kafka=settings.kafka,
            fast_clocks=fast_clocks,
            now_ms=reference.now_ms,
            metrics=self.metrics,
            machine=machine,
            superseded=self._superseded,
        )
        self._partition_queues = PartitionQueues(self._process_batch)
        worker_id = f"{socket.gethostname()}-{os.getpid()}"
        self._reporter = reporter = WorkerReporter(
            self._redis,
            keys,
            worker_id,
            registry=registry,
            inputs=inputs,
            fast_clocks=fast_clocks,
            reference=reference,
            refusals=lambda: {*redis_retry.refused.values(), *self._stuck_monitor.refusals},
            setup_token=setup_token,
            metrics=self.metrics,
            machine=machine,
        )
        self._housekeeping = Housekeeping(
            writer=writer,
            reading=reading,
            registry=registry,
            inputs=inputs,
            position_tracker=position_tracker,
            identity=identity,
            contract_check=contract_check,
            compaction_scheduler=self._compaction_scheduler,
            busy=self._partition_queues.busy,
            worker_clock=worker_clock,
            expiry=Expiry(settings, self._redis, keys, writer, registry, reference.now_ms, machine),
            reporter=reporter,
            setup=setup,
            setup_store=self._setup_store,
            superseded=self._superseded,
            metrics=self.metrics,
            machine=machine,
        )
        self._stuck_monitor = StuckMonitor(
            settings.stuck_after_s,
            probe=WriteProbe(self._redis, keys, only_reads=False, monotonic=machine.monotonic),
            redis_retry=redis_retry,
            report=reporter.report,
            reading=reading,
            registry=registry,
            fetch_budget=fetch_budget,
            is_paused=contract_check.is_paused,
            is_readable=partial(is_readable, settings.kafka),
            shutdown_watchdog=shutdown_watchdog,
            stop=self._stop,
            machine=machine,
        )

    async def _superseded(self) -> None:
        """End, as another worker started with another setup."""
        if self._shutdown_watchdog.code or self._setup is None:
            return
        why = "another worker started with another model or other sources"
        self._shutdown_watchdog.begin(why, code=SUPERSEDED_CODE)
        with suppress(SalepulseError, RedisError, *UNREACHABLE):
            why = superseded_text(self._setup, await self._setup_store.read())
        log.error(
            f"{why}; exiting with code {SUPERSEDED_CODE}, no record is lost",
            fix="start every worker with the same files of the model and of sources",
        )
        self._stop()

    def take(self, batch: RecordBatch) -> None:
        """Queue a batch behind earlier ones of its partition."""
        self._partition_queues.put(batch)

    def revoked(self, partitions: Container[Partition]) -> None:
        """Drop the pending batches of revoked partitions."""
        self._partition_queues.drop(partitions)

    async def tick(self) -> None:
        """Run one turn of housekeeping, unless the worker ends as it was stuck or superseded."""
        if not self._shutdown_watchdog.code:
            await self._housekeeping.tick()

    async def watch(self) -> None:
        """Run the stuck monitor until the worker ends."""
        await self._stuck_monitor.run()

    async def stop(self) -> None:
        """Cancel and disconnect. The next owner reads unapplied batches again."""
        await self._partition_queues.stop()
        await self._compaction_scheduler.stop()
        await self._batch_processor.stop()
        with suppress(RedisError, *UNREACHABLE):
            async with asyncio.timeout(_WITHDRAW_WITHIN_S):
                await self._reporter.withdraw()
        await self._redis.aclose()

    async def _process_batch(self, batch: RecordBatch) -> None:
        try:
            await self._batch_processor.handle(batch)
        finally:
            self._fetch_budget.release(batch)
