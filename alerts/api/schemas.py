"""An alert as programs see it: the API, the topic `alerts`, the stream of changes, and the signed webhook."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from alerts.findings import Category, Severity
from alerts.findings import FindingReason as Cause
from alerts.notify.message_text import ShopInfo, chart_url, runbook_url
from alerts.state.alert import Alert, AlertChange, ChangeKind, Status
from alerts.state.notification_status import NotificationStatus
from streams.panes.counters import Unit


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ContributorPayload(_Payload):
    """One part of what happened."""

    labels: dict[str, str]
    rate_effect: float
    """Share of the whole change: because the rate itself changed there."""
    mix_effect: float
    """Because more or less of the whole is there."""
    value: float | None
    expected: float | None


class AckPayload(_Payload):
    """Somebody is on it."""

    by: str
    at: int
    comment: str


class NotifiedReceiverPayload(_Payload):
    """A receiver that was told that it fires, and not yet that it is over."""

    receiver: str
    at: int
    times: int


class AlertPayload(_Payload):
    """All that is known of an alert. Times are epoch ms, money is minor units; null: unknown, or not yet."""

    fingerprint: str
    """Of its rule and labels: the same for as long as the rule keeps its name."""
    page: str
    """The same in all messages of one incident: the fingerprint of the alert that told of it first."""
    continues: str | None
    """The alert that told of the same incident before."""
    rule: str
    labels: dict[str, str]
    state: Status
    severity: Severity
    category: Category
    title: str
    summary: str
    since: int | None
    """Since when something is wrong, by what was measured."""
    changed_at: int
    """Since when it has this state."""
    fired_at: int | None
    resolved_at: int | None
    resolved_because: str | None
    as_of: int
    """Event time of the numbers."""
    unit: Unit
    value: float | None
    expected: float | None
    interval: tuple[float | None, float | None] | None
    """What was to be expected, as a range."""
    money_per_minute: int | None
    """What is being lost."""
    lost: int | None
    """What has been lost since it began."""
    worst: float | None
    """The value that was furthest from what was to be expected."""
    now: float | None
    """Once it is right again: the value then."""
    contributors: list[ContributorPayload]
    """The greatest first."""
    cause: Cause
    """Why the rule says what it says."""
    inhibited_by: str | None
    """The alert that tells of it instead."""
    incident: str
    """The same for alerts that are likely to be one incident."""
    notification_status: NotificationStatus
    """Why somebody, or nobody, is told now."""
    suppressed_by: str
    """What that names: a silence's id, another alert, a person."""
    notified: list[NotifiedReceiverPayload]
    ack: AckPayload | None
    runbook: str | None
    chart: str | None


class AlertChangePayload(_Payload):
    """A change of an alert, with the alert after it: a message of the topic `alerts`, keyed by fingerprint."""

    id: str
    """The same where a change is written more than once."""
    at: int
    change: ChangeKind
    alert: AlertPayload


def alert_payload(alert: Alert, shop: ShopInfo) -> AlertPayload:
    """An alert as it may be shown."""
    finding, ack = alert.finding, alert.ack
    return AlertPayload(
        fingerprint=alert.fingerprint,
        page=alert.page,
        continues=None if alert.continues is None else str(alert.continues),
        rule=alert.series.rule,
        labels=dict(alert.series.labels),
        state=alert.status,
        severity=alert.severity,
        category=finding.category,
        title=finding.title,
        summary=finding.summary,
        since=finding.since_ms,
        changed_at=alert.since_ms,
        fired_at=alert.fired_ms,
        resolved_at=alert.resolved_ms,
        resolved_because=alert.over or None,
        as_of=finding.as_of_ms,
        unit=finding.unit,
        value=finding.value,
        expected=finding.expected,
        interval=None if finding.interval is None else (finding.interval.low, finding.interval.high),
        money_per_minute=finding.money_per_minute,
        lost=None if alert.lost is None else round(alert.lost),
        worst=alert.worst,
        now=alert.now,
        contributors=[
            ContributorPayload(
                labels=dict(one.labels),
                rate_effect=one.rate_effect,
                mix_effect=one.mix_effect,
                value=one.value,
                expected=one.expected,
            )
            for one in finding.contributors
        ],
        cause=finding.reason,
        inhibited_by=None if finding.inhibited_by is None else str(finding.inhibited_by),
        incident=finding.incident,
        notification_status=alert.reason,
        suppressed_by=alert.by,
        notified=[
            NotifiedReceiverPayload(receiver=notified.receiver, at=notified.at_ms, times=notified.times)
            for notified in alert.notified
        ],
        ack=None if ack is None else AckPayload(by=ack.by, at=ack.at_ms, comment=ack.comment),
        runbook=runbook_url(finding, shop) or finding.runbook or None,
        chart=chart_url(alert, shop),
    )


def change_payload(change: AlertChange, shop: ShopInfo) -> AlertChangePayload:
    """A change as it may be shown."""
    name = f"{change.alert.fingerprint}-{change.at_ms}-{change.kind}"
    return AlertChangePayload(id=name, at=change.at_ms, change=change.kind, alert=alert_payload(change.alert, shop))
