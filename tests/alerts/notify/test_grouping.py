"""Grouping within the rate limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alerts.findings import Severity
from alerts.notify.grouping import GroupingReason, RateLimit, Send, Wait, next_message
from alerts.notify.message import MAX_NOTICES
from alerts.state.notices import Notice, NoticeKind
from tests.alerts.builders import T0, finding
from tests.alerts.notify.notices import many, noticed

FIVE = RateLimit(5)


def sent(step: Send | Wait | None) -> Send:
    assert isinstance(step, Send), step
    return step


def test_one_incident_is_one_message() -> None:
    rows = [finding(labels={"channel": name}, incident="drop") for name in ("app", "web", "live")]
    assert len(sent(next_message(noticed(*rows), [], FIVE, T0)).notices) == 3


def test_each_incident_has_its_message_most_severe_first() -> None:
    notices = noticed(*many(3), finding(incident="other"))
    first = sent(next_message(notices, [], RateLimit(20), T0))
    assert ([n.alert.series.rule for n in first.notices], first.reason) == (["conversion-drop"], GroupingReason.GROUPED)
    assert first.notices[0].critical


def test_a_digest_is_sent_if_the_rate_limit_has_no_room() -> None:
    step = sent(next_message(noticed(*many(10)), [], FIVE, T0))
    assert (len(step.notices), step.reason) == (10, GroupingReason.DIGEST)


def test_the_last_messages_are_reserved_for_critical_notices() -> None:
    used = [T0 + 1000 * i for i in range(4)]
    assert next_message(noticed(*many(1)), used, FIVE, T0 + 4000) == Wait(T0 + 60_000, GroupingReason.RESERVED)
    assert isinstance(next_message(noticed(finding()), used, FIVE, T0 + 4000), Send)


def test_a_reached_rate_limit_delays_messages() -> None:
    used = [T0 + 1000 * i for i in range(5)]
    assert next_message(noticed(finding()), used, FIVE, T0 + 5000) == Wait(T0 + 60_000, GroupingReason.RATE_LIMITED)
    assert isinstance(next_message(noticed(finding()), used, FIVE, T0 + 60_000), Send)


def test_a_start_is_in_the_message_of_its_end() -> None:
    begin = noticed(*many(MAX_NOTICES + 5))
    end = noticed(*many(MAX_NOTICES + 5), over=True)
    worse_end = replace(end[0], alert=replace(end[0].alert, severity=Severity.CRITICAL))
    step = sent(next_message([*begin, worse_end, *end[1:]], [], FIVE, T0))
    kinds = {(n.alert.fingerprint, n.kind) for n in step.notices}
    assert (worse_end.alert.fingerprint, NoticeKind.RESOLVED) in kinds
    assert all((name, NoticeKind.FIRING) in kinds for name, kind in kinds if kind is NoticeKind.RESOLVED)


def test_a_notice_refused_in_a_group_is_sent_alone_and_last() -> None:
    first, *others = noticed(*(replace(one, incident="same") for one in many(3)))
    refused = replace(first, alone=True)
    assert refused not in sent(next_message([refused, *others], [], FIVE, T0)).notices
    assert sent(next_message([refused], [], FIVE, T0)) == Send((refused,), GroupingReason.ALONE)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(Severity), st.integers(0, 3)), max_size=80),
    st.integers(1, 8),
)
def test_the_rate_limit_holds_without_loss_and_critical_notices_come_first(
    coming: Sequence[tuple[int, Severity, int]], rate: int
) -> None:
    """Ten minutes of notices sent by the grouping's decisions."""
    due: list[Notice] = []
    attempts: list[int] = []
    arrived: dict[str, int] = {}
    arrivals = {}
    for place, (second, severity, incident) in enumerate(coming):
        (one,) = noticed(finding(labels={"sku": f"s-{place}"}, severity=severity, incident=f"i-{incident}"))
        arrivals[one.id] = (second, one)
    for second in range(900):
        now_ms = T0 + 1000 * second
        due += [one for at, one in arrivals.values() if at == second]
        while isinstance(step := next_message(due, attempts, RateLimit(rate), now_ms), Send):
            attempts.append(now_ms)
            arrived |= dict.fromkeys((n.id for n in step.notices), second)
            if any(n.critical for n in due):
                assert any(n.critical for n in step.notices)
            due = [n for n in due if n not in step.notices]
        assert len([at for at in attempts if at > now_ms - 60_000]) <= rate
    assert arrived.keys() == arrivals.keys()
