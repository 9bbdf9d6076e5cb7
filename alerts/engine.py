"""The evaluating process: leads if it may, evaluates, and writes what that comes to. All else follows from there.

One round: keep the lead; read the states if it was somebody else's before; evaluate; work out what that comes to; write
it in one call. A write that is refused, or whose answer is lost, is forgotten: the states are read again first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from alerts.findings import Evaluation, Series
from alerts.metrics import AlertMetrics
from alerts.notify.heartbeat import WrittenEvaluation
from alerts.redis_alerts import InMemoryRedisAlerts
from alerts.rules.rule import Rules
from alerts.state.notification import NotificationContext
from alerts.state.policy import Routing, Timing
from alerts.state.update import AlertStateUpdate, update_alerts, watched
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.states import LeaderLease, StateStore, StoredAlerts, WriteResult


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """One evaluation, and what went with it."""

    evaluation: Evaluation
    running: frozenset[str]
    """Ids of the promotions that run at its as-of."""


class Evaluator(Protocol):
    """Evaluates the rules; what it remembers between two evaluations is its own."""

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> EvaluationRun | None:
        """All rules at the newest as-of; None while there is none. `watched`: series that must be among the findings.

        Raises what a Redis that does not answer raises.
        """

    def restore(self, kept: bytes | None) -> None:
        """Begin to evaluate, from what a process before had remembered (None: nothing is kept)."""

    def serialized_memory(self) -> bytes | None:
        """What another process would need to go on from here; None: nothing."""

    def rules(self) -> Rules:
        """The rules in force, of which those about Redis are evaluated without it too."""

    def timing(self, rule: str) -> Timing:
        """When alerts of a rule fire and are over; of a rule that is no more, that they are over at once."""

    def set_store_uptime(self, store_healthy_for_s: Callable[[], float]) -> None:
        """Be told for how long Redis has been well: before that, nobody could leave a heartbeat there."""

    async def stop(self) -> None:
        """Nothing will be asked any more."""


log = structlog.get_logger()

MEMORY_WRITE_INTERVAL_S = 10.0
"""How often what the evaluation remembers is kept."""
TAKE_VACANT_LEASE_AFTER_MS = 3000
"""How long the lead must have been free before a process takes it that Kafka has not made leader."""


class EvaluationOutcome(StrEnum):
    """What became of one round."""

    EVALUATED = "evaluated"
    STANDBY = "standby"
    """Another process leads, or has the first claim to."""
    NO_AS_OF = "no_as_of"
    """There is nothing to evaluate yet."""
    REFUSED = "refused"
    """Another process has taken the lead meanwhile, or the states have changed."""


class Engine:
    """One process's part in evaluating."""

    def __init__(
        self,
        owner: str,
        store: StateStore,
        acks_and_silences: AcksAndSilences,
        evaluator: Evaluator,
        routing: Callable[[], Routing],
        metrics: AlertMetrics,
        *,
        is_preferred_leader: Callable[[], bool],
        clock: Callable[[], int],
        alarm: InMemoryRedisAlerts | None = None,
    ) -> None:
        """`alarm`: what fires while Redis cannot keep it, to be taken over from there."""
        self._owner = owner
        self._store = store
        self._acks_and_silences = acks_and_silences
        self._evaluator = evaluator
        self._routing = routing
        self._metrics = metrics
        self._is_preferred_leader = is_preferred_leader
        self._clock = clock
        self._alarm = alarm
        self._lead: LeaderLease | None = None
        self._led_s = 0.0
        """When the lease that is held was asked for."""
        self._loaded: StoredAlerts | None = None
        self._vacant_since: float | None = None
        self._begun = False
        self._memory_saved_at = time.monotonic()
        self.last: WrittenEvaluation | None = None
        """The last evaluation of this process."""

    @property
    def leading(self) -> bool:
        """Whether it leads: it took the lead, and the lease has not ended since."""
        return self._lead is not None and time.monotonic() - self._led_s < self._store.lease_ms / 1000

    @property
    def was_last_leader(self) -> bool:
        """Whether this process is the last that it knows to have led."""
        return self._lead is not None

    async def round(self) -> EvaluationOutcome:
        """Evaluate once, if it is ours to do. Raises what a Redis that does not answer raises; call again then."""
        lead = await self._leads()
        if lead is None:
            return EvaluationOutcome.STANDBY
        began = time.monotonic()
        try:
            loaded = self._loaded or await self._store.load()
            if not self._begun:
                self._evaluator.restore(loaded.memory)
                self._begun = True
            self._loaded = None  # whatever happens now but a write that got through, they are to be read again
            if self._alarm is not None:
                self._alarm.handing_over = True
            return await self._evaluate(lead, loaded)
        except BaseException:
            self._metrics.evaluation_failures.inc()
            raise
        finally:
            if self._alarm is not None:
                self._alarm.handing_over = False
            self._metrics.evaluation_seconds.observe(time.monotonic() - began)

    async def stop(self) -> None:
        """Let another process lead at once."""
        self._lead = self._loaded = None
        await self._store.release_lead(self._owner)

    async def _leads(self) -> LeaderLease | None:
        before, asked_s = self._lead, time.monotonic()
        try:
            lead = await self._store.lead(self._owner) if await self._may_lead() else None
        except BaseException:
            if not self.leading:  # the lease could not be renewed in time: another process may lead by now
                self._metrics.leading.set(0)
            raise
        self._led_s = asked_s
        self._lead = lead if isinstance(lead, LeaderLease) else None
        self._metrics.leading.set(1 if self._lead else 0)
        if self._lead != before:
            self._loaded, self._begun = None, False
            log.info("evaluating" if self._lead else "standing by", epoch=self._lead.epoch if self._lead else None)
        return self._lead

    async def _may_lead(self) -> bool:
        """Who leads goes on; the one that Kafka made leader takes what is free; others take what stays free."""
        holder = await self._store.holder()
        if holder is None:
            self._vacant_since = self._vacant_since or time.monotonic()
        else:
            self._vacant_since = None
        if self._is_preferred_leader() or holder == self._owner:
            return True
        return (
            self._vacant_since is not None
            and (time.monotonic() - self._vacant_since) * 1000 >= TAKE_VACANT_LEASE_AFTER_MS
        )

    async def _evaluate(self, lead: LeaderLease, loaded: StoredAlerts) -> EvaluationOutcome:
        now_ms = self._clock()
        handed = {} if self._alarm is None else self._alarm.pending_handover(loaded.alerts)
        alerts = loaded.alerts | handed
        evaluated = await self._evaluator.evaluate(watched(alerts), now_ms)
        if evaluated is None:
            return EvaluationOutcome.NO_AS_OF
        context = NotificationContext(
            self._routing(), await self._acks_and_silences.silences(now_ms), evaluated.running
        )
        done = update_alerts(
            alerts,
            evaluated.evaluation,
            timing=self._evaluator.timing,
            acks=await self._acks_and_silences.acks(),
            context=context,
            now_ms=now_ms,
        )
        if self._alarm is not None:
            done = self._alarm.merge_handover(done, handed)
        if done.updated_alerts or done.removed_fingerprints:
            written = await self._store.write(lead, loaded.version, done)
            if written is not WriteResult.OK:
                self._metrics.rejected_evaluations.inc()
                log.warning("what was evaluated was refused", why=written.value)
                return EvaluationOutcome.REFUSED
            loaded = StoredAlerts(done.apply_to(alerts), loaded.version + 1)
            if self._alarm is not None and handed:
                self._alarm.confirm_handover()
        self._loaded = loaded
        if self._alarm is not None:  # what is over must not be taken for what begins a moment later
            self._alarm.know(loaded.alerts.values())
        self.last = WrittenEvaluation(now_ms, evaluated.evaluation.as_of_ms)
        self._count(loaded, done, evaluated.evaluation.as_of_ms)
        await self._keep(lead)
        return EvaluationOutcome.EVALUATED

    async def _keep(self, lead: LeaderLease) -> None:
        """At times: what is remembered since is worked out again from panes by who comes after."""
        if time.monotonic() - self._memory_saved_at < MEMORY_WRITE_INTERVAL_S:
            return
        self._memory_saved_at = time.monotonic()
        memory = self._evaluator.serialized_memory()
        if memory is not None:
            await self._store.save_memory(lead, memory)

    def _count(self, loaded: StoredAlerts, done: AlertStateUpdate, as_of_ms: int) -> None:
        metrics = self._metrics
        metrics.as_of.set(as_of_ms / 1000)
        counted: dict[tuple[str, str], int] = {}
        for alert in loaded.alerts.values():
            labels = (alert.status.value, alert.severity.value)
            counted[labels] = counted.get(labels, 0) + 1
        for labels, gauge in metrics.alert_gauges():
            gauge.set(counted.get(labels, 0))
        for reason, gauge in metrics.reason_gauges():
            gauge.set(done.status_counts.get(reason, 0))
        for change in done.changes:
            log.info(
                "alert changed",
                kind=change.kind.value,
                alert=str(change.alert.series),
                fingerprint=change.alert.fingerprint,
                severity=change.alert.severity.value,
                told=change.alert.reason.value,
            )
