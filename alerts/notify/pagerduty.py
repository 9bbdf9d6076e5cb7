"""PagerDuty Events API v2 (developer.pagerduty.com, Send an alert event). A page, or a digest, is one incident."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import SecretStr

from alerts.notify.http import Request
from alerts.notify.markup import one_line, truncated
from alerts.notify.message import NotificationMessage, brief_line, by_digest
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
        """Build one event per notice, in order of creation: a resolve before its trigger would be lost.

        Notices of a digest are one event with a list, and the last end of its alerts resolves it.
        """
        for notices in by_digest(message.notices):
            is_over = all(notice.kind is NoticeKind.RESOLVED for notice in notices)
            if is_over and any(notice.is_digest_open for notice in notices):
                continue
            event = self._event(notices, message.shop)
            yield Request(self.url.get_secret_value(), json_bytes(event), JSON)

    def _event(self, notices: Sequence[Notice], shop: ShopInfo) -> dict[str, object]:
        notice = next((one for one in notices if one.kind is not NoticeKind.RESOLVED), notices[0])
        alert, content = notice.alert, message_text(notice, shop)
        event: dict[str, object] = {
            "routing_key": self.routing_key.get_secret_value(),
            "event_action": "resolve" if notice.kind is NoticeKind.RESOLVED else "trigger",
            "dedup_key": f"salepulse-{notice.digest or alert.page}",
        }
        if notice.kind is NoticeKind.RESOLVED:
            return event
        more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
        details = {line.name: line.text for line in content.lines}
        if more:
            details = {describe_segment(one.alert.finding): brief_line(one, shop) for one in notices}
        return event | {
            "payload": {
                "summary": truncated(one_line(sentence(alert.finding, shop)), 1024 - len(more)) + more,
                "source": "salepulse",
                "severity": alert.severity.value,
                "timestamp": datetime.fromtimestamp((alert.fired_ms or notice.created_ms) / 1000, UTC).isoformat(),
                "component": describe_segment(alert.finding) or "salepulse",
                "group": alert.finding.incident or alert.fingerprint,
                "class": alert.series.rule,
                "custom_details": details,
            },
            "links": [{"text": name, "href": url} for name, url in content.links],
            "client": "salepulse",
            **({"client_url": shop.url} if shop.url else {}),
        }
