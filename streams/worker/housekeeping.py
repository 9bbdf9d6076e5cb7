"""Runs every second: heartbeats, the clock, the as-of, expiry, metrics, and seeking idle partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import structlog
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.kafka.consumer import WorkerConsumer
from consumers.sources.inputs import InputTopics
from consumers.topics import InputTopic, Partition
from streams.clock import MachineClock
from streams.log_pace import LogPace
from streams.store.connection import UNREACHABLE
from streams.store.keys import Keys
from streams.store.process_reports import DedupReport, ProcessReport, SourceAhead, encode_report
from streams.store.reader import read_reports
from streams.store.reference_clock import ReferenceClock
from streams.store.refusal_kinds import PERMISSION_REFUSALS, RedisRefusal
from streams.store.worker_setup import SetupStore, StoredSetup
from streams.store.writer import PaneWriter
from streams.worker.compaction_scheduler import CompactionScheduler
from streams.worker.contract_check import ContractCheck
from streams.worker.expiry import Expiry
from streams.worker.fast_clocks import FastClocks
from streams.worker.metrics import WorkerMetrics
from streams.worker.position_tracker import PositionTracker, TopicIdentity
from streams.worker.redis_retry import RevokedError
from streams.worker.registry import PartitionRegistry, WorkerClock

log = structlog.get_logger()

_GONE_MS = 600_000
"""Reports older than this are deleted: their process has ended."""
_LOOK_FOR_GONE_S = 60.0
"""Interval between deletions of old reports."""
_COMMIT_EVERY_S = 5.0
"""Interval of committing positions to Kafka, for its tools; Redis's positions are authoritative."""
_TRIES = 3
"""Attempts per turn to write a heartbeat whose position changes meanwhile."""

Lags = dict[Partition, tuple[int | None, int | None]]
"""# <partition: (position, lag; None if the broker does not answer)>"""


