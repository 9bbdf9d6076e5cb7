"""Everything that one `salepulse alerts` process does, each in a loop of its own: none can hold up another.

All processes send; one evaluates, publishes and refreshes.
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
from prometheus_client import generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.delivery.dispatcher import LEASE_MS, Dispatcher, Refresher
from alerts.engine import Engine, Evaluator, Round
from alerts.metrics import AlertMetrics
from alerts.notify.heartbeat import Beat, Heartbeat
from alerts.notify.http import Http
from alerts.notify.receivers import Receiver, ReceiversFile, built
from alerts.settings import place_of
from alerts.store.keys import AlertKeys
from alerts.store.outbox import Outbox
from alerts.store.said import Said
from alerts.store.states import StateStore
from alerts.store_alarm import StoreAlarm
from alerts.store_look import StoreLook
from consumers.errors import SalepulseError
from consumers.kafka.connection import Where
from consumers.kafka.consumer import is_led
from consumers.kafka.producer import KeyedProducer, Outgoing
from consumers.topics import Partition, Topic
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, connect
from streams.store.evaluated import leave_awaiting_events, leave_evaluated
from streams.store.keys import ALERTS_NAME, Keys
from streams.store.reference_clock import ReferenceClock


class Publisher:
    """Publishes for the process that leads. While Kafka is away, changes wait in Redis."""

    def __init__(self, store: StateStore, kafka: Where, metrics: AlertMetrics) -> None:
        self._store = store
        self._kafka = kafka
        self._metrics = metrics
        self._producer: KeyedProducer | None = None

    async def publish(self) -> int:
        """Write what is not known to be there; returns how many changes.

        Raises SalepulseError where Kafka does not answer.
        """
        count = 0
        while waiting := await self._store.unpublished():
            try:
                producer = await self._started()
                await producer.put(Outgoing(Topic.ALERTS, change.fingerprint, change.json) for change in waiting)
                await producer.flush()
            except SalepulseError:
                await self.stop()
                raise
            # Only now: dying in between publishes these once more, never not at all.
            await self._store.published(waiting[-1].at)
            self._metrics.published.inc(len(waiting))
            count += len(waiting)
        return count

    async def stop(self) -> None:
        """Close the connection; the next `publish` opens another."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.__aexit__(SalepulseError, SalepulseError("given up"), None)

    async def _started(self) -> KeyedProducer:
        if self._producer is None:
            self._producer = await KeyedProducer(self._kafka).__aenter__()
        return self._producer


log = structlog.get_logger()

_SEND_EVERY_S = 0.25
_PUBLISH_EVERY_S = 0.25
_REFRESH_EVERY_S = 1.0
_METRICS_EVERY_S = 1.0
_LOOK_EVERY_S = 1.0
_LONGEST_PAUSE_S = 5.0

_ANY = Partition(Topic.CLICKS, 0)
"""Whom to ask of, to see whether Kafka answers."""


MakeEvaluator = Callable[[Settings, Redis], Evaluator]


