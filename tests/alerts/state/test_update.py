"""Alert states and their notifications."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.findings import ExplainedSeries, Series, Severity
from alerts.findings import FindingReason as Cause
from alerts.state.alert import ChangeKind, Status, series_fingerprint
from alerts.state.machine import RESOLVED_RETENTION_MS
from alerts.state.notices import NoticeKind
from alerts.state.notification_log import Ack, NotificationStatus
from alerts.state.policy import EscalationStep, Route, Routing, Timing
from alerts.state.silences import Matcher, Silence, WeeklyInterval
from tests.alerts.builders import T0, finding, to
from tests.alerts.state.alert_play import BAD, FINE, HELD, UNKNOWN, Play

WARNING = finding(severity=Severity.WARNING)


class TestFiring:
    def test_fires_at_once_without_for(self) -> None:
        play = Play()
        play.at(0, BAD)
        assert play.alert.status is Status.FIRING
        assert play.sent == [("on-call", NoticeKind.FIRING)]

    def test_waits_for_the_rules_for(self) -> None:
        play = Play(Timing(for_ms=10_000))
        play.at(0, BAD)
        play.at(9.9, BAD)
        assert (play.alert.status, play.alert.log.status) == (Status.PENDING, NotificationStatus.PENDING)
        play.at(10, BAD)
        assert play.alert.status is Status.FIRING

    def test_a_clear_moment_while_pending_restarts_for(self) -> None:
        play = Play(Timing(for_ms=10_000))
        play.at(0, BAD)
        play.at(9, FINE)
        assert not play.alerts
        assert [change.kind for change in play.last.changes] == [ChangeKind.INACTIVE]
        play.at(10, BAD)
        assert play.alert.status is Status.PENDING

    def test_notifies_once_per_incident(self) -> None:
        play = Play()
        for second in range(600):
            play.at(second, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING)]
        assert play.alert.log.status is NotificationStatus.UNCHANGED

    def test_an_unknown_condition_changes_nothing(self) -> None:
        play = Play()
        play.at(0, BAD)
        play.at(1, UNKNOWN)
        assert play.alert.status is Status.FIRING
        assert Play().at(0, UNKNOWN).changes == ()

    def test_a_higher_severity_notifies_and_a_lower_one_does_not(self) -> None:
        play = Play()
        for second, found in enumerate([WARNING, BAD, WARNING, BAD]):
            play.at(second, found)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("on-call", NoticeKind.WORSE)]

    def test_reminds_at_the_routes_repeat_interval(self) -> None:
        play = Play(routing=to("on-call", repeat_interval_ms=60_000))
        for second in range(0, 150, 10):
            play.at(second, BAD)
        assert play.sent == [
            ("on-call", kind) for kind in (NoticeKind.FIRING, NoticeKind.REMINDER, NoticeKind.REMINDER)
        ]

    def test_each_notice_has_a_unique_id(self) -> None:
        play = Play(routing=to("on-call", "chat", repeat_interval_ms=10_000))
        for second in range(0, 60, 5):
            play.at(second, BAD if second < 40 else FINE)
        play.at(61, BAD)
        names = [notice.id for notice in play.notices]
        assert len(set(names)) == len(names) > 8

    def test_without_a_route_the_status_is_no_route(self) -> None:
        play = Play(routing=Routing())
        play.at(0, BAD)
        assert play.alert.log.status is NotificationStatus.NO_ROUTE

    def test_a_silence_is_shown_even_without_a_route(self) -> None:
        play = Play(routing=Routing())
        play.silences = [silence("rule=conversion-drop")]
        play.at(0, BAD)
        assert play.alert.log.status is NotificationStatus.SILENCED


class TestResolving:
    def test_every_notified_receiver_gets_the_end(self) -> None:
        play = Play(routing=to("on-call", "chat"))
        play.at(0, BAD)
        play.at(1, FINE)
        play.at(2, FINE)
        assert play.alert.status is Status.RESOLVED
        assert play.sent[2:] == [("on-call", NoticeKind.RESOLVED), ("chat", NoticeKind.RESOLVED)]

    def test_resolves_after_keep_firing_for(self) -> None:
        play = Play(Timing(clear_ms=10_000))
        play.at(0, BAD)
        play.at(5, FINE)
        play.at(10, BAD)
        play.at(14, FINE)
        play.at(23.9, FINE)
        assert play.alert.status is Status.FIRING
        play.at(24, FINE)
        assert play.alert.status is Status.RESOLVED
        assert len(play.sent) == 2

    def test_a_rule_that_no_longer_applies_resolves_at_once(self) -> None:
        play = Play(Timing(clear_ms=60_000))
        play.at(0, BAD)
        play.at(1, finding(reason=Cause.NOT_IN_FORCE))
        assert (play.alert.status, play.alert.over) == (Status.RESOLVED, "not_in_force")

    def test_a_removed_rule_resolves_its_alerts(self) -> None:
        play = Play(Timing(clear_ms=60_000))
        play.at(0, BAD)
        play.at(1)
        assert (play.alert.status, play.alert.over) == (Status.RESOLVED, "gone")

    def test_a_new_breach_is_a_new_incident(self) -> None:
        play = Play()
        for second, found in enumerate([BAD, FINE, BAD, FINE]):
            play.at(second, found)
        assert [kind for _, kind in play.sent] == [NoticeKind.FIRING, NoticeKind.RESOLVED] * 2
        assert play.alert.incident == 2

    def test_an_end_notifies_only_notified_receivers(self) -> None:
        play = Play(routing=Routing())
        play.at(0, BAD)
        play.at(1, FINE)
        play.at(2)
        assert (play.sent, play.alert.log.status) == ([], NotificationStatus.NEVER_NOTIFIED)

    def test_a_resolved_alert_is_removed_after_a_day(self) -> None:
        play = Play()
        play.at(0, BAD)
        play.at(1, FINE)
        play.at(RESOLVED_RETENTION_MS / 1000)
        assert play.alerts
        play.at(1 + RESOLVED_RETENTION_MS / 1000)
        assert not play.alerts


PART = finding()
WHOLE = replace(finding(labels={}), continues=PART.series)
BEHIND = finding(reason=Cause.PARENT, inhibited_by=WHOLE.series)
WHOLE_FINE = replace(FINE, series=WHOLE.series)


class TestTakingOver:
    """An incident that grows is one page."""

    def test_the_whole_continues_the_page_of_its_part(self) -> None:
        play = Play(routing=to("on-call", "chat"))
        play.at(0, PART)
        play.at(2, WHOLE, BEHIND)
        play.at(4, WHOLE, BEHIND)
        play.at(60, WHOLE_FINE, FINE)
        kinds = (NoticeKind.FIRING, NoticeKind.UPDATED, NoticeKind.RESOLVED)
        assert play.sent == [(receiver, kind) for kind in kinds for receiver in ("on-call", "chat")]
        assert {notice.alert.page for notice in play.notices} == {series_fingerprint(PART.series)}
        assert [notice.alert.series for notice in play.notices[::2]] == [PART.series, WHOLE.series, WHOLE.series]
        assert len({notice.id for notice in play.notices}) == len(play.notices)

    def test_the_acknowledgement_is_transferred(self) -> None:
        play = Play()
        play.at(0, PART)
        play.acknowledge()
        play.at(1, PART)
        play.at(2, WHOLE, BEHIND)
        assert play.sent == [("on-call", NoticeKind.FIRING)]
        assert play.alerts[series_fingerprint(WHOLE.series)].log.status is NotificationStatus.ACKNOWLEDGED

    def test_a_higher_severity_notifies_again(self) -> None:
        play = Play()
        play.at(0, replace(PART, severity=Severity.WARNING))
        play.at(2, WHOLE, replace(BEHIND, severity=Severity.WARNING))
        play.at(4, WHOLE, replace(BEHIND, severity=Severity.WARNING))
        assert play.sent == [("on-call", NoticeKind.FIRING), ("on-call", NoticeKind.WORSE)]

    def test_an_unnotified_predecessor_has_no_page_to_continue(self) -> None:
        play = Play()
        play.at(0, WHOLE, BEHIND)
        assert play.sent == [("on-call", NoticeKind.FIRING)]
        assert play.notices[0].alert.page == series_fingerprint(WHOLE.series)

    def test_the_successor_waits_for_its_for(self) -> None:
        play = Play(Timing(for_ms=2000))
        play.at(0, PART)
        play.at(2, PART)
        play.at(3, WHOLE, BEHIND)
        assert play.sent == [("on-call", NoticeKind.FIRING)]
        play.at(5, WHOLE, BEHIND)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("on-call", NoticeKind.UPDATED)]

    def test_a_page_stays_open_while_its_successor_is_pending(self) -> None:
        play = Play(Timing(for_ms=300_000, clear_ms=60_000))
        for second in (0, 300):
            play.at(second, PART)
        for second in (400, 480, 699):
            play.at(second, FINE, WHOLE)
            assert play.sent == [("on-call", NoticeKind.FIRING)]
        play.at(700, FINE, WHOLE)
        play.at(702, FINE, WHOLE)
        assert play.alerts[series_fingerprint(PART.series)].status is Status.RESOLVED
        for second in (900, 960):
            play.at(second, WHOLE_FINE)
        assert [kind for _, kind in play.sent] == [NoticeKind.FIRING, NoticeKind.UPDATED, NoticeKind.RESOLVED]

    def test_a_successor_that_clears_while_pending_ends_the_page(self) -> None:
        play = Play(Timing(for_ms=300_000, clear_ms=60_000))
        for second in (0, 300):
            play.at(second, PART)
        for second in (400, 500):
            play.at(second, FINE, WHOLE)
        play.at(510, FINE, WHOLE_FINE)
        assert [kind for _, kind in play.sent] == [NoticeKind.FIRING, NoticeKind.RESOLVED]


class TestHandingBack:
    """An alert that still fires after its page was transferred notifies again."""

    @pytest.mark.parametrize("acknowledged", [False, True])
    def test_a_part_that_outlasts_the_end_notifies_again(self, acknowledged: bool) -> None:
        play = Play()
        play.at(0, PART)
        if acknowledged:
            play.acknowledge()
        play.at(1, PART)
        for second in (2, 3):
            play.at(second, WHOLE, BEHIND)
        play.at(60, WHOLE_FINE, BEHIND)
        assert play.sent[-1] == ("on-call", NoticeKind.RESOLVED)
        play.at(700, PART)
        assert play.sent[-1] == ("on-call", NoticeKind.FIRING)
        assert len({notice.id for notice in play.notices}) == len(play.notices)

    def test_a_returned_page_can_be_acknowledged(self) -> None:
        play = Play()
        play.at(0, PART)
        play.at(2, WHOLE, BEHIND)
        play.at(60, WHOLE_FINE, BEHIND)
        play.at(700, PART)
        part = play.alerts[series_fingerprint(PART.series)]
        play.acks[part.fingerprint] = Ack(T0, Severity.CRITICAL, "bob", play.now_ms + 1)
        play.at(701, PART)
        assert play.alerts[part.fingerprint].log.status is NotificationStatus.ACKNOWLEDGED

    def test_an_acknowledgement_during_the_transfer_applies(self) -> None:
        play = Play()
        play.at(0, PART)
        play.acknowledge()
        play.at(2, WHOLE, BEHIND)
        assert play.sent == [("on-call", NoticeKind.FIRING)]
        assert play.alerts[series_fingerprint(WHOLE.series)].log.status is NotificationStatus.ACKNOWLEDGED

    def test_a_page_returns_before_its_end_was_notified(self) -> None:
        play = Play(Timing(flap_count=1, flap_hold_ms=900_000))
        play.at(0, PART)
        play.at(2, WHOLE, BEHIND)
        play.at(4, WHOLE_FINE, BEHIND)
        play.at(700, WHOLE_FINE, PART)
        play.at(950, WHOLE_FINE, PART)
        assert play.alerts[series_fingerprint(WHOLE.series)].status is Status.RESOLVED
        play.at(1000, FINE)
        play.at(1900, FINE)
        assert [kind for _, kind in play.sent] == [
            NoticeKind.FIRING,
            NoticeKind.UPDATED,
            NoticeKind.UPDATED,
            NoticeKind.RESOLVED,
        ]
        assert {notice.alert.page for notice in play.notices} == {series_fingerprint(PART.series)}

    def test_a_page_open_overnight_notifies_in_the_morning(self) -> None:
        part, whole, behind = (replace(one, severity=Severity.WARNING) for one in (PART, WHOLE, BEHIND))
        play = Play()
        play.at(0, part)
        play.at(2, whole, behind)
        play.routing = replace(play.routing, quiet_hours=TestQuietHours.HOURS)
        play.at(3, WHOLE_FINE, FINE)
        for second in (100, 8 * 3600):
            play.at(second, replace(whole, continues=None))
        play.at(8 * 3600 + 60, WHOLE_FINE)
        assert [kind for _, kind in play.sent] == [
            NoticeKind.FIRING,
            NoticeKind.UPDATED,
            NoticeKind.REMINDER,
            NoticeKind.RESOLVED,
        ]
        assert {notice.alert.page for notice in play.notices} == {series_fingerprint(PART.series)}


class TestWhatItCameTo:
    def test_the_end_has_worst_value_loss_and_current_value(self) -> None:
        play = Play()
        dearer = replace(BAD, value=0.01, money_per_minute=6000)
        play.at(0, BAD)
        play.at(10, dearer)
        play.at(20, replace(dearer, value=0.03))
        play.at(30, replace(FINE, value=0.039))
        (_, over) = play.notices
        assert (over.alert.worst, over.alert.now) == (0.01, 0.039)
        since_s = (T0 - (BAD.since_ms or 0)) / 1000
        assert over.alert.lost == pytest.approx((1_234_500 * since_s + 6000 * 20) / 60)

    def test_each_incident_has_its_own_loss(self) -> None:
        play = Play()
        play.at(0, replace(BAD, value=0.001))
        play.at(1, FINE)
        play.at(2, BAD)
        assert (play.alert.worst, play.alert.now) == (BAD.value, None)

    def test_nothing_is_lost_while_it_is_clear(self) -> None:
        play = Play(Timing(clear_ms=900_000))
        play.at(0, BAD)
        before = play.alert.lost
        play.at(10, FINE)
        play.at(600, FINE)
        play.at(610, replace(BAD, since_ms=T0 + 605_000, money_per_minute=6000))
        assert play.alert.lost == pytest.approx((before or 0) + 6000 * 5 / 60)

    def test_an_unknown_gap_costs_at_most_a_minute(self) -> None:
        play = Play()
        play.at(0, BAD)
        before = play.alert.lost
        play.at(300, UNKNOWN)
        play.at(600, replace(BAD, money_per_minute=6000))
        assert play.alert.lost == pytest.approx((before or 0) + 6000)

    def test_a_measured_loss_is_taken_as_it_is(self) -> None:
        play = Play()
        play.at(0, replace(BAD, money_lost=5000))
        play.at(10, replace(BAD, money_lost=7000))
        play.at(20, replace(BAD, money_lost=6500))
        assert play.alert.lost == 6500, "a later measurement corrects an earlier one"
        play.at(30, replace(BAD, since_ms=T0 + 25_000, money_lost=100))
        assert play.alert.lost == 6600, "another breach of the same incident adds to it"

    def test_an_alert_names_all_that_it_has_explained(self) -> None:
        play, first, second = Play(), *(ExplainedSeries(Series(name), name) for name in ("cart-drop", "order-drop"))
        play.at(0, replace(BAD, explains=(first,)))
        play.at(10, replace(BAD, explains=(second,)))
        play.at(20, BAD)
        assert play.alert.finding.explains == (first, second)

    def test_some_alerts_have_no_loss(self) -> None:
        play = Play()
        play.at(0, replace(BAD, money_per_minute=None))
        play.at(1, replace(BAD, money_per_minute=None))
        assert play.alert.lost is None


class TestFlapping:
    def test_a_flapping_alert_is_one_page(self) -> None:
        play = Play(Timing(flap_count=3, flap_window_ms=600_000, flap_hold_ms=120_000))
        for second in range(0, 400, 10):
            play.at(second, BAD if second % 20 else FINE)
        assert [kind for _, kind in play.sent] == [NoticeKind.FIRING, NoticeKind.RESOLVED] * 2 + [NoticeKind.FIRING]

    def test_flapping_is_shown_and_ends_when_clear(self) -> None:
        play = Play(Timing(flap_count=2, flap_window_ms=600_000, flap_hold_ms=60_000))
        for second, found in enumerate([BAD, FINE, BAD, FINE]):
            play.at(second, found)
        assert (play.alert.status, play.alert.log.status) == (Status.FIRING, NotificationStatus.FLAPPING)
        play.at(63, FINE)
        assert play.alert.status is Status.RESOLVED
        assert play.sent[-1] == ("on-call", NoticeKind.RESOLVED)


class TestHeldBack:
    def test_an_inhibited_alert_names_the_inhibiting_one(self) -> None:
        play = Play()
        play.at(0, HELD)
        assert (play.alert.status, play.alert.log.status) == (Status.PENDING, NotificationStatus.INHIBITED)
        assert play.alert.log.suppressed_by == 'lag{topic="orders"}'
        assert not play.sent

    def test_for_restarts_when_the_inhibition_ends(self) -> None:
        play = Play(Timing(for_ms=10_000))
        for second in (0, 10, 20):
            play.at(second, HELD)
        play.at(30, BAD)
        assert play.alert.status is Status.PENDING
        play.at(40, BAD)
        assert play.alert.status is Status.FIRING

    def test_an_inhibited_firing_alert_is_neither_resolved_nor_notified(self) -> None:
        play = Play(routing=to("on-call", repeat_interval_ms=1000))
        play.at(0, BAD)
        play.at(5, HELD)
        assert (play.alert.status, play.alert.log.status) == (Status.FIRING, NotificationStatus.INHIBITED)
        assert len(play.sent) == 1


class TestEscalation:
    ROUTING = Routing(
        routes=(
            Route(
                escalation=(
                    EscalationStep(after_ms=0, receivers=("on-call",)),
                    EscalationStep(after_ms=300_000, receivers=("lead",)),
                )
            ),
        )
    )

    def test_the_next_step_is_notified_without_acknowledgement(self) -> None:
        play = Play(routing=self.ROUTING)
        for second in (0, 299, 300, 301):
            play.at(second, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("lead", NoticeKind.ESCALATED)]

    def test_escalation_restarts_after_a_silence(self) -> None:
        play = Play(routing=self.ROUTING)
        play.silences = [silence("rule=conversion-drop", ends_ms=T0 + 3_600_000)]
        for second in (0, 3599, 3600, 3899, 3900):
            play.at(second, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("lead", NoticeKind.ESCALATED)]
        assert [notice.created_ms - T0 for notice in play.notices] == [3_600_000, 3_900_000]

    def test_a_repeated_notification_escalates_step_by_step(self) -> None:
        play = Play(routing=self.ROUTING)
        play.at(0, PART)
        for second in (1, 2):
            play.at(second, WHOLE, BEHIND)
        play.at(60, WHOLE_FINE, BEHIND)
        for second in (700, 701, 1000):
            play.at(second, PART)
        assert play.sent[-2:] == [("on-call", NoticeKind.FIRING), ("lead", NoticeKind.ESCALATED)]
        assert [notice.created_ms - T0 for notice in play.notices[-2:]] == [700_000, 1_000_000]

    def test_a_silence_after_the_first_notification_delays_no_step(self) -> None:
        play = Play(routing=self.ROUTING)
        play.at(0, BAD)
        play.silences = [silence("rule=conversion-drop", ends_ms=T0 + 400_000)]
        for second in (1, 399, 400):
            play.at(second, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("lead", NoticeKind.ESCALATED)]

    def test_an_acknowledgement_stops_the_escalation(self) -> None:
        play = Play(routing=self.ROUTING)
        play.at(0, BAD)
        play.acknowledge("ada")
        play.at(300, BAD)
        assert (play.alert.log.status, play.alert.log.suppressed_by) == (NotificationStatus.ACKNOWLEDGED, "ada")
        play.at(301, FINE)
        assert play.sent == [("on-call", NoticeKind.FIRING), ("on-call", NoticeKind.RESOLVED)]

    def test_a_higher_severity_after_acknowledgement_notifies_again(self) -> None:
        play = Play()
        play.at(0, WARNING)
        play.acknowledge()
        play.at(1, WARNING)
        play.at(2, BAD)
        assert play.sent[-1] == ("on-call", NoticeKind.WORSE)

    def test_an_acknowledgement_applies_to_one_incident(self) -> None:
        play = Play()
        play.at(0, BAD)
        play.acknowledge()
        for second, found in enumerate([BAD, FINE, BAD], 1):
            play.at(second, found)
        assert play.sent[-1] == ("on-call", NoticeKind.FIRING)

    def test_a_resolved_alert_does_not_escalate(self) -> None:
        play = Play(Timing(clear_ms=600_000), self.ROUTING)
        play.at(0, BAD)
        play.at(200, FINE)
        play.at(400, FINE)
        assert len(play.sent) == 1


def silence(*matchers: str, **fields: object) -> Silence:
    given = {"id": "s-1", "starts_ms": T0, "ends_ms": T0 + 60_000} | fields
    return Silence(matchers=tuple(map(Matcher.parse, matchers)), **given)  # type: ignore[arg-type]


class TestSilences:
    def test_notifications_are_sent_after_the_silence(self) -> None:
        play = Play()
        play.silences = [silence("rule=conversion-drop", "channel=~a.*")]
        play.at(0, BAD)
        assert (play.alert.log.status, play.alert.log.suppressed_by) == (NotificationStatus.SILENCED, "s-1")
        play.at(60, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING)]

    def test_a_silenced_end_is_notified(self) -> None:
        play = Play()
        play.at(0, BAD)
        play.silences = [silence("rule=conversion-drop")]
        play.at(1, FINE)
        assert play.sent[-1] == ("on-call", NoticeKind.RESOLVED)

    @pytest.mark.parametrize(
        ("one", "silenced"),
        [
            (silence("rule=other"), False),
            (silence("rule=conversion-drop", "channel!=app"), False),
            (silence("region="), True),
            (silence("severity=critical", "alert_category=business"), True),
            (silence("channel!~w.*"), True),
            (silence("rule=~.*", promotion="d11"), True),
            (silence("rule=~.*", promotion="d12"), False),
            (silence("rule=~.*", promotion="*"), True),
            (silence("rule=~.*", weekly=WeeklyInterval(days=(2,), start_minute=0, end_minute=60)), True),
            (silence("rule=~.*", weekly=WeeklyInterval(days=(3,), start_minute=0, end_minute=60)), False),
            (silence("rule=~[a-z]+"), False),
        ],
        ids=str,
    )
    def test_which_alerts_a_silence_matches(self, one: Silence, silenced: bool) -> None:
        play = Play()
        play.running = {"d11"}
        play.silences = [one]
        play.at(0, BAD)
        assert (play.alert.log.status is NotificationStatus.SILENCED) is silenced


class TestQuietHours:
    HOURS = (WeeklyInterval(start_minute=23 * 60, end_minute=8 * 60),)  # T0 is midnight

    def test_critical_alerts_notify_in_quiet_hours(self) -> None:
        play = Play(routing=replace(to("on-call"), quiet_hours=self.HOURS))
        play.at(0, BAD)
        assert play.sent == [("on-call", NoticeKind.FIRING)]

    def test_other_alerts_notify_after_quiet_hours_if_they_still_fire(self) -> None:
        play = Play(routing=replace(to("on-call"), quiet_hours=self.HOURS))
        play.at(0, WARNING)
        assert play.alert.log.status is NotificationStatus.QUIET_HOURS
        play.at(8 * 3600, WARNING)
        assert play.sent == [("on-call", NoticeKind.FIRING)]

    def test_a_delayed_first_step_counts_from_the_end_of_quiet_hours(self) -> None:
        play = Play(routing=replace(to("on-call", after_ms=600_000), quiet_hours=self.HOURS))
        notified_s, changes = [], 0
        for second in range(0, 9 * 3600, 20):
            tick = play.at(second, WARNING)
            changes += len(tick.changes)
            notified_s += [second] * len(tick.notices)
        assert notified_s == [8 * 3600 + 600]
        assert changes <= 5

    def test_an_end_is_notified_after_quiet_hours(self) -> None:
        play = Play(routing=to("on-call"))
        play.at(0, WARNING)
        play.routing = replace(play.routing, quiet_hours=self.HOURS)
        play.at(1, FINE)
        assert (play.alert.status, play.alert.log.status) == (Status.RESOLVED, NotificationStatus.QUIET_HOURS)
        play.at(8 * 3600)
        assert play.sent[-1] == ("on-call", NoticeKind.RESOLVED)


class TestWhatIsWritten:
    def test_every_change_is_reported_once(self) -> None:
        play = Play(Timing(for_ms=1000))
        kinds = [change.kind for s, f in enumerate([BAD, BAD, BAD, FINE, FINE]) for change in play.at(s, f).changes]
        assert kinds == [ChangeKind.PENDING, ChangeKind.FIRING, ChangeKind.RESOLVED]

    def test_numbers_are_refreshed_without_a_change(self) -> None:
        play = Play()
        play.at(0, BAD)
        play.at(1, BAD)  # notified becomes unchanged
        assert play.at(5, BAD).updated_alerts == ()
        fresh = play.at(11, BAD)
        assert (len(fresh.updated_alerts), fresh.changes) == (1, ())

    def test_alerts_are_independent(self) -> None:
        play = Play()
        web = finding(labels={"channel": "web"})
        play.at(0, BAD, web)
        play.at(1, FINE, web)
        assert {dict(a.series.labels)["channel"]: a.status for a in play.alerts.values()} == {
            "app": Status.RESOLVED,
            "web": Status.FIRING,
        }
