"""Prometheus Alertmanager, API v2.

Notices are posted as to any receiver. Like Prometheus, salepulse also resends firing alerts at intervals, with `endsAt`
four intervals ahead, and resolved ones for five minutes. So a restarted Alertmanager receives them, and resolves those
that are no longer sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from alerts.findings import SEVERITY_ORDER, Severity
from alerts.notify.http import Request
from alerts.notify.message import NotificationMessage
from alerts.notify.message_text import alert_facts
from alerts.notify.receiver import JSON, HttpReceiver, json_bytes
from alerts.notify.secret import Secret, SecretUrl
from alerts.shop import ShopInfo, chart_url, runbook_url
from alerts.state.alert import AlertState, Status
from alerts.state.notices import NoticeKind
from alerts.wording.sentences import sentence
from consumers.times import format_utc_ms

RESEND_RESOLVED_FOR_MS = 5 * 60_000
"""How long a resolved alert is resent."""
_ENDS_AFTER = 4
"""Number of intervals after which Alertmanager resolves an alert that is not resent, as with Prometheus."""


class Alertmanager(HttpReceiver):
    """One Alertmanager. For a cluster, define a receiver for each member and name all of them in the route."""

    RATE: ClassVar[int] = 6000

    type: Literal["alertmanager"]
    url: SecretUrl
    """Base URL, without `/api/v2/alerts`."""
    token: Secret | None = None
    """Bearer token, if a proxy requires one."""
    resend_s: float = Field(60, ge=1, le=600)
    """Interval in which firing alerts are resent."""

    @property
    def resend_ms(self) -> int:
        """Interval of `resend_request`."""
        return round(self.resend_s * 1000)

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Post all notices at once. Labels are the identity in Alertmanager, so a changed severity or a transferred
        page ends the alert under its former labels."""
        posted = []
        for notice in message.notices:
            alert = notice.alert
            if notice.kind is NoticeKind.WORSE:
                milder = [
                    severity for severity in Severity if SEVERITY_ORDER[severity] > SEVERITY_ORDER[alert.severity]
                ]
                posted += [self._alert(alert, message.shop, message.now_ms, severity, over=True) for severity in milder]
            if alert.log.continues is not None and notice.kind is not NoticeKind.RESOLVED:
                predecessor = replace(alert, series=alert.log.continues)
                posted += [
                    self._alert(predecessor, message.shop, message.now_ms, severity, over=True) for severity in Severity
                ]
            over = notice.kind is NoticeKind.RESOLVED
            posted.append(self._alert(alert, message.shop, message.now_ms, alert.severity, over=over))
        yield self._request(posted)

    def resend_request(self, alerts: Iterable[AlertState], shop: ShopInfo, now_ms: int) -> Request | None:
        """Build the request to resend all alerts of this receiver; None if there are none."""
        posted = [
            self._alert(alert, shop, now_ms, alert.severity, over=alert.status is Status.RESOLVED)
            for alert in alerts
            if self._concerns(alert, now_ms)
        ]
        return self._request(posted) if posted else None

    def _concerns(self, alert: AlertState, now_ms: int) -> bool:
        if alert.status is Status.FIRING:
            mine = next((notified for notified in alert.log.notified if notified.receiver == self.name), None)
            waiting = None if mine is None else mine.waiting_at(now_ms)
            return mine is not None and (waiting is None or not waiting.is_first)
        resolved_ms = alert.resolved_ms
        return (
            alert.status is Status.RESOLVED
            and resolved_ms is not None
            and now_ms - resolved_ms < RESEND_RESOLVED_FOR_MS
        )

    def _alert(
        self, alert: AlertState, shop: ShopInfo, now_ms: int, severity: Severity, *, over: bool
    ) -> dict[str, Any]:
        finding = alert.finding
        ends_ms = (alert.resolved_ms or now_ms) if over else now_ms + _ENDS_AFTER * self.resend_ms
        annotations = {
            "title": finding.title,
            "summary": sentence(finding, shop),
            "description": "\n".join(f"{fact.name}: {fact.text}" for fact in alert_facts(alert, shop, now_ms)),
            "runbook_url": runbook_url(finding, shop) or "",
            "fingerprint": alert.fingerprint,
        }
        return {
            "labels": dict(alert.series.labels)
            | {"alertname": alert.series.rule, "severity": severity.value, "alert_category": finding.category.value},
            "annotations": {name: text for name, text in annotations.items() if text},
            "startsAt": format_utc_ms(alert.fired_ms or alert.since_ms),
            "endsAt": format_utc_ms(ends_ms),
            "generatorURL": chart_url(alert, shop) or "",
        }

    def _request(self, posted: Sequence[dict[str, Any]]) -> Request:
        token = self.token
        authorization = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        url = f"{self.url.get_secret_value().rstrip('/')}/api/v2/alerts"
        return Request(url, json_bytes(posted), {**JSON, **authorization})
