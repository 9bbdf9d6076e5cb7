"""Test messages: a firing alert and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from alerts.findings import Category, Finding, FindingReason, Series, Severity
from alerts.notify.message import NotificationMessage
from alerts.shop import ShopInfo
from alerts.state.alert import AlertState, Status, series_fingerprint
from alerts.state.notices import Notice, NoticeKind


def sample_messages(receiver: str, shop: ShopInfo, now_ms: int) -> Iterator[NotificationMessage]:
    """Messages to test a receiver, with severity info so that it pages no one."""
    series = Series("salepulse-test", (("receiver", receiver),))
    finding = Finding(
        series=series,
        reason=FindingReason.BEYOND,
        severity=Severity.INFO,
        category=Category.DATA,
        as_of_ms=now_ms,
        since_ms=now_ms,
        value=1,
        expected=0,
        incident=f"test-{now_ms}",
        title="Test message",
        summary="This is a test by `salepulse alerts test`; nothing is wrong.",
    )
    firing = AlertState(
        fingerprint=series_fingerprint(series),
        series=series,
        status=Status.FIRING,
        severity=Severity.INFO,
        since_ms=now_ms,
        finding=finding,
        fired_ms=now_ms,
    )
    resolved = replace(firing, status=Status.RESOLVED, resolved_ms=now_ms + 1, over=FindingReason.WITHIN.value)
    for kind, alert in ((NoticeKind.FIRING, firing), (NoticeKind.RESOLVED, resolved)):
        notice_id = f"{alert.key}:{kind}:{receiver}"
        notice = Notice(id=notice_id, receiver=receiver, kind=kind, alert=alert, created_ms=now_ms, due_ms=now_ms)
        yield NotificationMessage((notice,), shop, now_ms)
