"""The Faust app of the role: Kafka says which process has the first claim to evaluate; how a process starts and ends.

Only that comes from Faust: what is evaluated is read from Redis, and so is who leads in the end. With Kafka away, the
process that leads goes on; where a leader has died, another takes what stays free.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import gettempdir

import faust
import structlog
from faust.assignor.leader_assignor import LeaderAssignor

from alerts.notify.receivers import ReceiversFile
from alerts.role import AlertsRole, EvaluatorFactory
from alerts.rules.loader import RuleLoader
from alerts.settings import load_receivers, rules_path
from alerts.viewing.view_evaluator import ViewEvaluator
from consumers.kafka.admin import TopicPlan, create_topics
from consumers.kafka.metadata import require_topics
from consumers.topics import Topic
from streams.process.faust import run_process
from streams.process.own_topics import require_own_topics
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.process.tuning import tune_memory, tune_threads
from streams.settings import Settings
from streams.store.connection import check, connect, user_errors
from streams.store.errors import RedisUnavailableError
from streams.store.keys import Keys
from streams.store.last_evaluation import read_last_evaluation

log = structlog.get_logger()

_HUNG_AFTER_S = 30
"""A main loop that has not turned for so long never will: another process goes on in its place."""


def create_app(
    settings: Settings, file: ReceiversFile, evaluator: EvaluatorFactory, ending: ShutdownWatchdog
) -> faust.App:
    """The Faust app around one role; nothing is connected before it runs."""
    app = faust.App(
        settings.alerts_group,
        **settings.kafka.faust_options(),
        LeaderAssignor=_leader_assignor(leader_topic(settings)),
        store="memory://",
        topic_allow_declare=False,
        stream_wait_empty=False,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        web_enabled=False,
        datadir=Path(gettempdir()) / f"salepulse-faust-{os.getpid()}",  # never written to: all state is in Redis
    )
    held = AsyncExitStack()
    is_ending = False

    def end(why: str) -> None:
        nonlocal is_ending
        if is_ending:
            return
        is_ending = True
        log.error("this process is stuck and ends, to be started again; no alert is lost", why=why)
        ending.begin("being stuck", code=1)
        os.kill(os.getpid(), signal.SIGTERM)

    @app.task
    async def watch() -> None:
        role = await held.enter_async_context(
            AlertsRole(settings, file, evaluator, is_preferred_leader=app.is_leader, end=end)
        )
        await role.run()

    @app.timer(1.0)
    async def tick() -> None:
        ending.alive()

    @app.on_before_shutdown.connect(weak=False)
    async def on_shutdown(*_: object, **__: object) -> None:
        await held.aclose()

    return app


def leader_topic(settings: Settings) -> str:
    """The topic whose only partition is given to the leader; nothing is ever written to it."""
    return f"{settings.topic_prefix}{settings.alerts_group}-__assignor-__leader"


def _leader_assignor(topic: str) -> type[LeaderAssignor]:
    """Faust's own, by a topic of that name."""

    class ByTopic(LeaderAssignor):
        _leader_topic_name = topic

    return ByTopic


async def preflight(settings: Settings) -> None:
    """Refuse to start where nothing could be watched; make the topic that Kafka elects the leader by.

    A Redis that is away or refuses writes is no reason not to start: people are to be told of that.
    """
    redis, at_work = connect(settings), True
    try:
        await check(redis)
        keys = Keys(settings.redis_prefix, settings.shards)
        with user_errors(redis):
            at_work = (await read_last_evaluation(redis, keys)).at_ms is not None
    except RedisUnavailableError as error:
        log.warning("Redis is not available yet; evaluating once it is", why=str(error))
    finally:
        await redis.aclose()
    await require_topics(settings.kafka)
    await require_own_topics(settings, (Topic.ALERTS,), at_work=at_work)
    await create_topics(settings.kafka, [TopicPlan(leader_topic(settings), 1)])


def run(settings: Settings, evaluator: EvaluatorFactory | None = None) -> None:
    """Run until SIGINT or SIGTERM; never returns. `evaluator`: in place of the rules over what workers count.

    Raises:
        SalepulseError: what is wrong with the rules, the receivers, the broker or Redis.
    """
    file = load_receivers(settings)
    make = evaluator or view_evaluator_factory(settings)
    logging.basicConfig(level=logging.WARNING)  # without a handler Faust is silent about everything, even its own end
    asyncio.run(preflight(settings))
    logging.getLogger("mode.timers").setLevel(logging.ERROR)  # a late tick under load is no news
    tune_memory()
    tune_threads()
    ending = ShutdownWatchdog(silent_s=_HUNG_AFTER_S)
    run_process(create_app(settings, file, make, ending), ending)


def view_evaluator_factory(settings: Settings) -> EvaluatorFactory:
    """The rules that the settings name, over what workers count. Raises RulesError."""
    loader = RuleLoader(rules_path(settings))
    return lambda settings, _redis: ViewEvaluator(settings, loader)
