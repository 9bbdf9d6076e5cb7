"""The metrics of one alerts process."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerts.findings import Severity
from alerts.notify.grouping import GroupingReason
from alerts.notify.heartbeat import HeartbeatOutcome
from alerts.notify.outcome import DeliveryFailure
from alerts.rule_states import RuleCondition
from alerts.state.alert import Status
from alerts.state.notification_log import NotificationStatus

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
DELIVERED = "delivered"
GIVEN_UP = "given_up"
SHOWN = (Status.PENDING, Status.FIRING, Status.RESOLVED)
"""Statuses of stored alerts."""
OUTCOMES = (DELIVERED, *DeliveryFailure, GIVEN_UP)
"""Outcomes of delivery attempts, and of notices given up."""


class AlertMetrics:
    """The metrics on their own registry. Every label has a closed set of values, all present from the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"salepulse_{name}", text, labels, registry=self.registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"salepulse_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"salepulse_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

        self.leading = gauge("alerts_leading", "1 in the process that evaluates the rules, else 0.")
        self.as_of = gauge("alerts_as_of_seconds", "Event time of the last evaluation, reported by the leader.")
        self.clock_offset = gauge("alerts_clock_offset_seconds", "Clock of this machine minus clock of Redis.")
        self.alerts = gauge("alerts", "Stored alerts.", ("state", "severity"))
        self.by_notification_status = gauge(
            "alerts_by_notification_status", "Alerts by notification status.", ("reason",)
        )
        self.rules = gauge("alert_rules", "Rules by condition, reported by the leader.", ("state",))
        self.evaluation_seconds = histogram(
            "alerts_evaluation_seconds", "Duration of an evaluation, including its write."
        )
        self.evaluation_failures = counter("alerts_evaluation_failures", "Failed evaluations, which are retried.")
        self.rejected_evaluations = counter(
            "alerts_refused_writes", "Evaluations that Redis rejected because another process leads."
        )
        self.published = counter("alerts_published_changes", "Changes written to the topic alerts.")
        self.attempts = counter("notification_attempts", "Delivery attempts by outcome.", ("receiver", "outcome"))
        self.notices = counter("notifications", "Notices by reason for grouping or delay.", ("reason",))
        self.send_seconds = histogram("notification_seconds", "Duration of a delivery attempt.", ("receiver",))
        self.delay_seconds = histogram(
            "notification_delay_seconds", "Time from creation of a notice to its delivery.", ("receiver",)
        )
        self.waiting = gauge("notifications_waiting", "Undelivered notices by receiver.", ("receiver",))
        self.heartbeats = counter("alerts_heartbeats", "Heartbeats by outcome.", ("outcome",))
        for outcome in HeartbeatOutcome:
            self.heartbeats.labels(outcome)
        for _, child in (*self.alert_gauges(), *self.reason_gauges(), *self.rule_gauges()):
            child.set(0)
        for reason in GroupingReason:
            self.notices.labels(reason)

    def alert_gauges(self) -> Iterator[tuple[tuple[str, str], Gauge]]:
        """The gauges of alerts by state and severity."""
        for status in SHOWN:
            for severity in Severity:
                yield (status.value, severity.value), self.alerts.labels(status, severity)

    def reason_gauges(self) -> Iterator[tuple[NotificationStatus, Gauge]]:
        """The gauges of alerts by notification status."""
        for reason in NotificationStatus:
            yield reason, self.by_notification_status.labels(reason)

    def rule_gauges(self) -> Iterator[tuple[RuleCondition, Gauge]]:
        """The gauges of rules by condition."""
        for condition in RuleCondition:
            yield condition, self.rules.labels(condition)

    def add_receiver(self, receiver: str) -> None:
        """Create the time series of a receiver at zero."""
        for outcome in OUTCOMES:
            self.attempts.labels(receiver, outcome)
        self.waiting.labels(receiver)
