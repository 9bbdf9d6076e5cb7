"""Parsing and formatting of times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.times import format_local_time, parse_time_ms

MIDNIGHT = 1_794_326_400_000
"""2026-11-11 00:00 in Shanghai, 2026-11-10 16:00 UTC."""


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-11 00:00",
        "2026-11-11",
        "2026-11-11T00:00:00",
        " 2026-11-11 00:00:00.000 ",
        "2026-11-10T16:00Z",
        "2026-11-10 17:00+01:00",
        "1794326400000",
    ],
)
def test_local_time_iso_8601_and_epoch_ms_are_equivalent(text: str) -> None:
    assert parse_time_ms(text, "Asia/Shanghai") == MIDNIGHT


def test_local_time_uses_the_zones_offset_on_that_day() -> None:
    summer, winter = (parse_time_ms(f"2026-{month}-01 12:00", "Europe/Berlin") for month in ("07", "12"))
    assert [datetime.fromtimestamp(at / 1000, UTC).hour for at in (summer, winter)] == [10, 11]


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("11.11.2026", "is not a time: write local time such as"),
        ("2026-11-11 24:30", "is not a time"),
        ("tomorrow", "is not a time"),
        ("1794326400", "is in 1970: write epoch milliseconds"),
        ("2026-03-29 02:30", "does not exist in Europe/Berlin because clocks are put forward: write 2026-03-29 03:30"),
        ("2026-10-25 02:30", r"happens twice in Europe/Berlin because clocks change: .* 2026-10-25T02:30:00\+02:00"),
    ],
)
def test_an_invalid_or_ambiguous_time_is_rejected_with_a_fix(text: str, expected_text: str) -> None:
    with pytest.raises(ValueError, match=expected_text):
        parse_time_ms(text, "Europe/Berlin")


@given(st.integers(10**10, 4 * 10**12).map(lambda at: at // 1000 * 1000), st.sampled_from(["Asia/Kolkata", "UTC"]))
def test_formatted_times_can_be_parsed(at_ms: int, timezone: str) -> None:
    assert parse_time_ms(format_local_time(at_ms, timezone), timezone) == at_ms
