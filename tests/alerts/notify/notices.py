"""Builders of notices and messages."""

from __future__ import annotations

from dataclasses import replace

from alerts.findings import Finding, FindingReason, Severity
from alerts.notify.message import NotificationMessage, worst_first
from alerts.shop import ShopInfo
from alerts.state.notices import Notice, NoticeKind
from alerts.state.policy import EscalationStep, Route, Routing, Timing
from alerts.state.silences import Matcher
from tests.alerts.builders import T0, finding
from tests.alerts.state.alert_play import Play

PLACE = ShopInfo(
    url="https://pulse.example", runbooks="https://wiki.example/runbooks", timezone="Asia/Shanghai", currency="CNY"
)
NOW_MS = T0 + 60_000


def noticed(*found: Finding, receiver: str = "chat", over: bool = False) -> tuple[Notice, ...]:
    """Notices of findings, for their start or end."""
    step = EscalationStep(after_ms=0, receivers=(receiver,))
    every_severity = (Matcher.parse("severity=~.*"),)
    play = Play(Timing(), Routing(routes=(Route(matchers=every_severity, escalation=(step,)),)))
    play.at(0, *found)
    if over:
        play.at(240, *(replace(one, reason=FindingReason.WITHIN, value=0.039) for one in found))
    return tuple(notice for notice in play.notices if (notice.kind is NoticeKind.RESOLVED) is over)


def message(*found: Finding, over: bool = False) -> NotificationMessage:
    """A message about findings; default: a conversion drop."""
    return NotificationMessage(worst_first(noticed(*(found or (finding(),)), over=over)), PLACE, NOW_MS)


def many(count: int, severity: Severity = Severity.WARNING) -> tuple[Finding, ...]:
    """Findings of this many SKUs, each a separate incident."""
    return tuple(
        finding(labels={"sku": f"s-{i}"}, severity=severity, incident=f"i-{i}", money_per_minute=i)
        for i in range(count)
    )


def digest(*skus: str, over: bool = False, is_open: bool = False) -> NotificationMessage:
    """One message about SKUs of one digest, the largest loss first."""
    found = (
        finding(
            "stock-out", labels={"sku": sku}, severity=Severity.WARNING, incident="stock", money_per_minute=9 - place
        )
        for place, sku in enumerate(skus)
    )
    one = message(*found, over=over)
    return replace(
        one, notices=tuple(replace(notice, digest="stock-out-1", is_digest_open=is_open) for notice in one.notices)
    )
