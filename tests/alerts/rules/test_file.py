"""Rule files and their errors."""

from __future__ import annotations

import pytest

from alerts.rules.detect import SequentialDetector
from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.rules.rule import Rules
from consumers.topics import Topic

ONE = """
rules:
  - name: conversion-drop
    title: Conversion dropped
    for_each: [all, channel]
    for: 90s
    detect:
      kind: sequential
      count: orders_created
      per: [product_views]
      least_effect: 15%
    during:
      - when: {phases: [opening], first: 10m}
        detect: {least_effect: 30%}
"""


def rules_of(text: str) -> Rules:
    read = read_rules(text)
    assert read.errors == ()
    assert read.rules is not None
    return read.rules


def faults_of(text: str) -> list[tuple[int, str]]:
    read = read_rules(text)
    assert read.rules is None
    return [(fault.line, fault.message) for fault in read.errors]


def test_numbers_may_have_units() -> None:
    (rule,) = rules_of(ONE).rules
    assert rule.for_s == 90.0
    assert isinstance(rule.detect, SequentialDetector)
    assert rule.detect.count == ("orders_created",)
    assert rule.detect.least_effect == pytest.approx(0.15)


def test_a_phase_overrides_thresholds() -> None:
    (rule,) = rules_of(ONE).rules
    during = rule.detector(frozenset({0}))
    assert isinstance(during, SequentialDetector)
    assert during.least_effect == pytest.approx(0.30)
    assert during.count == ("orders_created",), "what is not named stays"


def test_a_rule_knows_its_topics() -> None:
    (rule,) = rules_of(ONE).rules
    assert rule.topics == {Topic.CLICKS, Topic.ORDERS}


def test_the_default_rules_are_valid() -> None:
    rules = rules_of(default_text())
    assert len(rules.rules) >= 25
    assert all(rule.runbook for rule in rules.rules)


@pytest.mark.parametrize(
    ("wrong", "right", "line", "expected"),
    [
        ("for: 90s", "for: 90", 6, "write a number with its unit"),
        ("least_effect: 15%", "least_efect: 15%", 11, "do you mean `least_effect`?"),
        ("count: orders_created", "count: order_created", 9, "there is no counter 'order_created'"),
        ("kind: sequential", "kind: sequentiel", 7, "`kind` sequentiel is not one of"),
        ("    title: Conversion dropped\n", "", 3, "`title` is missing"),
        ("detect: {least_effect: 30%}", "detect: {least_effect: much}", 3, "least_effect"),
        ("[all, channel]", "[all, chanel]", 5, "'chanel'"),
        ("rules:", "rules: 3", 2, ""),
    ],
)
def test_an_error_has_its_line(wrong: str, right: str, line: int, expected: str) -> None:
    assert wrong in ONE
    (first, *_) = faults_of(ONE.replace(wrong, right))
    if expected:
        assert first[0] == line
        assert expected in first[1]


def test_all_errors_are_listed() -> None:
    text = ONE.replace("for: 90s", "for: soon").replace("[all, channel]", "[everywhere]")
    assert [line for line, _ in faults_of(text)] == [5, 6]


def test_an_unknown_number_is_refused() -> None:
    text = "rules: [{name: a, title: b, detect: {kind: threshold, value: roaz, above: 1}}]"
    assert "do you mean 'roas'?" in faults_of(text)[0][1]


@pytest.mark.parametrize(
    ("detect", "for_each", "expected"),
    [
        ("value: gmv, below: 1, least: [orders_due, 9]", "[region, category]", "remove category from `for_each`"),
        ("value: orders_due, above: 1", "[sku]", "exists in scope all, promotion, channel, region only"),
        ("value: expected_breach_rate, above: 1", "[all, region]", "remove region from"),
        ("value: target_probability.base, below: 1", "[all]", "exists in scope promotion only"),
    ],
)
def test_a_number_is_refused_in_scopes_without_it(detect: str, for_each: str, expected: str) -> None:
    text = f"rules:\n- {{name: a, title: b, for_each: {for_each}, detect: {{kind: threshold, {detect}}}}}"
    ((line, message),) = faults_of(text)
    assert line == 2
    assert expected in message


@pytest.mark.parametrize(("kind", "scope"), [("stock", "sku"), ("share", "source")])
def test_a_rule_of_one_scope_is_refused_in_others(kind: str, scope: str) -> None:
    text = "rules: [{name: a, title: b, for_each: [%s], detect: {kind: %s}}]"
    assert rules_of(text % (scope, kind)).rules
    for other in ("all", "channel", f"all, {scope}"):
        assert f"write `for_each: [{scope}]`" in faults_of(text % (other, kind))[0][1]


def test_a_threshold_clears_on_the_right_side() -> None:
    text = "rules: [{name: a, title: b, detect: {kind: threshold, value: roas, below: 1, clear: 0.5}}]"
    assert "on the clear side" in faults_of(text)[0][1]


def test_the_delay_of_a_loss_that_is_not_counted_is_refused() -> None:
    text = "rules: [{name: a, title: b, detect: {kind: sequential, count: checkouts, per: cart_adds, loss_lag: 15s%s}}]"
    assert "`loss_lag` without `loss`" in faults_of(text % "")[0][1]
    assert rules_of(text % ", loss: orders_created").rules


def test_names_are_unique() -> None:
    rule = "{name: a, title: b, detect: {kind: threshold, value: roas, below: 1}}"
    ((_, expected),) = faults_of(f"rules: [{rule}, {rule}]")
    assert "defined twice" in expected
    text = f"rules:\n- {rule}\n- {rule.replace('a,', 'b,')}\n\n- {rule}\n- {rule}"
    assert [line for line, _ in faults_of(text)] == [5, 6]
    assert faults_of(text)[0][1] == "rule 'a' is defined twice, first in line 2: rename or remove one"
    both = faults_of(text.replace("name: b, title: b", "name: b"))
    assert [line for line, _ in both] == [3, 5, 6], "with every other fault"


@pytest.mark.parametrize(
    ("detect", "expected"),
    [
        ("kind: sequential, count: orders_paid, per: checkouts, least_effect: 300%", "must be less than 100%"),
        (
            "kind: sequential, count: orders_paid, per: checkouts, direction: drop, least_effect: 1",
            "must be less than 100%",
        ),
        ("kind: change, value: orders_paid, direction: drop, by: 100%", "`by` of a counter's drop must be less than"),
        ("kind: change, value: gmv, direction: rise, by: 20%, clear_by: 30%", "`clear_by` must be at most `by`"),
    ],
)
def test_an_impossible_change_is_refused(detect: str, expected: str) -> None:
    text = f"rules: [{{name: a, title: b, detect: {{{detect}}}}}]"
    assert expected in faults_of(text)[0][1]


@pytest.mark.parametrize(
    "detect",
    [
        "kind: sequential, count: orders_paid, per: checkouts, direction: rise, least_effect: 300%",
        "kind: sequential, count: orders_paid, per: checkouts, least_effect: 99%",
        "kind: change, value: net_gmv, direction: drop, by: 150%",
        "kind: change, value: orders_paid, direction: rise, by: 200%",
    ],
)
def test_a_large_possible_change_is_accepted(detect: str) -> None:
    rules_of(f"rules: [{{name: a, title: b, detect: {{{detect}}}}}]")


def test_an_impossible_change_of_a_phase_is_refused() -> None:
    assert "must be less than 100%" in faults_of(ONE.replace("30%", "300%"))[0][1]
