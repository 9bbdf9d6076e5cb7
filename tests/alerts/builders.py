"""Builders of findings, evaluations and routes."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.findings import (
    Category,
    Chart,
    Evaluation,
    EventRate,
    ExpectedRange,
    Finding,
    FindingReason,
    Measure,
    Series,
    Severity,
)
from alerts.rule_states import RuleCondition, RuleStatus
from alerts.state.policy import EscalationStep, Route, Routing
from streams.model.windows import Window
from streams.panes.counters import Unit
from streams.panes.scopes import Scope

T0 = 1_794_355_200_000
"""2026-11-11T00:00:00Z, a Wednesday."""


def finding(
    rule: str = "conversion-drop",
    reason: FindingReason = FindingReason.EVIDENCE,
    *,
    labels: Mapping[str, str] | None = None,
    severity: Severity = Severity.CRITICAL,
    at_ms: int = T0,
    inhibited_by: Series | None = None,
    money_per_minute: int | None = 1_234_500,
    title: str = "Conversion dropped",
    summary: str = "",
    runbook: str = "https://wiki.example/conversion",
    incident: str = "i-1",
) -> Finding:
    """A finding of a conversion drop in the app."""
    given = {"channel": "app"} if labels is None else labels
    return Finding(
        series=Series(rule, tuple(sorted(given.items()))),
        reason=reason,
        severity=severity,
        category=Category.BUSINESS,
        as_of_ms=at_ms,
        since_ms=at_ms - 30_000,
        unit=Unit.RATIO,
        value=0.021,
        expected=0.04,
        interval=ExpectedRange(0.036, None),
        measure=Measure(("orders_created",), ("product_views",)),
        rate=EventRate(412.4, ExpectedRange(780.2, 860.0)),
        money_per_minute=money_per_minute,
        contributors=(),
        inhibited_by=inhibited_by,
        incident=incident,
        title=title,
        summary=summary,
        runbook=runbook,
        chart=Chart("conversion_rate", Window.M5, Scope.CHANNEL, "app", at_ms - 3_600_000, at_ms),
    )


def evaluation(*findings: Finding, at_ms: int = T0) -> Evaluation:
    """An evaluation of these findings."""
    return Evaluation(at_ms, findings)


def status(
    rule: str = "order-drop", condition: RuleCondition = RuleCondition.WATCHING, *, lacks: str = "", watching: int = 1
) -> RuleStatus:
    """The status of a rule."""
    return RuleStatus(
        rule=rule, title="Fewer checkouts become orders", condition=condition, lacks=lacks, watching=watching
    )


def to(*receivers: str, repeat_interval_ms: int | None = None, after_ms: int = 0) -> Routing:
    """A route of all alerts to these receivers."""
    return Routing(
        routes=(
            Route(
                escalation=(EscalationStep(after_ms=after_ms, receivers=receivers),),
                repeat_interval_ms=repeat_interval_ms,
            ),
        )
    )
