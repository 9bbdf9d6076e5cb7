"""Alerts, notices and silences that former versions stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.findings import Category, Series, Severity
from alerts.state.alert import AlertState
from alerts.state.notices import Notice, NoticeKind
from alerts.state.notification_log import Ack, NotificationLog, NotificationStatus, NotifiedReceiver
from alerts.state.silences import Matcher, MatchType, Silence
from alerts.store.codec import decode, encode

FORMER_ALERT: dict[str, Any] = json.loads(
    """{"fingerprint":"f1","series":{"rule":"lagging","labels":[["topic","orders"]]},"status":"firing",
    "severity":"critical","since_ms":1,"incident":0,"finding":{"series":{"rule":"lagging","labels":[["topic","orders"]]},
    "reason":"beyond","severity":"warning","owner":"data","as_of_ms":1762776020000,"since_ms":1762776020000,
    "unit":"count","value":9.0,"expected":null,"interval":{"low":null,"high":5.0},"money_per_minute":null,
    "contributors":[],"held_by":null,"continues":null,"incident":"lagging","title":"Lag",
    "summary":"Lag in topic orders; 9, more than 5","runbook":"","chart":null},"reason":"told","by":"",
    "breached_ms":null,"fired_ms":1,"worse_ms":null,"free_ms":2,"clear_ms":null,"resolved_ms":null,"over":"",
    "firings_ms":[],"ack":null,"told":[{"receiver":"chat","severity":"critical","at_ms":3,"times":2}],
    "continues":null,"page_of":"f0","passed_ms":4,"worst":null,"lost":null,"now":null}"""
)


FLAT_ALERT: dict[str, Any] = json.loads(
    """{"fingerprint":"f1","series":{"rule":"drop","labels":[]},"status":"firing","severity":"critical","since_ms":1,
    "incident":2,"finding":{"series":{"rule":"drop","labels":[]},"reason":"beyond","severity":"critical",
    "category":"business","as_of_ms":1762776020000,"since_ms":1762776020000,"unit":"count","value":9.0,"expected":null,
    "interval":{"low":null,"high":5.0},"money_per_minute":null,"contributors":[],"inhibited_by":null,
    "continues":null,"incident":"drop","title":"Drop","summary":"Drop","runbook":"","chart":null},
    "reason":"acknowledged","by":"ada","breached_ms":null,"fired_ms":1,"worse_ms":null,"unsuppressed_at":2,
    "clear_ms":null,"resolved_ms":null,"over":"","firings_ms":[1],
    "ack":{"fired_ms":1,"severity":"critical","by":"ada","at_ms":5,"comment":"on it"},
    "notified":[{"receiver":"chat","severity":"critical","at_ms":3,"times":2}],
    "continues":{"rule":"part","labels":[["channel","app"]]},"root_fingerprint":"f0","transferred_at":4,
    "worst":null,"lost":null,"now":null}"""
)
"""An alert before it had a notification log."""


def former(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def test_a_former_alert_keeps_its_notified_receivers_and_its_page() -> None:
    alert = decode(AlertState, former(FORMER_ALERT))
    assert alert.log.notified == (NotifiedReceiver("chat", Severity.CRITICAL, 3, 2),)
    assert (alert.log.root_fingerprint, alert.log.unsuppressed_at, alert.log.transferred_at) == ("f0", 2, 4)
    assert (alert.finding.category, alert.finding.inhibited_by) == (Category.DATA, None)
    assert decode(AlertState, encode(alert)) == alert


def test_an_alert_without_a_notification_log_keeps_its_notifications_and_its_page() -> None:
    alert = decode(AlertState, former(FLAT_ALERT))
    assert alert.log == NotificationLog(
        status=NotificationStatus.ACKNOWLEDGED,
        suppressed_by="ada",
        unsuppressed_at=2,
        notified=(NotifiedReceiver("chat", Severity.CRITICAL, 3, 2),),
        ack=Ack(1, Severity.CRITICAL, "ada", 5, "on it"),
        continues=Series("part", (("channel", "app"),)),
        root_fingerprint="f0",
        transferred_at=4,
    )
    assert (alert.acknowledged, alert.incident, alert.firings_ms) == (True, 2, (1,))
    assert decode(AlertState, encode(alert)) == alert


@pytest.mark.parametrize(
    ("stored", "status"),
    [
        ("told", NotificationStatus.NOTIFIED),
        ("held_back", NotificationStatus.INHIBITED),
        ("never_told", NotificationStatus.NEVER_NOTIFIED),
        ("silenced", NotificationStatus.SILENCED),
    ],
)
def test_a_former_alert_keeps_its_notification_status(stored: str, status: NotificationStatus) -> None:
    assert decode(AlertState, former(FORMER_ALERT | {"reason": stored})).log.status is status


def test_a_former_alert_keeps_the_alert_that_inhibits_it() -> None:
    held_by = {"rule": "drop", "labels": []}
    alert = decode(AlertState, former(FORMER_ALERT | {"finding": FORMER_ALERT["finding"] | {"held_by": held_by}}))
    assert alert.finding.inhibited_by == Series("drop")


def test_a_former_notice_is_delivered_with_its_alert() -> None:
    stored = {"id": "n", "receiver": "chat", "kind": "worse", "alert": FORMER_ALERT, "created_ms": 1, "due_ms": 2}
    notice = decode(Notice, former(stored | {"failures": 1, "alone": False}))
    assert (notice.kind, notice.failures) == (NoticeKind.WORSE, 1)
    assert notice.alert == decode(AlertState, former(FORMER_ALERT))


def test_a_notice_of_an_alert_without_a_notification_log_is_delivered() -> None:
    stored = {"id": "n", "receiver": "chat", "kind": "worse", "alert": FLAT_ALERT, "created_ms": 1, "due_ms": 2}
    assert decode(Notice, former(stored)).alert == decode(AlertState, former(FLAT_ALERT))


@pytest.mark.parametrize(
    ("stored", "matcher", "matching", "others"),
    [
        (("rule", "~", "stock-*"), "rule=~stock\\-.*", {"rule": "stock-out"}, {"rule": "restock-out"}),
        (("sku", "!~", "a.?"), "sku!~a\\..", {"sku": "abc"}, {"sku": "a.c"}),
        (("channel", "=", "a*"), "channel=a*", {"channel": "a*"}, {"channel": "app"}),
        (("owner", "!=", "data"), "alert_category!=data", {"alert_category": "business"}, {"alert_category": "data"}),
    ],
)
def test_a_former_silence_matches_the_same_alerts(
    stored: tuple[str, str, str], matcher: str, matching: dict[str, str], others: dict[str, str]
) -> None:
    label, how, value = stored
    kept = {"id": "s", "matchers": [{"label": label, "matching": how, "value": value}], "starts_ms": 0, "ends_ms": 9}
    silence = decode(Silence, former(kept))
    assert str(silence.matchers[0]) == matcher
    assert silence.matches(matching)
    assert not silence.matches(others)


def test_text_that_names_a_former_field_is_not_upgraded() -> None:
    comment = 'the key "matching": and "held_by": in words'
    silence = Silence(
        id="s", matchers=(Matcher("rule", MatchType.EQUAL, "a"),), starts_ms=0, ends_ms=9, comment=comment
    )
    assert decode(Silence, encode(silence)) == silence
