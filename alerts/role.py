"""The loops of one `salepulse alerts` process, independent of each other.

Every process sends notifications; the leader evaluates, publishes changes and refreshes Alertmanager.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.delivery.dispatcher import LEASE_MS, AlertmanagerResender, Dispatcher
from alerts.engine import Engine, EvaluationOutcome, Evaluator
from alerts.metrics import AlertMetrics
from alerts.notify.heartbeat import Heartbeat, HeartbeatOutcome
from alerts.notify.http import Http
from alerts.notify.receivers import Receiver, ReceiversFile, build_receivers
from alerts.outage_reporter import OutageReporter
from alerts.redis_alerts import InMemoryRedisAlerts
from alerts.redis_probe import RedisProbe
from alerts.settings import shop_info
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.keys import AlertKeys
from alerts.store.outbox import Outbox
from alerts.store.states import StateStore
from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import KeyedProducer, OutgoingMessage
from consumers.topics import Topic
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, connect
from streams.store.keys import ALERTS_NAME, Keys
from streams.store.last_evaluation import write_awaiting_events, write_last_evaluation
from streams.store.process_reports import ProcessReport, encode_report
from streams.store.reference_clock import ReferenceClock

log = structlog.get_logger()

_SEND_EVERY_S = 0.25
_PUBLISH_EVERY_S = 0.25
_REFRESH_EVERY_S = 1.0
_REPORT_EVERY_S = 1.0
_PROBE_EVERY_S = 1.0
_REJOIN_AFTER_S = 10.0
"""Pause before the group is joined again."""
_LONGEST_PAUSE_S = 5.0
"""Maximum pause before a failed loop is retried."""

EvaluatorFactory = Callable[[Settings, Redis], Evaluator]


class Publisher:
    """Publishes alert changes to Kafka. While Kafka is unavailable, they wait in Redis."""

    def __init__(self, store: StateStore, kafka: KafkaTarget, metrics: AlertMetrics) -> None:
        self._store = store
        self._kafka = kafka
        self._metrics = metrics
        self._producer: KeyedProducer | None = None

    async def publish(self) -> int:
        """Publish all unpublished changes; return their number.

        Raises SalepulseError if Kafka does not respond.
        """
        count = 0
        while waiting := await self._store.unpublished():
            try:
                producer = await self._started()
                await producer.put(OutgoingMessage(Topic.ALERTS, change.fingerprint, change.json) for change in waiting)
                await producer.flush()
            except SalepulseError:
                await self.stop()
                raise
            # Marked after the flush: a crash in between publishes them again.
            await self._store.published(waiting[-1].at)
            self._metrics.published.inc(len(waiting))
            count += len(waiting)
        return count

    async def stop(self) -> None:
        """Close the connection; the next `publish` opens a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.__aexit__(SalepulseError, SalepulseError("closed"), None)

    async def _started(self) -> KeyedProducer:
        if self._producer is None:
            self._producer = await KeyedProducer(self._kafka).__aenter__()
        return self._producer


