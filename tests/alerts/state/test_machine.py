"""Invariants of alerts, tested with random sequences."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts.findings import Condition, Finding, Severity
from alerts.findings import FindingReason as Cause
from alerts.state.alert import Status
from alerts.state.notices import NoticeKind
from alerts.state.notification_log import Ack
from alerts.state.policy import EscalationStep, Route, Routing, Timing
from alerts.state.silences import Matcher, Silence, WeeklyInterval
from tests.alerts.builders import T0, finding
from tests.alerts.state.alert_play import Play

CHANNELS = ("app", "web")
REASONS = st.sampled_from(
    [Cause.EVIDENCE, Cause.BEYOND, Cause.WITHIN, Cause.GONE, Cause.NO_DATA, Cause.DATA_FAULT, Cause.PARENT]
)
ROUTING = Routing(
    routes=(
        Route(matchers=(Matcher.parse("severity=info"),), escalation=()),
        Route(
            escalation=(
                EscalationStep(after_ms=0, receivers=("chat", "pager")),
                EscalationStep(after_ms=40_000, receivers=("lead", "chat")),
            ),
            repeat_interval_ms=100_000,
        ),
    ),
    quiet_hours=(WeeklyInterval(start_minute=2, end_minute=5),),
)


class AlertsOfTwoChannels(RuleBasedStateMachine):
    """Evaluations at random intervals, with silences and acknowledgements."""

    @initialize(
        for_s=st.integers(0, 20),
        clear_s=st.integers(0, 20),
        flap_count=st.integers(0, 3),
        hold_s=st.integers(0, 60),
        digest_s=st.sampled_from([0, 10, 60]),
    )
    def begin(self, for_s: int, clear_s: int, flap_count: int, hold_s: int, digest_s: int) -> None:
        self.play = Play(
            Timing(
                for_ms=for_s * 1000,
                clear_ms=clear_s * 1000,
                digest_ms=digest_s * 1000,
                flap_count=flap_count,
                flap_window_ms=120_000,
                flap_hold_ms=hold_s * 1000,
            ),
            ROUTING,
        )
        self.second = 0
        self.sure: dict[str, int | None] = {}  # channel -> start of its uninterrupted breach

    @rule(
        after_s=st.integers(1, 30),
        found=st.dictionaries(
            st.sampled_from(CHANNELS),
            st.tuples(REASONS, st.sampled_from(Severity), st.integers(0, 2)),
            max_size=2,
        ),
    )
    def evaluate(self, after_s: int, found: dict[str, tuple[Cause, Severity, int]]) -> None:
        self.second += after_s
        findings = [finding_of(channel, *what) for channel, what in found.items()]
        conditions = {channel: one.condition for channel, one in zip(found, findings, strict=True)}
        for channel in CHANNELS:
            condition = conditions.get(channel, Condition.OK)
            if condition is Condition.BREACHED:
                self.sure[channel] = self.sure.get(channel) or self.second
            elif condition is not Condition.UNKNOWN:
                self.sure[channel] = None
        self.play.at(self.second, *findings)

    @rule()
    def acknowledge(self) -> None:
        for alert in self.play.alerts.values():
            if alert.status is Status.FIRING:
                assert alert.fired_ms is not None
                self.play.acks[alert.fingerprint] = Ack(alert.fired_ms, alert.severity, "ada", self.play.now_ms)

    @rule(for_s=st.integers(1, 100), channel=st.sampled_from(CHANNELS))
    def silence(self, for_s: int, channel: str) -> None:
        now_ms = T0 + self.second * 1000
        self.play.silences = [
            Silence(
                id="s", matchers=(Matcher.parse(f"channel={channel}"),), starts_ms=now_ms, ends_ms=now_ms + for_s * 1000
            )
        ]

    @invariant()
    def starts_and_ends_are_notified_once(self) -> None:
        believes: dict[tuple[str, str], bool] = {}
        for notice in self.play.notices:
            who = (notice.receiver, notice.alert.fingerprint)
            if notice.kind in (NoticeKind.FIRING, NoticeKind.ESCALATED):
                assert not believes.get(who)
            else:
                assert believes.get(who)
            believes[who] = notice.kind is not NoticeKind.RESOLVED

    @invariant()
    def every_notice_has_a_unique_id(self) -> None:
        names = [notice.id for notice in self.play.notices]
        assert len(set(names)) == len(names)

    @invariant()
    def notified_receivers_match_the_notices(self) -> None:
        believe = set()
        for notice in self.play.notices:
            who = (notice.receiver, notice.alert.fingerprint)
            believe.discard(who) if notice.kind is NoticeKind.RESOLVED else believe.add(who)
        assert believe == {
            (notified.receiver, a.fingerprint) for a in self.play.alerts.values() for notified in a.log.notified
        }

    @invariant()
    def a_breach_longer_than_for_fires(self) -> None:
        firing = {dict(a.series.labels)["channel"] for a in self.play.alerts.values() if a.status is Status.FIRING}
        for channel, since in self.sure.items():
            if since is not None and (self.second - since) * 1000 >= self.play.timing.for_ms and self._just(channel):
                assert channel in firing

    def _just(self, channel: str) -> bool:
        """Whether it was breached in the last evaluation."""
        return any(
            dict(a.series.labels)["channel"] == channel
            and a.finding.condition is Condition.BREACHED
            and a.finding.as_of_ms == self.play.now_ms
            for a in self.play.alerts.values()
        )

    def teardown(self) -> None:
        """Outside quiet hours and after a long clear period, no receiver believes that an alert fires."""
        self.play.silences = []
        day = 86_400
        for second in (0, 100, 1000):
            self.play.at((self.second // day + 1) * day + 43_200 + second)
        assert all(a.status is Status.RESOLVED and not a.log.notified for a in self.play.alerts.values())
        self.notified_receivers_match_the_notices()


def finding_of(channel: str, reason: Cause, severity: Severity, stage: int) -> Finding:
    return replace(finding(reason=reason, labels={"channel": channel}, severity=severity), stage=stage)


TestAlertsOfTwoChannels = AlertsOfTwoChannels.TestCase
TestAlertsOfTwoChannels.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
