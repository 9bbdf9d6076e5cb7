"""PagerDuty Events API v2 (developer.pagerduty.com, Send an alert event). A page is one incident."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import SecretStr

from alerts.notify.http import Request
from alerts.notify.markup import one_line, truncated
from alerts.notify.message import NotificationMessage
from alerts.notify.message_text import message_text
from alerts.notify.receiver import JSON, HttpReceiver, json_bytes
from alerts.notify.secret import Secret, SecretUrl
from alerts.shop import ShopInfo
from alerts.state.notices import Notice, NoticeKind
from alerts.wording.sentences import sentence
from alerts.wording.terms import describe_segment


class PagerDuty(HttpReceiver):
    """An integration of a PagerDuty service."""

    RATE: ClassVar[int] = 120

    type: Literal["pagerduty"]
    routing_key: Secret
    url: SecretUrl = SecretStr("https://events.pagerduty.com/v2/enqueue")

    def requests(self, message: NotificationMessage) -> Iterator[Request]:
        """Build one event per notice, in order of creation: a resolve before its trigger would be lost."""
        for notice in sorted(message.notices, key=lambda notice: notice.created_ms):
            yield Request(self.url.get_secret_value(), json_bytes(self._event(notice, message.shop)), JSON)

    def _event(self, notice: Notice, shop: ShopInfo) -> dict[str, object]:
        alert, content = notice.alert, message_text(notice, shop)
        event: dict[str, object] = {
            "routing_key": self.routing_key.get_secret_value(),
            "event_action": "resolve" if notice.kind is NoticeKind.RESOLVED else "trigger",
            "dedup_key": f"salepulse-{alert.page}",
        }
        if notice.kind is NoticeKind.RESOLVED:
            return event
        return event | {
            "payload": {
                "summary": truncated(one_line(sentence(alert.finding, shop)), 1024),
                "source": "salepulse",
                "severity": alert.severity.value,
                "timestamp": datetime.fromtimestamp((alert.fired_ms or notice.created_ms) / 1000, UTC).isoformat(),
                "component": describe_segment(alert.finding) or "salepulse",
                "group": alert.finding.incident or alert.fingerprint,
                "class": alert.series.rule,
                "custom_details": {line.name: line.text for line in content.lines},
            },
            "links": [{"text": name, "href": url} for name, url in content.links],
            "client": "salepulse",
            **({"client_url": shop.url} if shop.url else {}),
        }
