"""Prometheus Alertmanager: API v2, spoken to as Prometheus does.

A notice is posted when it comes to be, as to any other receiver. Beside that everything that fires is posted again at
intervals, each time with an end a few intervals ahead, and what is over for five minutes: an Alertmanager that was
restarted learns of it, and one that hears nothing more calls it resolved by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from alerts.findings import SEVERITY_ORDER, Severity
from alerts.notify.channel import JSON, ReceiverConfig, json_bytes
from alerts.notify.http import HttpResponse, Request, check_response
from alerts.notify.message import NotificationMessage
from alerts.notify.message_text import ShopInfo, chart_url, runbook_url
from alerts.notify.outcome import Failed
from alerts.notify.secret import Secret, SecretUrl, host_of
from alerts.state.alert import Alert, Status
from alerts.state.notification import NoticeKind
from consumers.times import format_utc_ms

RESEND_RESOLVED_FOR_MS = 5 * 60_000
"""How long it is told again that something is over."""
_ENDS_AFTER = 4
"""In how many intervals something is over unless it is said again, as with Prometheus."""


class AlertmanagerConfig(ReceiverConfig):
    """An Alertmanager; give each of a cluster a receiver of its own, and name all of them in a route."""

    RATE: ClassVar[int] = 6000

    type: Literal["alertmanager"]
    url: SecretUrl
    """Where it answers, without `/api/v2/alerts`."""
    token: Secret | None = None
    """Bearer token, if something in front of it wants one."""
    resend_s: float = Field(60, ge=1, le=600)
    """How often what fires is told again."""


class Alertmanager:
    """Speaks to one Alertmanager."""

    def __init__(self, config: AlertmanagerConfig) -> None:
        self._config = config

    @property
    def resend_ms(self) -> int:
        """How often `resend_request` is to be asked."""
        return round(self._config.resend_s * 1000)

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """All notices in one post. Labels are an alert's identity there: what got worse ends under its former severity,
        what goes on under another name ends under the former one."""
        posted = []
        for notice in message.notices:
            alert = notice.alert
            if notice.kind is NoticeKind.WORSE:
                milder = [one for one in Severity if SEVERITY_ORDER[one] > SEVERITY_ORDER[alert.severity]]
                posted += [self._alert(alert, message.shop, message.now_ms, one, over=True) for one in milder]
            if alert.continues is not None and notice.kind is not NoticeKind.RESOLVED:
                former = replace(alert, series=alert.continues)
                posted += [self._alert(former, message.shop, message.now_ms, one, over=True) for one in Severity]
            over = notice.kind is NoticeKind.RESOLVED
            posted.append(self._alert(alert, message.shop, message.now_ms, alert.severity, over=over))
        yield self._request(posted)

    def resend_request(self, alerts: Iterable[Alert], shop: ShopInfo, now_ms: int) -> Request | None:
        """Everything it should know of that was told to it; None where that is nothing."""
        posted = [
            self._alert(alert, shop, now_ms, alert.severity, over=alert.status is Status.RESOLVED)
            for alert in alerts
            if self._concerns(alert, now_ms)
        ]
        return self._request(posted) if posted else None

    def check_response(self, answer: HttpResponse) -> Failed | None:
        """Alertmanager says it in the status."""
        return check_response(answer, host_of(self._config.url))

    def _concerns(self, alert: Alert, now_ms: int) -> bool:
        if alert.status is Status.FIRING:
            return any(notified.receiver == self._config.name for notified in alert.notified)
        over_ms = alert.resolved_ms
        return alert.status is Status.RESOLVED and over_ms is not None and now_ms - over_ms < RESEND_RESOLVED_FOR_MS

    def _alert(self, alert: Alert, shop: ShopInfo, now_ms: int, severity: Severity, *, over: bool) -> dict[str, Any]:
        finding = alert.finding
        ends_ms = (alert.resolved_ms or now_ms) if over else now_ms + _ENDS_AFTER * self.resend_ms
        annotations = {
            "title": finding.title,
            "summary": finding.summary,
            "runbook_url": runbook_url(finding, shop) or "",
            "money_per_minute": "" if finding.money_per_minute is None else str(finding.money_per_minute),
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
        token = self._config.token
        proof = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        url = f"{self._config.url.get_secret_value().rstrip('/')}/api/v2/alerts"
        return Request(url, json_bytes(posted), {**JSON, **proof})
