"""The process of `salepulse alerts`: preflight checks, signals and shutdown."""

from __future__ import annotations

import asyncio
import signal

import structlog

from alerts.metrics import AlertMetrics
from alerts.notify.receivers import ReceiversFile
from alerts.role import AlertsRole, EvaluatorFactory
from alerts.rules.loader import RuleLoader
from alerts.settings import load_receivers, rules_path
from alerts.viewing.view_evaluator import ViewEvaluator
from consumers.kafka.metadata import require_topics
from consumers.sources.inputs import load_inputs
from consumers.topic_contents import require_own_topics
from consumers.topics import Topic
from streams.process.metrics_server import metrics_server
from streams.process.shutdown_watchdog import ShutdownWatchdog
from streams.process.tuning import tune_memory, tune_threads
from streams.settings import ALERTS_METRICS_PORT, Settings
from streams.store.connection import check, connect, user_errors
from streams.store.errors import RedisUnavailableError
from streams.store.keys import Keys
from streams.store.last_evaluation import read_last_evaluation

log = structlog.get_logger()

_HUNG_AFTER_S = 30
"""If the event loop does not run for this long, the process exits, and another process takes over."""


def run(settings: Settings, evaluator: EvaluatorFactory | None = None) -> None:
    """Run until SIGINT or SIGTERM; never returns. `evaluator` replaces the rules in tests.

    Raises:
        SalepulseError: an error in the rules, the receivers, the broker or Redis.
    """
    file = load_receivers(settings)
    make = evaluator or view_evaluator_factory(settings)
    metrics = AlertMetrics()
    with metrics_server(settings, metrics.registry, ALERTS_METRICS_PORT):
        asyncio.run(preflight(settings))
        tune_memory()
        tune_threads()
        watchdog = ShutdownWatchdog(silent_s=_HUNG_AFTER_S)
        watchdog.start()
        asyncio.run(_run(settings, file, make, metrics, watchdog))
    raise SystemExit(watchdog.code)


async def preflight(settings: Settings) -> None:
    """Check the topics in Kafka. Redis may be unavailable, because alerts about its outage must still be sent.

    Raises SalepulseError if Kafka does not respond, a topic is missing or holds messages of another system, or Redis
    must not be used as configured.
    """
    redis, at_work = connect(settings), True
    try:
        await check(redis)
        keys = Keys(settings.redis_prefix, settings.shards)
        with user_errors(redis):
            at_work = (await read_last_evaluation(redis, keys)).at_ms is not None
    except RedisUnavailableError as error:
        log.warning("Redis unavailable; evaluation will start when it is back", error=str(error))
    finally:
        await redis.aclose()
    await require_topics(settings.kafka, load_inputs(settings, exponent=settings.money_exponent).used)
    await require_own_topics(settings, (Topic.ALERTS,), at_work=at_work)


async def _run(
    settings: Settings,
    file: ReceiversFile,
    make: EvaluatorFactory,
    metrics: AlertMetrics,
    watchdog: ShutdownWatchdog,
) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: int, _frame: object) -> None:
        watchdog.begin(signal.Signals(number).name)
        loop.call_soon_threadsafe(stopping.set)

    def end(reason: str) -> None:
        if not stopping.is_set():
            log.error("process stuck; exiting so that it is restarted, no alert is lost", reason=reason)
            watchdog.begin("being stuck", code=1)
            stopping.set()

    async def report_alive() -> None:
        while True:
            watchdog.alive()
            await asyncio.sleep(1.0)

    for number in (signal.SIGINT, signal.SIGTERM):  # unlike the loop's own handlers, these work while the loop hangs
        signal.signal(number, on_signal)
    async with AlertsRole(settings, file, make, metrics=metrics, end=end) as role:
        tasks = [asyncio.create_task(work) for work in (role.run(), report_alive(), stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def view_evaluator_factory(settings: Settings) -> EvaluatorFactory:
    """Build evaluators of the configured rules over the workers' counts. Raises RulesError if the rules are invalid."""
    loader = RuleLoader(rules_path(settings))
    return lambda settings, _redis: ViewEvaluator(settings, loader)
