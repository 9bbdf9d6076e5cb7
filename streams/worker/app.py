"""The Faust app: agents that hand every batch to the worker, and a timer; how a worker process starts and ends."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from tempfile import gettempdir

import faust
from faust.types import TP

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import BatchApp, BatchSchema, FetchBudget, FetchSettings, RecordBatch
from consumers.kafka.metadata import require_topics
from consumers.topics import READ_TOPICS, Topic
from streams.process.faust import run_process
from streams.process.memory import tune_memory
from streams.process.own_topics import require_own_topics
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.settings import Settings
from streams.store.connection import check, connect
from streams.store.keys import Keys
from streams.store.shared_settings import require_same_settings
from streams.store.state import read_state
from streams.store.wait_for_redis import wait_for_redis
from streams.worker import Worker
from streams.worker.position_tracker import ASK_EVERY_S

_NO_LIMIT = 1 << 20
"""Batches in Faust's own buffers: `FetchBudget` is the limit. Theirs would keep a fetch back until nearly all was
done.
"""


_TURN_WITHIN_S = 30
"""How long the main loop may be held up at least: loading a partition with a long log takes seconds."""
_REBALANCE_WITHIN_S = 15
_ANSWER_WITHIN_S = 20
"""Shorter than a worker may be stuck: a connection that is silent for so long is closed, and another made. Longer than
a rebalance may take, which is one request."""


def create_app(settings: Settings, shutdown_watchdog: ShutdownWatchdog) -> BatchApp:
    """The Faust app with its agents and timers; nothing is connected before it runs."""
    app = BatchApp(
        settings.group,
        **settings.kafka.faust_options(),
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_metadata_max_age_ms=round(1000 * ASK_EVERY_S),  # partitions that are added are taken up
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
    app.topic_names = settings.topic_names
    app.fetch_budget = FetchBudget(settings.batch_records, settings.batch_bytes)
    reading = WorkerConsumer(app)
    worker = Worker(settings, reading, app.fetch_budget, shutdown_watchdog)
    schema = BatchSchema()

    async def consume(stream: faust.StreamT[RecordBatch]) -> None:
        async for batch in stream:
            worker.take(batch)

    for topic in READ_TOPICS:
        read = app.topic(app.topic_names.on_broker(topic), schema=schema, acks=False)
        app.agent(read, name=f"salepulse-{topic}")(consume)

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


async def preflight(settings: Settings) -> None:
    """Refuse to start where counting could not be right.

    No broker, a topic missing, a Redis that evicts or was counted into with other settings. A Redis that is away or
    refuses writes is waited for.
    """
    partitions = await require_topics(settings.kafka)  # first: for Redis it may wait, and only Redis would be named
    redis = connect(settings)
    try:
        await wait_for_redis(redis, lambda: check(redis))
        await wait_for_redis(redis, lambda: require_same_settings(redis, settings, partitions))
        keys = Keys(settings.redis_prefix, settings.shards)
        held = (await wait_for_redis(redis, lambda: read_state(redis, keys))).partitions.values()
        at_work = any(one.position is not None for one in held)
        await require_own_topics(settings, (Topic.PROMOTIONS, Topic.DEAD_LETTERS), at_work=at_work)
    finally:
        await redis.aclose()


def run(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM; never returns.

    It ends with 1 where it was stuck: then it is to be started again.

    Raises:
        SalepulseError: what is wrong with the broker, the topics or Redis, before anything is read.
    """
    logging.basicConfig(level=logging.WARNING)  # without a handler Faust is silent about everything, even its own end
    asyncio.run(preflight(settings))
    logging.getLogger("mode.timers").setLevel(logging.ERROR)  # a late tick under load is no news
    tune_memory()
    shutdown_watchdog = ShutdownWatchdog(
        silent_s=max(settings.stuck_after_s, _TURN_WITHIN_S) if settings.stuck_after_s else 0
    )
    run_process(create_app(settings, shutdown_watchdog), shutdown_watchdog)
