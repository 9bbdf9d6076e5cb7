"""The evaluation loop of one process: acquire the lease, evaluate, and write the result in one call.

After a rejected write, or one without a response, the states are read again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Protocol

import structlog

from alerts.findings import Evaluation, Series
from alerts.metrics import AlertMetrics
from alerts.notify.heartbeat import WrittenEvaluation
from alerts.redis_alerts import InMemoryRedisAlerts
from alerts.rule_states import NO_RULE_STATES, next_states
from alerts.rules.rule import Rules
from alerts.state.notification import NotificationContext
from alerts.state.policy import Routing, Timing
from alerts.state.update import AlertStateUpdate, update_alerts, watched, without_waiting_notices
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.states import LeaderLease, StateStore, StoredAlerts, WriteResult

log = structlog.get_logger()

MEMORY_WRITE_INTERVAL_S = 10.0
"""Interval between writes of the evaluation memory."""
RULES_WRITE_INTERVAL_S = 5.0
"""Interval between writes of the states of the rules while their conditions stay."""
TAKE_EXPIRED_LEASE_AFTER_MS = 3000
"""How long an expired lease stays reserved for its last holder, which may hold alerts about Redis in memory."""


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """One evaluation and the running promotions."""

    evaluation: Evaluation
    running: frozenset[str]
    """Ids of the promotions running at its as-of."""


class Evaluator(Protocol):
    """Evaluates the rules and keeps their memory."""

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> EvaluationRun | None:
        """Evaluate all rules at the newest as-of; None: there is no as-of yet. Each `watched` series gets a finding.

        Redis errors are raised.
        """

    def restore(self, kept: bytes | None) -> None:
        """Restore the memory that an earlier leader serialized; None: start with an empty one."""

    def serialized_memory(self) -> bytes | None:
        """Serialize the memory for the next leader; None: there is none."""

    def rules(self) -> Rules:
        """The current rules."""

    def timing(self, rule: str) -> Timing:
        """Timing of a rule's alerts; alerts of a removed rule resolve at once."""

    def set_store_uptime(self, store_healthy_for_s: Callable[[], float]) -> None:
        """Set the function that reports for how long Redis has been healthy; heartbeats of workers before that are
        missing."""

    async def stop(self) -> None:
        """Release resources."""


class EvaluationOutcome(StrEnum):
    """Outcome of one round."""

    EVALUATED = "evaluated"
    STANDBY = "standby"
    """Another process leads."""
    NO_AS_OF = "no_as_of"
    """There is no as-of yet."""
    REFUSED = "refused"
    """Another process has become the leader, or the states have changed."""


