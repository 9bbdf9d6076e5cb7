"""The JSON of alerts in the API, the topic `alerts`, the change stream and webhooks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from alerts.findings import Category, Finding, FindingReason, Severity
from alerts.rule_states import RuleCondition, RuleState
from alerts.shop import ShopInfo, chart_url, runbook_url
from alerts.state.alert import AlertChange, AlertState, ChangeKind, Status
from alerts.state.notification_log import NotificationStatus
from alerts.wording.sentences import sentence
from alerts.wording.terms import describe_segment, describe_stage
from streams.panes.counters import Unit


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ContributorPayload(_Payload):
    """One part of a change."""

    labels: dict[str, str]
    rate_effect: float
    """Share of the whole change caused by the part's rate."""
    mix_effect: float
    """Share of the whole change caused by the part's share of the whole."""
    value: float | None
    expected: float | None


class EventRatePayload(_Payload):
    """Counted and expected events a minute."""

    counter: str
    """The first of the counted counters."""
    per_minute: float
    expected: tuple[float | None, float | None]
    """The expected range."""


class ExplainedPayload(_Payload):
    """An alert that another one explains."""

    rule: str
    labels: dict[str, str]
    title: str


class AckPayload(_Payload):
    """An acknowledgement."""

    by: str
    at: int
    comment: str


class NotifiedReceiverPayload(_Payload):
    """A receiver notified of a firing alert, and not yet of its end."""

    receiver: str
    at: int
    times: int


class AlertPayload(_Payload):
    """An alert. Times are epoch ms, money is in minor units; null: unknown or not applicable."""

    fingerprint: str
    """Identity by rule and labels, for as long as the rule keeps its name."""
    page: str
    """Id of the page, the same in all messages of one incident: the fingerprint of its first alert."""
    continues: str | None
    """The alert whose page this one took over."""
    rule: str
    labels: dict[str, str]
    state: Status
    severity: Severity
    category: Category
    title: str
    segment: str
    """The labels in words; `whole shop` without labels; empty for an alert about salepulse."""
    stage: str
    """The stage of the funnel in words; empty for a number that is no stage."""
    summary: str
    """The problem, the segment, and what was counted and expected, in one sentence."""
    since: int | None
    """Start of the breach by the data."""
    changed_at: int
    """Time of the last status change."""
    fired_at: int | None
    resolved_at: int | None
    resolved_because: str | None
    as_of: int
    """Event time of the values."""
    unit: Unit
    value: float | None
    expected: float | None
    interval: tuple[float | None, float | None] | None
    """The expected range."""
    events: EventRatePayload | None
    """Events behind a ratio."""
    money_per_minute: int | None
    """Revenue lost per minute."""
    lost: int | None
    """Revenue lost in this incident."""
    worst: float | None
    """The value furthest from the expected range."""
    now: float | None
    """The value when the incident ended."""
    contributors: list[ContributorPayload]
    """Largest first."""
    cause: FindingReason
    """The finding's reason."""
    inhibited_by: str | None
    """The alert that explains it."""
    explains: list[ExplainedPayload]
    """Alerts that it explains."""
    incident: str
    """Grouping key of alerts that probably belong to one incident."""
    notification_status: NotificationStatus
    """Why the alert notifies receivers or does not."""
    suppressed_by: str
    """Silence id, inhibiting alert or acknowledging user, by `notification_status`."""
    notified: list[NotifiedReceiverPayload]
    ack: AckPayload | None
    runbook: str | None
    chart: str | None


class RulePayload(_Payload):
    """A rule, and whether it watches."""

    rule: str
    title: str
    state: RuleCondition
    """`watching`, `learning` (it has no baseline), `inhibited` (by `inhibited_by`), `no_data`, or `off`."""
    since: int
    """Event time since which it has this state."""
    lacks: str | None
    """What it lacks to evaluate all of its series."""
    inhibited_by: list[str]
    """The alerts that explain its breaches, and the data faults that make its numbers unreliable."""
    series: dict[RuleCondition, int]
    """Number of its series that are `watching`, `learning`, or have `no_data`."""


class AlertChangePayload(_Payload):
    """A change of an alert, with the alert after it: a record of the topic `alerts`, keyed by fingerprint."""

    id: str
    """The same if a change is published twice."""
    at: int
    change: ChangeKind
    alert: AlertPayload


def alert_payload(alert: AlertState, shop: ShopInfo) -> AlertPayload:
    """Convert an alert."""
    finding, log, ack = alert.finding, alert.log, alert.log.ack
    return AlertPayload(
        fingerprint=alert.fingerprint,
        page=alert.page,
        continues=None if log.continues is None else str(log.continues),
        rule=alert.series.rule,
        labels=dict(alert.series.labels),
        state=alert.status,
        severity=alert.severity,
        category=finding.category,
        title=finding.title,
        segment=describe_segment(finding),
        stage=describe_stage(finding.measure),
        summary=sentence(finding, shop),
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
        events=_events(finding),
        money_per_minute=finding.money_per_minute,
        lost=None if alert.lost is None else round(alert.lost),
        worst=alert.worst,
        now=alert.now,
        contributors=[
            ContributorPayload(
                labels=dict(contributor.labels),
                rate_effect=contributor.rate_effect,
                mix_effect=contributor.mix_effect,
                value=contributor.value,
                expected=contributor.expected,
            )
            for contributor in finding.contributors
        ],
        cause=finding.reason,
        inhibited_by=None if finding.inhibited_by is None else str(finding.inhibited_by),
        explains=[
            ExplainedPayload(rule=explained.series.rule, labels=dict(explained.series.labels), title=explained.title)
            for explained in finding.explains
        ],
        incident=finding.incident,
        notification_status=log.status,
        suppressed_by=log.suppressed_by,
        notified=[
            NotifiedReceiverPayload(receiver=notified.receiver, at=notified.at_ms, times=notified.times)
            for notified in log.notified
        ],
        ack=None if ack is None else AckPayload(by=ack.by, at=ack.at_ms, comment=ack.comment),
        runbook=runbook_url(finding, shop) or finding.runbook or None,
        chart=chart_url(alert, shop),
    )


def _events(finding: Finding) -> EventRatePayload | None:
    rate, measure = finding.rate, finding.measure
    if rate is None or measure is None or not measure.count:
        return None
    return EventRatePayload(
        counter=measure.count[0],
        per_minute=rate.per_minute,
        expected=(rate.expected.low, rate.expected.high),
    )


def rule_payload(state: RuleState) -> RulePayload:
    """Convert the state of a rule."""
    status = state.status
    return RulePayload(
        rule=status.rule,
        title=status.title,
        state=status.condition,
        since=state.since_ms,
        lacks=status.lacks or None,
        inhibited_by=list(status.inhibited_by),
        series={
            RuleCondition.WATCHING: status.watching,
            RuleCondition.LEARNING: status.learning,
            RuleCondition.NO_DATA: status.no_data,
        },
    )


def change_payload(change: AlertChange, shop: ShopInfo) -> AlertChangePayload:
    """Convert a change."""
    change_id = f"{change.alert.fingerprint}-{change.at_ms}-{change.kind}"
    return AlertChangePayload(
        id=change_id, at=change.at_ms, change=change.kind, alert=alert_payload(change.alert, shop)
    )
