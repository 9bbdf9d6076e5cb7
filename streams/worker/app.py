"""The Faust app: agents pass each batch to the worker, a timer runs its housekeeping."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import faust
from faust.types import TP

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import BatchApp, BatchSchema, FetchBudget, FetchSettings, RecordBatch
from consumers.kafka.metadata import require_topics
from consumers.sources.inputs import InputTopics, load_inputs
from consumers.topic_contents import require_own_topics
from consumers.topics import Topic
from streams.process.metrics_server import metrics_server
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.process.tuning import tune_memory
from streams.settings import WORKER_METRICS_PORT, Settings
from streams.store.connection import check, connect, require_same_settings, wait_for_redis
from streams.store.keys import Keys
from streams.store.state import read_state
from streams.store.worker_setup import DeclaredSetup, SetupStore, StoredSetup
from streams.worker.metrics import WorkerMetrics
from streams.worker.position_tracker import ASK_EVERY_S
from streams.worker.worker import Worker

_NO_LIMIT = 1 << 20
"""Batches in Faust's own buffers: unlimited, since `FetchBudget` limits them. Faust's limit would delay fetches."""


_TURN_WITHIN_S = 30
"""Minimum time that the main loop may block: loading a partition with a long log takes seconds."""
_REBALANCE_WITHIN_S = 15
"""Rebalance time-out, unless the session time-out is longer."""
_ANSWER_WITHIN_S = 20
"""Kafka request timeout, after which the connection is replaced: shorter than `stuck_after_s`, longer than a
rebalance."""


def create_app(
    settings: Settings,
    metrics: WorkerMetrics,
    shutdown_watchdog: ShutdownWatchdog,
    inputs: InputTopics | None = None,
    setup: StoredSetup | None = None,
) -> BatchApp:
    """The Faust app with its agents and timers; connects when it runs.

    `inputs`: by default the contract's topics. `setup`: see `Worker`.
    """
    inputs = InputTopics(settings.topic_names) if inputs is None else inputs
    app = BatchApp(
        settings.group,
        **settings.kafka.faust_options(),
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_metadata_max_age_ms=round(1000 * ASK_EVERY_S),  # discovers added partitions
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_NO_LIMIT,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_rebalance_timeout=max(_REBALANCE_WITHIN_S, settings.session_timeout_s),
        broker_request_timeout=max(_ANSWER_WITHIN_S, 2 * settings.session_timeout_s),
        broker_max_poll_records=settings.batch_records,
        web_enabled=False,
        datadir=Path(gettempdir()) / f"salepulse-faust-{os.getpid()}",  # never written to: all state is in Redis
    )
    app.fetch_settings = FetchSettings(
        settings.fetch_wait_ms,
        settings.fetch_bytes,
        settings.batch_records,
        settings.batch_wait_ms,
        settings.batch_bytes,
    )
    app.topic_names = inputs.names
    app.fetch_budget = FetchBudget(settings.batch_records, settings.batch_bytes)
    reading = WorkerConsumer(app)
    worker = Worker(settings, reading, app.fetch_budget, shutdown_watchdog, metrics=metrics, inputs=inputs, setup=setup)
    schema = BatchSchema()

    async def consume(stream: faust.StreamT[RecordBatch]) -> None:
        async for batch in stream:
            worker.take(batch)

    for topic in inputs.all:
        source = app.topic(app.topic_names.on_broker(topic), schema=schema, acks=False)
        app.agent(source, name=f"salepulse-{topic}")(consume)

    @app.timer(1.0)
    async def tick() -> None:
        await worker.tick()

    @app.task
    async def watch() -> None:
        await worker.watch()

    @app.on_partitions_assigned.connect(weak=False)
    async def on_rebalance(*_: object, **__: object) -> None:
        worker.metrics.rebalances.inc()

    @app.on_partitions_revoked.connect(weak=False)
    async def on_revoked(_: object, revoked: set[TP], **__: object) -> None:
        worker.revoked({reading.to_partition(tp) for tp in revoked})

    @app.on_before_shutdown.connect(weak=False)
    async def on_shutdown(*_: object, **__: object) -> None:
        await worker.stop()

    return app


async def preflight(settings: Settings, inputs: InputTopics, declared: DeclaredSetup) -> StoredSetup:
    """Check the broker, the topics and Redis before reading; wait for a Redis that is unavailable or refuses writes.

    Returns the worker's setup, which is the present one. Raises SalepulseError where there is no broker, a topic is
    missing, or Redis evicts keys or was populated with other settings.
    """
    # first, so that a missing broker is reported even while Redis is unavailable
    partitions = await require_topics(settings.kafka, inputs.used)
    redis = connect(settings)
    try:
        await wait_for_redis(redis, lambda: check(redis))
        await wait_for_redis(redis, lambda: require_same_settings(redis, settings, partitions, inputs.feeds))
        keys = Keys(settings.redis_prefix, settings.shards)
        states = (await wait_for_redis(redis, lambda: read_state(redis, keys))).partitions.values()
        at_work = any(state.position is not None for state in states)
        await require_own_topics(settings, (Topic.PROMOTIONS, Topic.DEAD_LETTERS), at_work=at_work)
        return await wait_for_redis(redis, lambda: SetupStore(redis, keys).adopt(declared))
    finally:
        await redis.aclose()


def declared_setup(settings: Settings, inputs: InputTopics) -> DeclaredSetup:
    """The model and sources by the settings."""
    return DeclaredSetup(settings, feeds=inputs.feeds, sources=inputs.fingerprint)


class FaustProcess(faust.Worker):
    """Faust's worker with our signal handlers."""

    def __init__(self, app: faust.App, shutdown_watchdog: ShutdownWatchdog) -> None:
        super().__init__(app, loglevel="WARNING", override_logging=False, quiet=True)
        self.spinner = None
        self._shutdown_watchdog = shutdown_watchdog

    def install_signal_handlers(self) -> None:
        """Install handlers that work while the event loop hangs, unlike Faust's."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._shutdown_watchdog.begin(signal.Signals(number).name)
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._on_sigterm)


def run(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM, then exit; exit code 1 means that it was stuck and should be restarted,
    3 that another worker started with another model or other sources.

    Raises SalepulseError if the broker, the topics or Redis are unusable.
    """
    logging.basicConfig(level=logging.WARNING)  # without a handler Faust logs nothing, not even its own crash
    inputs = load_inputs(settings, exponent=settings.money_exponent)
    declared = declared_setup(settings, inputs)
    metrics = WorkerMetrics()
    with metrics_server(settings, metrics.registry, WORKER_METRICS_PORT):
        setup = asyncio.run(preflight(settings, inputs, declared))
        logging.getLogger("mode.timers").setLevel(logging.ERROR)  # a late tick under load is normal
        tune_memory()
        shutdown_watchdog = ShutdownWatchdog(
            silent_s=max(settings.stuck_after_s, _TURN_WITHIN_S) if settings.stuck_after_s else 0
        )
        shutdown_watchdog.start()
        try:
            app = create_app(settings, metrics, shutdown_watchdog, inputs, setup)
            FaustProcess(app, shutdown_watchdog).execute_from_commandline()
        except SystemExit as end:
            raise SystemExit(shutdown_watchdog.code or end.code) from None
