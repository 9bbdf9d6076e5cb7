"""A message that says that it is a test: a beginning, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from alerts.findings import Finding, Owner, Reason, Series, Severity
from alerts.notify.message import Message
from alerts.notify.wording import Place
from alerts.state.alert import Alert, Status, fingerprint_of
from alerts.state.telling import Kind, Notice
from streams.panes.counters import Unit


def trial(receiver: str, place: Place, now_ms: int) -> Iterator[Message]:
    """What is sent to try a receiver: informational, so that nobody is called for it."""
    series = Series("salepulse-test", (("receiver", receiver),))
    finding = Finding(
        series=series,
        reason=Reason.BEYOND,
        severity=Severity.INFO,
        owner=Owner.DATA,
        as_of_ms=now_ms,
        since_ms=now_ms,
        unit=Unit.COUNT,
        value=1,
        expected=0,
        interval=None,
        money_per_minute=None,
        contributors=(),
        held_by=None,
        incident=f"test-{now_ms}",
        title="Test message",
        summary="This is a test by `salepulse alerts test`; nothing is wrong.",
        runbook="",
        chart=None,
    )
    firing = Alert(
        fingerprint=fingerprint_of(series),
        series=series,
        status=Status.FIRING,
        severity=Severity.INFO,
        since_ms=now_ms,
        finding=finding,
        fired_ms=now_ms,
    )
    over = replace(firing, status=Status.RESOLVED, resolved_ms=now_ms + 1, over=Reason.WITHIN.value)
    for kind, alert in ((Kind.FIRING, firing), (Kind.RESOLVED, over)):
        name = f"{alert.key}:{kind}:{receiver}"
        notice = Notice(id=name, receiver=receiver, kind=kind, alert=alert, created_ms=now_ms, due_ms=now_ms)
        yield Message((notice,), place, now_ms)