class WorkerReporter:
    """Measures one worker: sets its gauges and writes its report to Redis."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        worker_id: str,
        *,
        registry: PartitionRegistry,
        inputs: InputTopics,
        fast_clocks: FastClocks,
        reference: ReferenceClock,
        refusals: Callable[[], Collection[RedisRefusal]],
        setup_token: str,
        metrics: WorkerMetrics,
        machine: MachineClock,
    ) -> None:
        """`refusals`: the reasons why Redis currently refuses this worker's calls. `setup_token`: of its setup, empty
        without one."""
        self._setup_token = setup_token
        self._machine = machine
        self._redis = redis
        self._keys = keys
        self._id = worker_id
        self._registry = registry
        self._inputs = inputs
        self._fast_clocks = fast_clocks
        self._reference = reference
        self._refusals = refusals
        self._metrics = metrics
        self._looked_s = self._machine.monotonic()
        self._ahead: set[tuple[str, str]] = set()
        """Topic and source of each series of `source_ahead`."""

    async def report(self) -> None:
        """Write the report and set the gauges; once a minute delete the reports of ended processes."""
        report = self._measure()
        self._set_gauges(report)
        await self._redis.hset(self._keys.reports, self._id, encode_report(report))
        if self._machine.monotonic() - self._looked_s > _LOOK_FOR_GONE_S:
            self._looked_s = self._machine.monotonic()
            await self._forget_gone()

    async def withdraw(self) -> None:
        """Delete the report, as the worker ends."""
        await self._redis.hdel(self._keys.reports, self._id)

    async def _forget_gone(self) -> None:
        oldest_ms = self._reference.now_ms() - _GONE_MS
        reports = await read_reports(self._redis, self._keys)
        if gone := [name for name, report in reports.items() if report.at_ms < oldest_ms]:
            await self._redis.hdel(self._keys.reports, *gone)

    def _measure(self) -> ProcessReport:
        now_ms = self._reference.now_ms()
        return ProcessReport(
            at_ms=now_ms,
            records=self._metrics.records_applied(),
            clock_offset_s=self._reference.offset_ms / 1000,
            sources_ahead=tuple(
                SourceAhead(clock.topic, clock.source, clock.ahead_ms / 1000)
                for clock in self._fast_clocks.named(now_ms)
            ),
            refused=tuple(sorted(PERMISSION_REFUSALS.intersection(self._refusals()))),
            dedup={str(topic): self._dedup_of(topic) for topic in self._inputs.feeds},
            setup=self._setup_token,
        )

    def _dedup_of(self, topic: InputTopic) -> DedupReport:
        owned_partitions, as_of_ms = self._registry.owned_partitions, self._registry.as_of_ms
        seen_ids = [owned.seen for partition, owned in owned_partitions.items() if partition.topic == topic]
        promised_s = (seen_ids[0].horizon_ms if seen_ids else 0) / 1000
        evicted_until_ms = [ids.evicted_until_ms for ids in seen_ids if ids.evicted_until_ms is not None]
        horizon_s = promised_s
        if evicted_until_ms and as_of_ms is not None:
            horizon_s = min(promised_s, max(0.0, (as_of_ms - max(evicted_until_ms)) / 1000))
        return DedupReport(horizon_s, promised_s, sum(map(len, seen_ids)))

    def _set_gauges(self, report: ProcessReport) -> None:
        self._metrics.partitions.set(len(self._registry.owned_partitions))
        self._metrics.clock_offset.set(report.clock_offset_s or 0)
        for refusal in PERMISSION_REFUSALS:
            self._metrics.redis_refuses.labels(refusal).set(refusal in report.refused)
        ahead = {(clock.topic, clock.source): clock.ahead_s for clock in report.sources_ahead}
        for source, ahead_s in ahead.items():
            self._metrics.source_ahead.labels(*source).set(ahead_s)
        for source in self._ahead - ahead.keys():  # not `clear`: a scrape may be under way
            self._metrics.source_ahead.remove(*source)
        self._ahead = set(ahead)
        for topic, dedup in report.dedup.items():
            self._metrics.dedup_ids.labels(topic).set(dedup.ids)
            self._metrics.dedup_horizon.labels(topic).set(dedup.horizon_s)
            if dedup.promised_s:
                self._metrics.dedup_promised.labels(topic).set(dedup.promised_s)


class Housekeeping:
    """Runs every second, whether batches arrive or not."""

    def __init__(
        self,
        *,
        writer: PaneWriter,
        reading: WorkerConsumer,
        registry: PartitionRegistry,
        inputs: InputTopics,
        position_tracker: PositionTracker,
        identity: TopicIdentity,
        contract_check: ContractCheck,
        compaction_scheduler: CompactionScheduler,
        busy: Callable[[Partition], bool],
        worker_clock: WorkerClock,
        expiry: Expiry,
        reporter: WorkerReporter,
        setup: StoredSetup | None,
        setup_store: SetupStore,
        superseded: Callable[[], Awaitable[None]],
        metrics: WorkerMetrics,
        machine: MachineClock,
    ) -> None:
        """`setup`: the worker's. `superseded`: ends the worker, as another one started with another setup."""
        self._setup = setup
        self._setup_store = setup_store
        self._superseded = superseded
        self._machine = machine
        self._writer = writer
        self._reading = reading
        self._registry = registry
        self._inputs = inputs
        self._position_tracker = position_tracker
        self._identity = identity
        self._contract_check = contract_check
        self._compaction_scheduler = compaction_scheduler
        self._busy = busy
        self._worker_clock = worker_clock
        self._expiry = expiry
        self._reporter = reporter
        self._metrics = metrics
        self._committed_s = 0.0
        self._pace = LogPace()

    async def tick(self) -> None:
        """Run one turn; whatever fails is retried in the next."""
        try:
            await self._tick()
        except (RedisError, *UNREACHABLE) as error:
            if self._pace.is_due(str(error), self._machine.monotonic()):
                log.warning("housekeeping failed; retrying in 1 s", error=str(error))
        except Exception:  # a rebalance or an unavailable broker; raising would end the worker
            self._metrics.failures.inc()
            log.exception("housekeeping failed unexpectedly; retrying in 1 s")

    async def _tick(self) -> None:
        assigned = self._reading.assigned()
        self._registry.release_unassigned(assigned)
        if self._setup is not None:
            is_present = await self._setup_store.is_present(self._setup)
            if is_present is None:
                await self._setup_store.restore(self._setup, self._inputs.feeds)
            elif not is_present:
                await self._superseded()
                return
        await self._note_topics()
        lags: Lags = {}
        for partition in assigned:
            if (reported := await self._look_at(partition)) is not None:
                lags[partition] = reported
        await self._worker_clock.measure()
        await self._send_heartbeats(lags)
        await self._contract_check.resume_due()
        await self._worker_clock.follow()
        await self._expiry.run_once()
        await self._reporter.report()
        if self._machine.monotonic() - self._committed_s > _COMMIT_EVERY_S:
            self._committed_s = self._machine.monotonic()
            await self._reading.commit({partition: position for partition, (position, _) in lags.items() if position})

    async def _note_topics(self) -> None:
        """Store the broker's topics and partition counts before the heartbeats, since readers compare the two."""
        try:
            await self._identity.refresh()
        except (TimeoutError, KafkaError) as error:
            log.warning("broker did not return topic metadata", error=repr(error))
        await self._writer.note_topics(self._identity.known)

    async def _look_at(self, partition: Partition) -> tuple[int | None, int | None] | None:
        """Position and lag of a partition: the lag is None if the broker does not answer, the result is None if
        neither is known."""
        # A batch or a compaction may hold the lock for long: report the current position without it.
        if self._busy(partition) or self._registry.lock(partition).locked():
            busy = self._registry.owned_partitions.get(partition)
            if busy is None or not busy.loaded or busy.position is None:
                return None
            answers = self._position_tracker.broker_answers_for(busy)
            return busy.position, self._position_tracker.records_after(partition, busy.position) if answers else None
        try:
            async with self._registry.lock(partition):
                owned = await self._registry.get_loaded(partition)
                # The broker sends nothing for paused partitions.
                known = self._contract_check.is_paused(partition) or self._position_tracker.broker_answers_for(owned)
                reported = owned.position, await self._position_tracker.lag(owned) if known else None
            self._compaction_scheduler.start_if_due(owned)
        except RevokedError:
            self._registry.release(partition)
        except (TimeoutError, KafkaError) as error:
            log.warning("broker did not answer", partition=str(partition), error=repr(error))
            cached = self._registry.owned_partitions.get(partition)
            return (cached.position, None) if cached and cached.loaded else None
        else:
            return reported
        return None

    async def _send_heartbeats(self, lags: Lags) -> None:
        """Write a heartbeat per partition with its current position; retry those refused because the position
        moved.

        Redis refuses a heartbeat unless its position is the stored one, and under load positions move all the time.
        """
        for _ in range(_TRIES):
            lags = {partition: self._present(partition, reported) for partition, reported in lags.items()}
            large_record_reads = {partition: self._reading.large_record_reads(partition) for partition in lags}
            mismatched = await self._writer.heartbeat(
                lags, self._arrived(lags), large_record_reads, self._batches_in_flight(lags)
            )
            retries: Lags = {}
            for partition in mismatched:
                owned = self._registry.owned_partitions.get(partition)
                if owned is None or not owned.loaded:
                    continue
                if owned.position != lags[partition][0]:  # our position moved since it was sampled
                    retries[partition] = lags[partition]
                elif not self._registry.lock(partition).locked():
                    self._position_tracker.forget(owned)
            if not retries:
                return
            lags = retries

    def _present(self, partition: Partition, reported: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
        owned = self._registry.owned_partitions.get(partition)
        if owned is None or not owned.loaded or owned.position is None or owned.position == reported[0]:
            return reported
        return owned.position, None if reported[1] is None else self._position_tracker.records_after(
            partition, owned.position
        )

    def _arrived(self, lags: Lags) -> dict[Partition, int]:
        return {
            partition: counted_through_ms
            for partition, (position, lag) in lags.items()
            if lag is not None
            and (counted_through_ms := self._position_tracker.counted_through_ms(partition, position)) is not None
        }

    def _batches_in_flight(self, lags: Lags) -> dict[Partition, str]:
        owned_partitions = self._registry.owned_partitions
        return {
            partition: owned_partitions[partition].batch_in_flight
            for partition in lags
            if partition in owned_partitions
        }
