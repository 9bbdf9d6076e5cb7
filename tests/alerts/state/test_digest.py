"""Digests, stages and notes: what is sent, and what is withdrawn before it is due."""

from __future__ import annotations

from dataclasses import replace

from alerts.findings import Finding, FindingReason, Severity
from alerts.notify.grouping import RateLimit, Send, next_message
from alerts.state.notices import NoticeKind
from alerts.state.notification_log import NotificationStatus
from alerts.state.policy import EscalationStep, Route, Routing, Timing
from alerts.state.silences import Matcher
from tests.alerts.builders import T0, finding
from tests.alerts.state.alert_play import Play

FIVE_MIN = Timing(digest_ms=300_000)


def of_sku(
    sku: str = "s-1",
    severity: Severity = Severity.WARNING,
    *,
    stage: int = 1,
    reason: FindingReason = FindingReason.BEYOND,
    money: int = 100,
) -> Finding:
    found = finding("stock-out", reason, labels={"sku": sku}, severity=severity, money_per_minute=money, incident="s")
    return replace(found, stage=stage)


def test_warnings_of_a_digest_are_due_together_and_are_one_message() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku("s-1", money=1))
    play.at(130, of_sku("s-1", money=1), of_sku("s-2", money=3), of_sku("s-3", money=2))
    assert {notice.due_ms for notice in play.notices} == {T0 + 300_000}
    step = next_message(play.notices, [], RateLimit(5), T0 + 300_000)
    assert isinstance(step, Send)
    skus = [dict(notice.alert.series.labels)["sku"] for notice in step.notices]
    assert skus == ["s-2", "s-3", "s-1"], "largest loss first"


def test_a_critical_alert_does_not_wait_for_the_digest() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku(severity=Severity.CRITICAL))
    assert [notice.due_ms for notice in play.notices] == [T0 + 10_000]


def test_a_worse_alert_replaces_its_notice_in_the_digest() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(60, of_sku(severity=Severity.CRITICAL, stage=2))
    assert [(notice.kind, notice.due_ms) for notice in play.notices] == [(NoticeKind.FIRING, T0 + 60_000)]
    play.at(400, of_sku(severity=Severity.CRITICAL, stage=2))
    assert len(play.notices) == 1


def test_a_worse_alert_after_the_digest_is_worse() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(301, of_sku(severity=Severity.CRITICAL, stage=2))
    assert play.sent == [("on-call", NoticeKind.FIRING), ("on-call", NoticeKind.WORSE)]


def test_what_ends_before_its_digest_is_never_sent() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(60, of_sku(reason=FindingReason.WITHIN))
    play.at(61, of_sku(reason=FindingReason.WITHIN))
    assert play.notices == []
    assert not play.alert.log.notified


def test_an_end_after_the_digest_is_sent_in_the_next_one() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(310, of_sku(reason=FindingReason.WITHIN))
    play.at(311, of_sku(reason=FindingReason.WITHIN))
    assert [(notice.kind, notice.due_ms) for notice in play.notices] == [
        (NoticeKind.FIRING, T0 + 300_000),
        (NoticeKind.RESOLVED, T0 + 600_000),
    ]


def test_an_end_withdraws_an_update_but_is_sent() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(310, of_sku(stage=2))
    play.at(320, of_sku(reason=FindingReason.GONE))
    assert [notice.kind for notice in play.notices] == [NoticeKind.FIRING, NoticeKind.RESOLVED]


def test_the_next_stage_updates_the_page_and_an_earlier_one_does_not() -> None:
    play = Play()
    for second, stage in enumerate([1, 2, 1, 2, 3, 2]):
        play.at(second, of_sku(stage=stage))
    assert [notice.kind for notice in play.notices] == [NoticeKind.FIRING, NoticeKind.UPDATED, NoticeKind.UPDATED]
    assert len({notice.alert.page for notice in play.notices}) == 1


def test_a_note_is_listed_and_not_sent() -> None:
    play = Play()
    play.at(0, of_sku(severity=Severity.INFO))
    assert play.notices == []
    assert play.alert.log.status is NotificationStatus.NOTE
    play.at(10, of_sku(severity=Severity.WARNING))
    assert play.sent == [("on-call", NoticeKind.FIRING)]


def test_a_route_that_matches_on_severity_sends_notes() -> None:
    step = EscalationStep(after_ms=0, receivers=("chat",))
    play = Play(routing=Routing(routes=(Route(matchers=(Matcher.parse("severity=info"),), escalation=(step,)),)))
    play.at(0, of_sku(severity=Severity.INFO))
    assert play.sent == [("chat", NoticeKind.FIRING)]


def test_a_notice_that_is_nearly_due_is_not_withdrawn() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(298, of_sku(reason=FindingReason.GONE))
    assert [notice.kind for notice in play.notices] == [NoticeKind.FIRING, NoticeKind.RESOLVED]
    assert not play.last.is_too_late(play.now_ms)


def test_an_evaluation_that_took_too_long_withdraws_nothing() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku())
    play.at(290, of_sku(reason=FindingReason.GONE))
    assert [play.last.is_too_late(T0 + 1000 * second) for second in (290, 298, 299, 301)] == [False, False, True, True]


def test_the_notices_of_one_digest_share_an_id_until_the_last_of_its_alerts_ends() -> None:
    play, over = Play(FIVE_MIN), FindingReason.WITHIN
    play.at(10, of_sku("s-1"), of_sku("s-2"))
    play.at(310, of_sku("s-1", stage=2), of_sku("s-2"), of_sku("s-3"))
    first, second = f"stock-out-{T0 + 300_000}", f"stock-out-{T0 + 600_000}"
    assert [notice.digest for notice in play.notices] == [first, first, first, second]
    play.at(700, of_sku("s-1", reason=over), of_sku("s-2"), of_sku("s-3"))
    play.at(701, of_sku("s-1", reason=over), of_sku("s-2"), of_sku("s-3"))
    play.at(710, of_sku("s-2", reason=over), of_sku("s-3"))
    play.at(711, of_sku("s-2", reason=over), of_sku("s-3"))
    ends = [(one.digest, one.is_digest_open) for one in play.notices if one.kind is NoticeKind.RESOLVED]
    assert ends == [(first, True), (first, False)]


def test_a_critical_alert_is_in_no_digest() -> None:
    play = Play(FIVE_MIN)
    play.at(10, of_sku(severity=Severity.CRITICAL))
    play.at(20, of_sku(severity=Severity.CRITICAL, stage=2))
    assert {notice.digest for notice in play.notices} == {""}
