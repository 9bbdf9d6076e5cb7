"""Notices and messages as tests say them."""

from __future__ import annotations

from dataclasses import replace

from alerts.findings import Finding, Reason, Severity
from alerts.notify.message import Message, worst_first
from alerts.notify.wording import Place
from alerts.state.policy import Timing
from alerts.state.telling import Kind, Notice
from tests.alerts.builders import T0, finding, to
from tests.alerts.state.playing import Play

PLACE = Place(
    url="https://pulse.example", runbooks="https://wiki.example/runbooks", timezone="Asia/Shanghai", currency="CNY"
)
NOW_MS = T0 + 60_000


def noticed(*found: Finding, receiver: str = "chat", over: bool = False) -> tuple[Notice, ...]:
    """What is said of findings, when they begin or when they are over."""
    play = Play(Timing(), to(receiver))
    play.at(0, *found)
    if over:
        play.at(240, *(replace(one, reason=Reason.WITHIN, value=0.039) for one in found))
    return tuple(notice for notice in play.notices if (notice.kind is Kind.RESOLVED) is over)


def message(*found: Finding, over: bool = False) -> Message:
    """A message about findings; by default one about a drop of conversion."""
    return Message(worst_first(noticed(*(found or (finding(),)), over=over)), PLACE, NOW_MS)


def many(count: int, severity: Severity = Severity.WARNING) -> tuple[Finding, ...]:
    """Findings of as many SKUs, each an incident of its own."""
    return tuple(
        finding(labels={"sku": f"s-{i}"}, severity=severity, incident=f"i-{i}", money_per_minute=i)
        for i in range(count)
    )
