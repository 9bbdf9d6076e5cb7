"""Alerts about Redis, kept in memory while Redis cannot store them.

Once Redis is back, the leader stores the firing alerts and continues them there. If none does within
`HANDOVER_TIMEOUT_MS`, they end here. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from alerts.detection.inputs import DetectionInputs, HealthReading, empty_panes
from alerts.evaluate import evaluate
from alerts.memory import EvaluationMemory
from alerts.rules.detect import HealthCheck, HealthCheckDetector
from alerts.rules.rule import Rules
from alerts.state.alert import AlertChange, AlertState, Status
from alerts.state.notification import NotificationContext
from alerts.state.policy import Routing, Timing
from alerts.state.silences import Silence
from alerts.state.update import AlertStateUpdate, update_alerts, watched
from alerts.store.outbox import MemoryOutbox

REDIS_HEALTH_CHECKS = frozenset({HealthCheck.STORE_DOWN, HealthCheck.STORE_REFUSES})
HANDOVER_TIMEOUT_MS = 10_000
"""How long firing alerts wait for the leader once Redis is back."""


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """State of Redis as this process sees it."""

    down: bool = False
    """Redis does not respond."""
    refuses: bool = False
    """Redis responds and refuses writes."""

    @property
    def is_healthy(self) -> bool:
        """Whether Redis can store alert states."""
        return not (self.down or self.refuses)


class InMemoryRedisAlerts:
    """The alerts of the rules about Redis, for one process."""

    def __init__(
        self, rules: Callable[[], Rules], timing: Callable[[str], Timing], routing: Callable[[], Routing]
    ) -> None:
        self.outbox = MemoryOutbox()
        self.handing_over = False
        """Whether the leader is storing the alerts in Redis right now."""
        self._rules = rules
        self._timing = timing
        self._routing = routing
        self._memory = EvaluationMemory()
        self._alerts: dict[str, AlertState] = {}
        self._changes: list[AlertChange] = []
        self._known: dict[str, AlertState] = {}
        self._silences: tuple[Silence, ...] = ()
        self._healthy_since_ms: int | None = None

    @property
    def rule_names(self) -> frozenset[str]:
        """Names of the rules about Redis."""
        return frozenset(rule.name for rule in self._store_rules().rules)

    def update_known(self, alerts: Iterable[AlertState], silences: Iterable[Silence]) -> None:
        """Remember the stored alerts of these rules, and the silences."""
        self.know(alerts)
        self._silences = tuple(silences)

    def know(self, alerts: Iterable[AlertState]) -> None:
        """Remember the stored alerts of these rules."""
        names = self.rule_names
        self._known = {alert.fingerprint: alert for alert in alerts if alert.series.rule in names}

    @property
    def knows_firing(self) -> bool:
        """Whether one of the remembered stored alerts fires."""
        return any(alert.status is Status.FIRING for alert in self._known.values())

    def observe(self, health: RedisHealth, *, may_page: bool, now_ms: int) -> tuple[AlertChange, ...]:
        """Evaluate the state of Redis; return the changes. Notices are in the outbox. Without `may_page`, another
        process pages."""
        if self.handing_over:
            return ()
        if not health.is_healthy:
            self._healthy_since_ms = None
            if not may_page and not self.firing():
                self._forget()
                return ()
            if not self._alerts:
                self._alerts = dict(self._known)
            return self._evaluate(health, now_ms)
        if not self.firing():
            self._forget()
            return ()
        self._healthy_since_ms = now_ms if self._healthy_since_ms is None else self._healthy_since_ms
        if now_ms - self._healthy_since_ms < HANDOVER_TIMEOUT_MS:
            return ()
        return self._evaluate(health, now_ms)

    def firing(self) -> dict[str, AlertState]:
        """Alerts that fire here and are not stored in Redis, by fingerprint."""
        return {
            name: alert
            for name, alert in self._alerts.items()
            if alert.status is Status.FIRING and not _same_incident(alert, self._known.get(name))
        }

    # Handing over -----------------------------------------------------------------------------------------------------

    def pending_handover(self, kept: dict[str, AlertState]) -> dict[str, AlertState]:
        """The alerts for the leader to store; none while their notices are undelivered."""
        if self.outbox.receivers():
            return {}
        handover = {name: alert for name, alert in self.firing().items() if not _same_incident(alert, kept.get(name))}
        if self._alerts and not handover:  # stored before, though the response was lost
            self._forget()
        return handover

    def merge_handover(self, done: AlertStateUpdate, handed: dict[str, AlertState]) -> AlertStateUpdate:
        """Add the changes and alerts to an evaluation's update."""
        if not handed:
            return done
        updated_names = {alert.fingerprint for alert in done.updated_alerts} | set(done.removed_fingerprints)
        unchanged = tuple(alert for name, alert in handed.items() if name not in updated_names)
        return replace(done, updated_alerts=(*done.updated_alerts, *unchanged), changes=(*self._changes, *done.changes))

    def confirm_handover(self) -> None:
        """Discard the alerts, which the leader has stored."""
        self._forget()

    def _forget(self) -> None:
        self._memory, self._alerts, self._changes, self._healthy_since_ms = EvaluationMemory(), {}, [], None

    # Evaluating -------------------------------------------------------------------------------------------------------

    def _store_rules(self) -> Rules:
        rules = self._rules()
        store_rules = (
            rule
            for rule in rules.rules
            if isinstance(rule.detect, HealthCheckDetector) and rule.detect.check in REDIS_HEALTH_CHECKS
        )
        return rules.model_copy(update={"rules": tuple(store_rules)})

    def _evaluate(self, health: RedisHealth, now_ms: int) -> tuple[AlertChange, ...]:
        readings = (
            HealthReading(HealthCheck.STORE_DOWN, float(health.down)),
            HealthReading(HealthCheck.STORE_REFUSES, float(health.refuses)),
        )
        inputs = DetectionInputs(now_ms, empty_panes(now_ms // 1000), health_readings=readings)
        evaluation, self._memory = evaluate(self._store_rules(), inputs, self._memory, watched(self._alerts))
        update = update_alerts(
            self._alerts,
            evaluation,
            timing=self._timing,
            acks={},  # acknowledging needs Redis
            context=NotificationContext(self._routing(), self._silences),
            now_ms=now_ms,
        )
        self._alerts = update.apply_to(self._alerts)
        self._changes += update.changes
        self.outbox.withdraw(update.withdrawn)
        self.outbox.put(update.notices)
        return update.changes


def _same_incident(alert: AlertState, kept: AlertState | None) -> bool:
    return kept is not None and kept.fired_ms == alert.fired_ms
