"""Lasting problems are logged at once, on changes and periodically."""

from __future__ import annotations

from streams.log_pace import AGAIN_AFTER_S, LogPace


def test_a_lasting_problem_is_logged_at_once_and_every_thirty_seconds() -> None:
    pace = LogPace()
    assert [second for second in range(100) if pace.is_due("refused", second)] == [0, 31, 62, 93]
    assert AGAIN_AFTER_S == 30


def test_a_changed_problem_is_logged_at_once() -> None:
    pace = LogPace()
    assert [pace.is_due(text, 5) for text in ("down", "down", "refused", "down", "down")] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_the_first_problem_is_logged_at_any_clock() -> None:
    assert LogPace().is_due("", 0)
