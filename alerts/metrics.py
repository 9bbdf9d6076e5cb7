"""The metrics of one alerts process. It leaves them in Redis, where `salepulse serve` finds them, as workers do."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerts.findings import Severity
from alerts.notify.grouping import GroupingReason
from alerts.notify.heartbeat import HeartbeatOutcome
from alerts.notify.outcome import DeliveryFailure
from alerts.state.alert import Status
from alerts.state.notification_status import NotificationStatus

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
DELIVERED = "delivered"
GIVEN_UP = "given_up"
SHOWN = (Status.PENDING, Status.FIRING, Status.RESOLVED)
OUTCOMES = (DELIVERED, *DeliveryFailure, GIVEN_UP)


class AlertMetrics:
    """On a registry of its own. Every label is of a closed set, and there from the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"salepulse_{name}", text, labels, registry=self.registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"salepulse_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"salepulse_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

        self.leading = gauge("alerts_leading", "1 in the process that evaluates the rules, else 0.")
        self.as_of = gauge("alerts_as_of_seconds", "Event time of the last evaluation, as its leader says.")
        self.clock_offset = gauge(
            "alerts_clock_offset_seconds", "How far this machine's clock is ahead of Redis's; behind: negative."
        )
        self.alerts = gauge("alerts", "Alerts that are kept.", ("state", "severity"))
        self.by_notification_status = gauge(
            "alerts_by_notification_status", "Alerts by why people are told of them or not.", ("reason",)
        )
        self.evaluation_seconds = histogram("alerts_evaluation_seconds", "Time of an evaluation with its write.")
        self.evaluation_failures = counter("alerts_evaluation_failures", "Evaluations that failed and are repeated.")
        self.rejected_evaluations = counter(
            "alerts_refused_writes", "Evaluations that Redis refused, since another one leads."
        )
        self.published = counter("alerts_published_changes", "Changes written to the topic alerts.")
        self.attempts = counter(
            "notification_attempts", "Attempts to send, by what became of them.", ("receiver", "outcome")
        )
        self.notices = counter(
            "notifications", "Notices by why they stood in one message, or had to wait.", ("reason",)
        )
        self.send_seconds = histogram("notification_seconds", "Time of an attempt to send.", ("receiver",))
        self.delay_seconds = histogram(
            "notification_delay_seconds", "Time from a notice's being owed to its arrival.", ("receiver",)
        )
        self.waiting = gauge("notifications_waiting", "Notices on their way, by receiver.", ("receiver",))
        self.heartbeats = counter("alerts_heartbeats", "Signs of life, by what became of them.", ("outcome",))
        for beat in HeartbeatOutcome:
            self.heartbeats.labels(beat)
        for _, shown in (*self.alert_gauges(), *self.reason_gauges()):
            shown.set(0)
        for why in GroupingReason:
            self.notices.labels(why)

    def alert_gauges(self) -> Iterator[tuple[tuple[str, str], Gauge]]:
        """The gauges of alerts by state and severity."""
        for status in SHOWN:
            for severity in Severity:
                yield (status.value, severity.value), self.alerts.labels(status, severity)

    def reason_gauges(self) -> Iterator[tuple[NotificationStatus, Gauge]]:
        """The gauges of alerts by why people are told."""
        for reason in NotificationStatus:
            yield reason, self.by_notification_status.labels(reason)

    def add_receiver(self, receiver: str) -> None:
        """Show a receiver before anything was sent to it."""
        for outcome in OUTCOMES:
            self.attempts.labels(receiver, outcome)
        self.waiting.labels(receiver)