class AlertsRole:
    """All loops of one process. Use as `async with`; `run` returns only when cancelled."""

    def __init__(
        self,
        settings: Settings,
        file: ReceiversFile,
        evaluator: EvaluatorFactory,
        *,
        clock: Callable[[], int] | None = None,
        metrics: AlertMetrics | None = None,
        end: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """`clock` returns epoch ms; None: the clock of Redis. `end` is called if this process cannot continue and must
        be restarted."""
        self._settings = settings
        self._file = file
        self.name = f"{ALERTS_NAME}{os.getpid()}-{uuid4().hex[:8]}"
        self.metrics = AlertMetrics() if metrics is None else metrics
        self._shop = shop_info(settings)
        self._redis = connect(settings)
        self._keys = Keys(settings.redis_prefix, settings.shards)
        self._reference = ReferenceClock(self._redis, self._keys)
        self._clock = self._reference.now_ms if clock is None else clock
        keys = AlertKeys(settings.redis_prefix)
        self._store = StateStore(self._redis, keys, self._shop, lease_ms=round(settings.alerts_lease_s * 1000))
        self._acks_and_silences = AcksAndSilences(self._redis, keys)
        self._outbox = Outbox(self._redis, keys, self.name, lease_ms=LEASE_MS)
        self._http = Http(file.networks)
        self._evaluator = evaluator(settings, self._redis)
        self._heartbeat = Heartbeat(settings.alerts_heartbeat_url, self._http, settings.clock)
        self._end = end
        self._alarm = InMemoryRedisAlerts(self._evaluator.rules, self._evaluator.timing, lambda: file.routing)
        self._probe_client = connect(settings)
        self._publisher = Publisher(self._store, settings.kafka, self.metrics)
        self._outage_reporter = OutageReporter(settings.kafka, f"{settings.group}-alerts", settings.session_timeout_s)
        self.engine = Engine(
            self.name,
            self._store,
            self._acks_and_silences,
            self._evaluator,
            lambda: file.routing,
            self.metrics,
            clock=self._clock,
            alarm=self._alarm,
        )
        self._redis_probe = RedisProbe(
            self._probe_client,
            self._keys,
            AcksAndSilences(self._probe_client, keys),
            self._alarm,
            reports=self._reports,
            evaluated_ms=lambda: None if self.engine.last is None else self.engine.last.at_ms,
            clock=self._clock,
        )
        self._evaluator.set_store_uptime(lambda: self._redis_probe.healthy_for_s)
        self._receivers: dict[str, Receiver] = {}
        self.last_round_s = time.monotonic()
        """Monotonic time of the last completed round."""
        self._active_s = self.last_round_s
        """Monotonic time of the last round that evaluated, or that found another leader."""

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        self._receivers = build_receivers(self._file, self._http)
        self._dispatcher = Dispatcher(self._outbox, self._receivers, self._shop, self.metrics, clock=self._clock)
        self._alarm_dispatcher = Dispatcher(
            self._alarm.outbox, self._receivers, self._shop, self.metrics, clock=self._clock
        )
        self._resender = AlertmanagerResender(self._receivers, self._http, self._shop)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.engine.stop()
        except (RedisError, *UNREACHABLE):
            pass  # the lease will expire
        await self._evaluator.stop()
        await self._publisher.stop()
        await self._http.__aexit__()
        await self._redis.aclose()
        await self._probe_client.aclose()

    async def run(self) -> None:
        """Run all loops until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(run_every(self._settings.alerts_interval_s, "evaluation", self._evaluate))
            group.create_task(run_every(_PROBE_EVERY_S, "Redis probe", self._probe_redis))
            group.create_task(run_every(_REJOIN_AFTER_S, "Kafka group of alerts processes", self._join_group))
            group.create_task(run_every(_PUBLISH_EVERY_S, "publishing of changes", self._publish))
            group.create_task(run_every(_REFRESH_EVERY_S, "Alertmanager refresh", self._refresh))
            group.create_task(run_every(_REPORT_EVERY_S, "report", self._report))
            if self._settings.alerts_heartbeat_url.get_secret_value():
                group.create_task(run_every(self._settings.alerts_heartbeat_s, "heartbeat", self._beat))
            for name in self._receivers:
                group.create_task(
                    run_every(_SEND_EVERY_S, f"delivery to {name}", partial(self._dispatcher.dispatch, name))
                )
                group.create_task(run_every(_SEND_EVERY_S, f"Redis alerts to {name}", partial(self._send_alarm, name)))

    def _reports(self) -> bool:
        return self._outage_reporter.reports(led=self.engine.led_last, led_by_another=self.engine.led_by_another)

    async def _join_group(self) -> None:
        def yields() -> bool:  # the leader should own the partition, as it stores the alerts afterwards
            return self.engine.led_by_another and self._redis_probe.healthy_for_s > _REJOIN_AFTER_S

        await self._outage_reporter.hold(yields)

    async def _probe_redis(self) -> None:
        try:
            await self._redis_probe.observe(blocked_s=time.monotonic() - self._active_s)
        except SalepulseError as error:
            if not error.retriable:
                self._end(str(error))
            raise
        after_s, healthy_since_s = self._settings.stuck_after_s, self._redis_probe.healthy_since_s
        since_s = max(self.last_round_s, healthy_since_s or 0)
        if after_s and healthy_since_s is not None and time.monotonic() - since_s > after_s:
            self._end(f"no evaluation completed for {after_s:g} s although Redis accepts writes")

    async def _send_alarm(self, receiver: str) -> None:
        if receiver in self._alarm.outbox.receivers():
            await self._alarm_dispatcher.dispatch(receiver)

    async def _evaluate(self) -> None:
        if not self._redis_probe.checked:
            return
        await self._reference.measure()
        outcome = await self.engine.round()
        match outcome:
            case EvaluationOutcome.EVALUATED:
                await write_last_evaluation(self._redis, self._keys, self._clock())
            case EvaluationOutcome.NO_AS_OF:
                await write_awaiting_events(self._redis, self._keys, self._clock())
        self.last_round_s = time.monotonic()
        if outcome in (EvaluationOutcome.EVALUATED, EvaluationOutcome.STANDBY):
            self._active_s = self.last_round_s

    async def _publish(self) -> None:
        if self.engine.leading:
            await self._publisher.publish()

    async def _refresh(self) -> None:
        if self.engine.leading:
            await self._resender.resend(await self._acks_and_silences.alerts(), self._clock())

    async def _beat(self) -> None:
        outcome = await self._heartbeat.beat(self.engine.last, self._clock(), leading=self.engine.leading)
        self.metrics.heartbeats.labels(outcome).inc()
        if outcome is HeartbeatOutcome.FAILED:
            raise SalepulseError(self._heartbeat.failure)
        if outcome not in (HeartbeatOutcome.SENT, HeartbeatOutcome.STANDBY):
            log.warning("heartbeat withheld", reason=outcome.value)

    async def _report(self) -> None:
        self.metrics.clock_offset.set(self._reference.offset_ms / 1000)
        report = encode_report(ProcessReport(at_ms=self._reference.now_ms()))
        await self._redis.hset(self._keys.reports, self.name, report)


async def run_every(interval_s: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Repeat `work`. Log each new failure once, and retry with growing pauses."""
    failures, reported = 0, ""
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:  # an ended loop would go unnoticed
            description = f"{type(error).__name__}: {error}"
            if description != reported:
                is_expected = isinstance(error, (SalepulseError, RedisError, *UNREACHABLE))
                (log.warning if is_expected else log.exception)(f"{name} failed; retrying", error=description)
            failures, reported = failures + 1, description
        else:
            if failures:
                log.info(f"{name} recovered")
            failures, reported = 0, ""
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # `asyncio.wait_for` may lose a cancellation (Python < 3.12)
            raise asyncio.CancelledError
        pause = interval_s if not failures else min(interval_s * 2 ** min(failures, 10), _LONGEST_PAUSE_S)
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))
