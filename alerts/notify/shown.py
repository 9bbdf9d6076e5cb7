"""An alert as programs see it: the API, the topic `alerts`, and the signed webhook."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from alerts.notify.wording import Place, chart_url, runbook_url
from alerts.state.alert import Alert
from alerts.state.change import Change


def iso(at_ms: int) -> str:
    """A moment, ISO 8601, UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def shown(alert: Alert, place: Place) -> dict[str, Any]:
    """All that is known of an alert. Times are epoch ms, money minor units; null: unknown or not yet."""
    finding, ack = alert.finding, alert.ack
    return {
        "fingerprint": alert.fingerprint,
        "rule": alert.series.rule,
        "labels": dict(alert.series.labels),
        "state": alert.status.value,
        "severity": alert.severity.value,
        "owner": finding.owner.value,
        "title": finding.title,
        "summary": finding.summary,
        "since": finding.since_ms,
        "changed_at": alert.since_ms,
        "fired_at": alert.fired_ms,
        "resolved_at": alert.resolved_ms,
        "resolved_because": alert.over or None,
        "as_of": finding.as_of_ms,
        "unit": finding.unit.value,
        "value": finding.value,
        "expected": finding.expected,
        "interval": None if finding.interval is None else [finding.interval.low, finding.interval.high],
        "money_per_minute": finding.money_per_minute,
        "contributors": [
            {
                "labels": dict(one.labels),
                "rate_effect": one.rate_effect,
                "mix_effect": one.mix_effect,
                "value": one.value,
                "expected": one.expected,
            }
            for one in finding.contributors
        ],
        "cause": finding.reason.value,
        "held_by": None if finding.held_by is None else str(finding.held_by),
        "incident": finding.incident,
        "notified": alert.reason.value,
        "notified_by": alert.by,
        "told": [{"receiver": told.receiver, "at": told.at_ms, "times": told.times} for told in alert.told],
        "ack": None if ack is None else {"by": ack.by, "at": ack.at_ms, "comment": ack.comment},
        "runbook": runbook_url(finding, place) or finding.runbook or None,
        "chart": chart_url(finding, place),
    }


def shown_change(name: str, change: Change, place: Place) -> dict[str, Any]:
    """A change; `id` grows from one to the next."""
    return {"id": name, "at": change.at_ms, "change": change.what.value, "alert": shown(change.alert, place)}