class Engine:
    """Evaluates for one process while it leads."""

    def __init__(
        self,
        owner: str,
        store: StateStore,
        acks_and_silences: AcksAndSilences,
        evaluator: Evaluator,
        routing: Callable[[], Routing],
        metrics: AlertMetrics,
        *,
        clock: Callable[[], int],
        alarm: InMemoryRedisAlerts | None = None,
    ) -> None:
        """`alarm` holds the alerts about Redis that could not be stored there."""
        self._owner = owner
        self._store = store
        self._acks_and_silences = acks_and_silences
        self._evaluator = evaluator
        self._routing = routing
        self._metrics = metrics
        self._clock = clock
        self._alarm = alarm
        self._lead: LeaderLease | None = None
        self._led_s = 0.0
        """When the current lease was requested."""
        self._loaded: StoredAlerts | None = None
        self._expired_since_s: float | None = None
        self._other_leads = False
        self._failed_withdrawals = 0
        """Number of successive rejected evaluations that withdraw notices."""
        self._begun = False
        self._memory_saved_at = time.monotonic()
        self._rules = NO_RULE_STATES
        self._rules_saved_at = -inf
        self.last: WrittenEvaluation | None = None
        """The last evaluation of this process."""

    @property
    def leading(self) -> bool:
        """Whether this process holds an unexpired lease."""
        return self._lead is not None and time.monotonic() - self._led_s < self._store.lease_ms / 1000

    @property
    def led_last(self) -> bool:
        """Whether this process led when it last read the lease."""
        return self._lead is not None

    @property
    def led_by_another(self) -> bool:
        """Whether another process led when this one last read the lease."""
        return self._lead is None and self._other_leads

    async def round(self) -> EvaluationOutcome:
        """Evaluate once if this process leads. Redis errors are raised; call again."""
        lead = await self._leads()
        if lead is None:
            return EvaluationOutcome.STANDBY
        began = time.monotonic()
        try:
            loaded = self._loaded or await self._store.load()
            if not self._begun:
                self._evaluator.restore(loaded.memory)
                self._rules = loaded.rules
                self._begun = True
            self._loaded = None  # only a successful write keeps the states valid
            if self._alarm is not None:
                self._alarm.handing_over = True
            return await self._evaluate(lead, loaded)
        except Exception:
            self._metrics.evaluation_failures.inc()
            raise
        finally:
            if self._alarm is not None:
                self._alarm.handing_over = False
            self._metrics.evaluation_seconds.observe(time.monotonic() - began)

    async def stop(self) -> None:
        """Release the lease."""
        self._lead = self._loaded = None
        await self._store.release_lead(self._owner)

    async def _leads(self) -> LeaderLease | None:
        before, asked_s = self._lead, time.monotonic()
        try:
            lead = await self._store.lead(self._owner) if await self._may_lead() else None
        except Exception:
            if not self.leading:  # the lease was not renewed in time: another process may lead
                self._metrics.leading.set(0)
            raise
        self._led_s = asked_s
        self._lead = lead if isinstance(lead, LeaderLease) else None
        self._other_leads = self._lead is None
        self._metrics.leading.set(1 if self._lead else 0)
        if self._lead != before:
            self._loaded, self._begun = None, False
            log.info("leading" if self._lead else "standing by", epoch=self._lead.epoch if self._lead else None)
        return self._lead

    async def _may_lead(self) -> bool:
        """Whether to ask for the lease: not while it has expired and is reserved for its last holder."""
        holder = await self._store.holder()
        if holder is not None:
            self._expired_since_s = None
            self._other_leads = holder not in ("", self._owner)
            return True  # also while another process leads: an error shows that this one could not take over
        now_s = time.monotonic()
        self._expired_since_s = now_s if self._expired_since_s is None else self._expired_since_s
        return not self.led_by_another or (now_s - self._expired_since_s) * 1000 >= TAKE_EXPIRED_LEASE_AFTER_MS

    async def _evaluate(self, lead: LeaderLease, loaded: StoredAlerts) -> EvaluationOutcome:
        now_ms = self._clock()
        handover = {} if self._alarm is None else self._alarm.pending_handover(loaded.alerts)
        alerts = loaded.alerts | handover
        if self._failed_withdrawals > 1:  # the notices are not in the outbox any more
            alerts = without_waiting_notices(alerts)
        run = await self._evaluator.evaluate(watched(alerts), now_ms)
        if run is None:
            return EvaluationOutcome.NO_AS_OF
        context = NotificationContext(self._routing(), await self._acks_and_silences.silences(now_ms), run.running)
        update = update_alerts(
            alerts,
            run.evaluation,
            timing=self._evaluator.timing,
            acks=await self._acks_and_silences.acks(),
            context=context,
            now_ms=now_ms,
        )
        if self._alarm is not None:
            update = self._alarm.merge_handover(update, handover)
        if update.updated_alerts or update.removed_fingerprints:
            result = WriteResult.MOVED
            if not update.is_too_late(self._clock()):
                result = await self._store.write(lead, loaded.version, update)
            if result is not WriteResult.OK:
                self._metrics.rejected_evaluations.inc()
                self._failed_withdrawals += bool(update.withdrawn)
                log.warning("evaluation write rejected", reason=result.value)
                return EvaluationOutcome.REFUSED
            self._failed_withdrawals = 0
            loaded = StoredAlerts(update.apply_to(alerts), loaded.version + 1)
            if self._alarm is not None and handover:
                self._alarm.confirm_handover()
        self._loaded = loaded
        if self._alarm is not None:  # so that the end of an incident is not mistaken for the start of the next
            self._alarm.know(loaded.alerts.values())
        self.last = WrittenEvaluation(now_ms, run.evaluation.as_of_ms)
        self._count(loaded, update, run.evaluation.as_of_ms)
        await self._save_rules(lead, run.evaluation)
        await self._keep(lead)
        return EvaluationOutcome.EVALUATED

    async def _save_rules(self, lead: LeaderLease, evaluation: Evaluation) -> None:
        """Store the states of the rules, at once if a condition has changed."""
        before, self._rules = self._rules, next_states(self._rules, evaluation.rules, evaluation.as_of_ms)
        conditions = self._rules.conditions()
        counts = Counter(conditions.values())
        for condition, gauge in self._metrics.rule_gauges():
            gauge.set(counts[condition])
        now_s = time.monotonic()
        if conditions == before.conditions() and now_s - self._rules_saved_at < RULES_WRITE_INTERVAL_S:
            return
        self._rules_saved_at = now_s
        await self._store.save_rules(lead, self._rules)

    async def _keep(self, lead: LeaderLease) -> None:
        """Store the memory at intervals; the next leader rebuilds newer state from panes."""
        if time.monotonic() - self._memory_saved_at < MEMORY_WRITE_INTERVAL_S:
            return
        self._memory_saved_at = time.monotonic()
        memory = self._evaluator.serialized_memory()
        if memory is not None:
            await self._store.save_memory(lead, memory)

    def _count(self, loaded: StoredAlerts, update: AlertStateUpdate, as_of_ms: int) -> None:
        metrics = self._metrics
        metrics.as_of.set(as_of_ms / 1000)
        counts: dict[tuple[str, str], int] = {}
        for alert in loaded.alerts.values():
            labels = (alert.status.value, alert.severity.value)
            counts[labels] = counts.get(labels, 0) + 1
        for labels, gauge in metrics.alert_gauges():
            gauge.set(counts.get(labels, 0))
        for reason, gauge in metrics.reason_gauges():
            gauge.set(update.status_counts.get(reason, 0))
        for change in update.changes:
            log.info(
                "alert changed",
                kind=change.kind.value,
                alert=str(change.alert.series),
                fingerprint=change.alert.fingerprint,
                severity=change.alert.severity.value,
                notification_status=change.alert.log.status.value,
            )
