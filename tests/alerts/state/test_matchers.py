"""Matchers of silences and routes."""

from __future__ import annotations

import pytest

from alerts.state.silences import Matcher


@pytest.mark.parametrize(
    ("matcher", "matching", "others"),
    [
        ("channel=app", ["app"], ["", "mini", "app2"]),
        ("channel!=app", ["", "mini"], ["app"]),
        ("channel=~a.*", ["app", "a"], ["", "mini-app"]),
        ("channel!~a.*|m", ["mini", ""], ["app", "m"]),
    ],
)
def test_a_matcher_compares_the_whole_label_value(matcher: str, matching: list[str], others: list[str]) -> None:
    values = [*matching, *others]
    assert [value for value in values if Matcher.parse(matcher).matches({"channel": value})] == matching


def test_a_missing_label_is_the_empty_string() -> None:
    assert Matcher.parse("channel=~.*").matches({})
    assert not Matcher.parse("channel=app").matches({})


def test_an_adverse_regular_expression_is_matched_in_linear_time() -> None:
    assert not Matcher.parse("channel=~(a+)+b").matches({"channel": "a" * 128})