class Role:
    """One process. Use as `async with`; `run` goes on until it is cancelled."""

    def __init__(
        self,
        settings: Settings,
        file: ReceiversFile,
        evaluator: MakeEvaluator,
        *,
        first_claim: Callable[[], bool] = lambda: True,
        clock: Callable[[], int] | None = None,
        end: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """`clock`: epoch ms; None: Redis's, as every process of salepulse goes by. `end`: is called where this process
        cannot go on, and another should take its place."""
        self._settings = settings
        self._file = file
        self.name = f"{ALERTS_NAME}{os.getpid()}-{uuid4().hex[:8]}"
        self.metrics = AlertMetrics()
        self._place = place_of(settings)
        self._redis = connect(settings)
        self._keys = Keys(settings.redis_prefix, settings.shards)
        self._reference = ReferenceClock(self._redis, self._keys)
        self._clock = self._reference.now_ms if clock is None else clock
        keys = AlertKeys(settings.redis_prefix)
        self._store = StateStore(self._redis, keys, self._place, lease_ms=round(settings.alerts_lease_s * 1000))
        self._said = Said(self._redis, keys)
        self._outbox = Outbox(self._redis, keys, self.name, lease_ms=LEASE_MS)
        self._http = Http(file.networks)
        self._evaluator = evaluator(settings, self._redis)
        self._heartbeat = Heartbeat(settings.alerts_heartbeat_url, self._http, settings.clock)
        self._end = end
        self._alarm = StoreAlarm(self._evaluator.rules, self._evaluator.timing, lambda: file.routing)
        self._look_redis = connect(settings)
        self._publisher = Publisher(self._store, settings.kafka, self.metrics)
        self.engine = Engine(
            self.name,
            self._store,
            self._said,
            self._evaluator,
            lambda: file.routing,
            self.metrics,
            first_claim=first_claim,
            clock=self._clock,
            alarm=self._alarm,
        )
        self.kafka_answers = partial(is_led, settings.kafka, _ANY)
        self._store_look = StoreLook(
            self._look_redis,
            self._keys,
            Said(self._look_redis, keys),
            self._alarm,
            first_claim=first_claim,
            led_last=lambda: self.engine.led_last,
            evaluated_ms=lambda: None if self.engine.last is None else self.engine.last.at_ms,
            kafka_answers=self.kafka_answers,
            clock=self._clock,
        )
        self._evaluator.heed(lambda: self._store_look.well_for_s)
        self._receivers: dict[str, Receiver] = {}
        self.beat_s = time.monotonic()
        """When a round was last completed, by the monotonic clock."""
        self._told_s = self.beat_s
        """When what an evaluation came to was last written, by this process or by the one that leads."""

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        self._receivers = built(self._file, self._http)
        self._dispatcher = Dispatcher(self._outbox, self._receivers, self._place, self.metrics, clock=self._clock)
        self._alarm_dispatcher = Dispatcher(
            self._alarm.outbox, self._receivers, self._place, self.metrics, clock=self._clock
        )
        self._refresher = Refresher(self._receivers, self._http, self._place)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.engine.stop()
        except (RedisError, *UNREACHABLE):
            pass  # the lease ends by itself
        await self._evaluator.stop()
        await self._publisher.stop()
        await self._http.__aexit__()
        await self._redis.aclose()
        await self._look_redis.aclose()

    async def run(self) -> None:
        """All loops, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(self._settings.alerts_interval_s, "evaluating", self._evaluate))
            group.create_task(_every(_LOOK_EVERY_S, "looking at Redis", self._look_at_store))
            group.create_task(_every(_PUBLISH_EVERY_S, "publishing", self._publish))
            group.create_task(_every(_REFRESH_EVERY_S, "refreshing", self._refresh))
            group.create_task(_every(_METRICS_EVERY_S, "leaving metrics", self._leave_metrics))
            if self._settings.alerts_heartbeat_url.get_secret_value():
                group.create_task(_every(self._settings.alerts_heartbeat_s, "giving a sign of life", self._beat))
            for name in self._receivers:
                group.create_task(_every(_SEND_EVERY_S, f"sending to {name}", partial(self._dispatcher.dispatch, name)))
                group.create_task(_every(_SEND_EVERY_S, f"alarming {name}", partial(self._send_alarm, name)))

    async def _look_at_store(self) -> None:
        try:
            await self._store_look.look(blocked_s=time.monotonic() - self._told_s)
        except SalepulseError as error:
            if not error.retriable:
                self._end(str(error))
            raise
        after_s, well_s = self._settings.stuck_after_s, self._store_look.well_s
        since_s = max(self.beat_s, well_s or 0)
        if after_s and well_s is not None and time.monotonic() - since_s > after_s:
            self._end(f"no evaluation was completed for {after_s:g} s, though Redis answers and takes writes")

    async def _send_alarm(self, receiver: str) -> None:
        if receiver in self._alarm.outbox.receivers():
            await self._alarm_dispatcher.dispatch(receiver)

    async def _evaluate(self) -> None:
        if not self._store_look.checked:
            return
        await self._reference.measure()
        done = await self.engine.round()
        match done:
            case Round.EVALUATED:
                await leave_evaluated(self._redis, self._keys, self._clock())
            case Round.NO_AS_OF:
                await leave_awaiting_events(self._redis, self._keys, self._clock())
        self.beat_s = time.monotonic()
        if done in (Round.EVALUATED, Round.STANDBY):
            self._told_s = self.beat_s

    async def _publish(self) -> None:
        if self.engine.leading:
            await self._publisher.publish()

    async def _refresh(self) -> None:
        if self.engine.leading:
            await self._refresher.refresh(await self._said.alerts(), self._clock())

    async def _beat(self) -> None:
        beat = await self._heartbeat.beat(self.engine.last, self._clock(), leading=self.engine.leading)
        self.metrics.heartbeats.labels(beat).inc()
        if beat is Beat.FAILED:
            raise SalepulseError(self._heartbeat.failure)
        if beat not in (Beat.SENT, Beat.STANDBY):
            log.warning("no sign of life is given", why=beat.value)

    async def _leave_metrics(self) -> None:
        self.metrics.clock_offset.set(self._reference.offset_ms / 1000)
        text = b"%d\n" % self._reference.now_ms() + generate_latest(self.metrics.registry)
        await self._redis.hset(self._keys.workers, self.name, text)


async def _every(interval_s: float, what: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do it again and again. A failure is told once, and tried again with growing pauses until it passes."""
    failures, told = 0, ""
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:  # a loop that ended would never be noticed
            why = f"{type(error).__name__}: {error}"
            if why != told:
                foreseen = isinstance(error, (SalepulseError, RedisError, *UNREACHABLE))
                (log.warning if foreseen else log.exception)(f"{what} failed; trying again", error=why)
            failures, told = failures + 1, why
        else:
            if failures:
                log.info(f"{what} goes on")
            failures, told = 0, ""
        pause = interval_s if not failures else min(interval_s * 2 ** min(failures, 10), _LONGEST_PAUSE_S)
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))
