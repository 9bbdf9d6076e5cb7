"""A file of promotions gives definitions, or all its errors with lines and fixes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.decoding import PromotionChange, decode_promotion
from consumers.contract.events import Phase, Promotion, Targets
from consumers.promotions.file import encode_promotion, read_promotions
from consumers.times import parse_time_ms

WHOLE = """\
promotions:
  - promotion_id: d11-2026
    name: Double Eleven 2026
    timezone: Asia/Shanghai
    starts_at: 2026-11-10 20:00
    ends_at: 2026-11-12 00:00
    phases:
      - {name: opening, starts_at: 2026-11-10 20:00, ends_at: 2026-11-11 02:00}
      - name: burst
        starts_at: 2026-11-11T02:00
        ends_at: 1794412800000
    targets: {base: 80_000_000, sprint: 100000000, challenge: 100000000}
    skus: [s-1, 0123, no]
    baseline: d11-2025
"""


def at(text: str) -> int:
    return parse_time_ms(text, "Asia/Shanghai")


def test_a_promotion_with_all_fields_is_read() -> None:
    found = read_promotions(WHOLE)
    assert found.errors == ()
    assert found.promotions == (
        Promotion(
            promotion_id="d11-2026",
            name="Double Eleven 2026",
            timezone="Asia/Shanghai",
            starts_at=at("2026-11-10 20:00"),
            ends_at=at("2026-11-12 00:00"),
            phases=(
                Phase(name="opening", starts_at=at("2026-11-10 20:00"), ends_at=at("2026-11-11 02:00")),
                Phase(name="burst", starts_at=at("2026-11-11 02:00"), ends_at=at("2026-11-12 00:00")),
            ),
            targets=Targets(base=80_000_000, sprint=100_000_000, challenge=100_000_000),
            skus=("s-1", "0123", "no"),
            baseline="d11-2025",
        ),
    )


LEAST = "promotion_id: p\nname: P\ntimezone: UTC\nstarts_at: 2026-11-11\nends_at: 2026-11-12\n"


@pytest.mark.parametrize(
    "text",
    [
        LEAST,
        "promotions:\n" + re.sub("^", "    ", LEAST, flags=re.M).replace("    promotion_id", "  - promotion_id", 1),
    ],
)
def test_optional_fields_may_be_absent_and_a_single_promotion_needs_no_list(text: str) -> None:
    (promotion,) = read_promotions(text).promotions
    assert (promotion.promotion_id, promotion.phases, promotion.targets, promotion.skus) == ("p", None, None, None)


def test_null_is_absent() -> None:
    (promotion,) = read_promotions(LEAST + "phases:\ntargets: ~\nbaseline: null\n").promotions
    assert (promotion.phases, promotion.targets, promotion.baseline) == (None, None, None)


def test_a_definition_round_trips_through_the_topic() -> None:
    (promotion,) = read_promotions(WHOLE).promotions
    assert decode_promotion(b"d11-2026", encode_promotion(promotion)) == PromotionChange("d11-2026", promotion)


PHASES = LEAST + "phases:\n  - {name: a, starts_at: 2026-11-11, ends_at: 2026-11-11 12:00}\n"


def second(times: str) -> str:
    """With one more phase, on line 8."""
    return PHASES + f"  - {{name: b, {times}}}\n"


@pytest.mark.parametrize(
    ("text", "line", "expected_text"),
    [
        ("", 1, "no promotions: write a list of them"),
        ("promotions: []\n", 1, "no promotions"),
        ("promotions:\n  - 3\n", 2, "not a promotion"),
        (f"{LEAST}promotions: []\n", 1, "`promotion_id` beside `promotions`"),
        (LEAST.replace("name: P", "name:"), 2, "`name` is missing: write its display name"),
        (LEAST.replace("name: P\n", ""), 1, "`name` is missing"),
        (LEAST.replace("name: P", "name: [a]"), 2, "`name` is a list or a mapping"),
        (LEAST + "baselin: x\n", 6, "there is no field `baselin`: do you mean `baseline`?"),
        (LEAST + "event_id: x\n", 6, "there is no field `event_id`"),
        (LEAST.replace("UTC", "Europe/Pari"), 3, "is not an IANA time zone: do you mean Europe/Paris?"),
        (LEAST.replace("2026-11-12", "soon"), 5, "`ends_at`: 'soon' is not a time"),
        (LEAST.replace("2026-11-12", "2026-11-10"), 5, "`ends_at` is not after `starts_at`"),
        (LEAST.replace(": p\n", f": {'p' * 129}\n"), 1, "at most 128 characters"),
        (LEAST + "baseline: p\n", 6, "`baseline` is the promotion itself"),
        (LEAST + "targets: 5\n", 6, "`targets` is not a mapping"),
        (LEAST + "targets: {base: 1, sprint: 2}\n", 6, "`challenge` is missing: write whole minor units"),
        (LEAST + "targets:\n  base: 1\n  sprint: 3\n  challenge: 2\n", 9, "base <= sprint <= challenge must hold"),
        (LEAST + "targets: {base: 1.5, sprint: 2, challenge: 3}\n", 6, "`base` is '1.5': write whole minor units"),
        (LEAST + "targets: {base: 1, sprint: 2, challenge: 1e9}\n", 6, "`challenge` is '1e9'"),
        (LEAST + f"targets: {{base: 1, sprint: 2, challenge: {10**16}}}\n", 6, "it must be at most"),
        (LEAST + "skus: s-1\n", 6, "`skus` is not a list"),
        (LEAST + "skus:\n  - s-1\n  - s-2\n  - s-1\n", 9, "SKU 's-1' is already on line 7"),
        (LEAST + "skus:\n  - ''\n", 7, "at least 1 character"),
        (LEAST + "skus:\n  - [s-1]\n", 7, "not a SKU"),
        (LEAST + "phases: opening\n", 6, "`phases` is not a list"),
        (LEAST + "phases:\n  - opening\n", 7, "not a phase"),
        (second("start: 2026-11-11 12:00, ends_at: 2026-11-12"), 8, "no field `start`: do you mean `starts_at`?"),
        (second("starts_at: 2026-11-11 11:00, ends_at: 2026-11-12"), 8, "'b' begins before 'a' ends"),
        (second("starts_at: 2026-11-11 12:00, ends_at: 2026-11-12 01:00"), 8, "ends after its promotion"),
        (second("starts_at: 2026-11-10 12:00, ends_at: 2026-11-11"), 8, "begins before its promotion"),
        (second("starts_at: 2026-11-11 12:00, ends_at: 2026-11-11 12:00"), 8, "is not after `starts_at`"),
        (PHASES + "phases_may_overlap: maybe\n", 8, "write true or false"),
    ],
)
def test_an_error_has_its_line_and_a_fix(text: str, line: int, expected_text: str) -> None:
    found = read_promotions(text)
    assert found.promotions == () or len(found.errors) == 1
    assert any(fault.line == line and expected_text in fault.message for fault in found.errors), found.errors


def test_all_errors_are_reported_in_line_order() -> None:
    text = (
        WHOLE.replace("Asia/Shanghai", "Asia/Shang").replace("100000000}", "1}").replace("burst", "burst\n        b: 1")
    )
    errors = read_promotions(text + WHOLE.replace("promotions:\n", "").replace("name: D", "nam: D")).errors
    assert [fault.line for fault in errors] == sorted(fault.line for fault in errors)
    assert len({fault.line for fault in errors}) >= 5


def test_phases_may_overlap_if_the_file_allows_it() -> None:
    text = PHASES + "  - {name: b, starts_at: 2026-11-11 11:00, ends_at: 2026-11-12}\nphases_may_overlap: true\n"
    (promotion,) = read_promotions(text).promotions
    assert [phase.name for phase in promotion.phases or ()] == ["a", "b"]


def test_a_repeated_promotion_is_an_error() -> None:
    (fault,) = read_promotions(WHOLE + WHOLE.replace("promotions:\n", "")).errors
    assert (fault.line, "is already defined on line 2" in fault.message) == (15, True)


def test_a_definition_too_large_for_a_message_is_an_error() -> None:
    skus = "".join(f"  - {'s' * 100}-{i}\n" for i in range(11_000))
    (fault,) = read_promotions(f"{LEAST}skus:\n{skus}").errors
    assert "more than 1,048,576" in fault.message


@given(st.text(max_size=80), st.integers(0, len(WHOLE)))
def test_any_text_gives_promotions_or_errors(noise: str, place: int) -> None:
    for text in (noise, WHOLE[:place] + noise + WHOLE[place:], WHOLE[:place]):
        found = read_promotions(text)
        assert found.promotions or found.errors


def test_the_example_in_the_docs_is_valid() -> None:
    page = Path(__file__).parents[3] / "docs" / "promotions.md"
    examples = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)
    assert examples
    for example in examples:
        assert read_promotions(example).errors == ()
