"""The interval of evaluations by the length of a sale."""

from __future__ import annotations

import pytest

from alerts.rehearsal.pace import MAX_EVALUATIONS, MAX_STEPS, pace
from alerts.rules.loader import default_text, load
from consumers.times import format_setting_duration

DAY_S = 86_400


@pytest.mark.parametrize(
    ("length_s", "every_s", "step_s"),
    [
        (0, 5, 10),
        (3600, 5, 10),
        (DAY_S / 2, 5, 10),
        (7 * DAY_S, 300, 60),
        (522 * DAY_S, 7200, 3600),
        (100_000 * DAY_S, DAY_S, 3600),
    ],
)
def test_the_interval_depends_on_the_length(length_s: float, every_s: float, step_s: int) -> None:
    chosen = pace(length_s)
    assert (chosen.every_s, chosen.step_s, chosen.chosen) == (every_s, step_s, True)


@pytest.mark.parametrize("days", [1, 30, 522])
def test_evaluations_and_steps_are_limited(days: int) -> None:
    chosen = pace(days * DAY_S)
    assert days * DAY_S / chosen.every_s <= MAX_EVALUATIONS
    assert days * DAY_S / chosen.step_s <= MAX_STEPS


def test_a_requested_interval_also_limits_the_steps() -> None:
    assert (pace(522 * DAY_S, 60).every_s, pace(522 * DAY_S, 60).step_s) == (60, 60)
    assert (pace(3600, 900).every_s, pace(3600, 900).step_s) == (900, 10)


def test_missed_incidents_are_described() -> None:
    assert pace(3600).describe() == "an evaluation every 5s (for the length of it; --every sets it)"
    assert pace(3600, 5).describe() == "an evaluation every 5s"
    text = pace(522 * DAY_S).describe()
    assert "every 2h" in text
    assert "steps of 1h: shorter incidents are missed" in text


def test_times_are_written_as_they_are_given() -> None:
    assert [format_setting_duration(seconds) for seconds in (1.5, 5, 90, 900, 7200, 86_400)] == [
        "1.5s",
        "5s",
        "90s",
        "15m",
        "2h",
        "1d",
    ]


def test_rules_that_need_shorter_steps_are_left_out_and_named() -> None:
    rules = load(default_text(), "default").rules
    assert pace(3600).left_out(rules) == ()
    assert pace(3600).describe_left_out(rules) == ""
    assert pace(3600).fitting(rules) == rules
    assert pace(7 * DAY_S).left_out(rules) == ("payment-drop", "order-drop", "cart-drop")
    coarse = pace(522 * DAY_S)
    late = ("checkout-drop", "conversion-drop", "refund-surge", "cancellation-surge")
    assert set(coarse.left_out(rules)) == {"payment-drop", "order-drop", "cart-drop", *late}
    off = {rule.name for rule in coarse.fitting(rules).rules if not rule.enabled}
    assert off == set(coarse.left_out(rules)), "payment failures are a share of what they are part of: any step will do"
    text = coarse.describe_left_out(rules)
    assert "payment-drop, order-drop" in text
    assert "--every 10s has all of them judged, or --until no more than 55h after the beginning" in text


def test_the_suggested_interval_leaves_no_rule_out() -> None:
    rules = load(default_text(), "default").rules
    assert pace(522 * DAY_S, 10).left_out(rules) == ()
    assert pace(55 * 3600).left_out(rules) == ()
