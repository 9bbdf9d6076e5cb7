"""Metrics of a worker. Exact counts (events, rejects, duplicates) are stored with the panes instead."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.store.refusal_kinds import PERMISSION_REFUSALS, RedisRefusal

WORKER_PROCESS = "salepulse_worker"
"""Prefix of the process metrics."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RECORDS = (1, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)


class WorkerMetrics:
    """The metrics of one worker, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"salepulse_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.batch_records = histogram("batch_records", "Records in a batch.", ("topic",), _RECORDS)
        self.batch_seconds = histogram(
            "batch_seconds", "Time from a batch's arrival until it is applied.", ("topic",), _SECONDS
        )
        self.redis_seconds = histogram("redis_call_seconds", "Duration of a Redis call.", ("call",), _SECONDS)
        self.redis_errors = Counter("salepulse_redis_errors", "Redis calls that failed.", registry=self.registry)
        self.redis_refusals = Counter(
            "salepulse_redis_refusals",
            "Redis calls that were refused, by reason.",
            ("reason",),
            registry=self.registry,
        )
        for refusal in RedisRefusal:
            self.redis_refusals.labels(refusal)
        self.redis_refuses = Gauge(
            "salepulse_worker_redis_refuses",
            "1 for each permission that Redis denies this worker, or for its login.",
            ("reason",),
            registry=self.registry,
        )
        for refusal in PERMISSION_REFUSALS:
            self.redis_refuses.labels(refusal)
        self.rebalances = Counter("salepulse_rebalances", "Rebalances of the consumer group.", registry=self.registry)
        self.batches_fenced = Counter(
            "salepulse_batches_fenced",
            "Batches that Redis rejected because the partition's stored position differs.",
            registry=self.registry,
        )
        self.failures = Counter(
            "salepulse_batch_failures", "Batches that failed and are read again.", registry=self.registry
        )
        self.partitions = Gauge("salepulse_assigned_partitions", "Partitions assigned.", registry=self.registry)
        self.dedup_ids = Gauge(
            "salepulse_dedup_ids", "Event ids held for deduplication.", ("topic",), registry=self.registry
        )
        self.dedup_horizon = Gauge(
            "salepulse_dedup_horizon_seconds",
            "Event time that the held ids cover, limited by memory; else the setting.",
            ("topic",),
            registry=self.registry,
        )
        self.dedup_promised = Gauge(
            "salepulse_dedup_promised_seconds",
            "Event time that the held ids should cover by the settings.",
            ("topic",),
            registry=self.registry,
        )
        self.clock_offset = Gauge(
            "salepulse_worker_clock_offset_seconds",
            "Offset of this machine's clock from Redis's; negative if behind.",
            registry=self.registry,
        )
        self.source_ahead = Gauge(
            "salepulse_source_clock_ahead_seconds",
            "How far a source's last events were ahead of Redis's clock, if by more than 2 s; the 20 furthest ahead.",
            ("topic", "source"),
            registry=self.registry,
        )
        ProcessCollector(WORKER_PROCESS, registry=self.registry)

    def records_applied(self) -> int:
        """The number of records in applied batches."""
        samples = (sample for family in self.batch_records.collect() for sample in family.samples)
        return round(sum(sample.value for sample in samples if sample.name.endswith("_sum")))
