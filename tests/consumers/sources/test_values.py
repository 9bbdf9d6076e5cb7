from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.values import (
    MappingError,
    from_epoch,
    from_iso_time,
    from_major_units,
    text_of,
    to_boolean,
    to_integer,
    to_label,
    to_minor_units,
)


class TestMoneyInMajorUnits:
    @pytest.mark.parametrize(
        ("given_value", "minor"),
        [("12.30", 1230), (12.3, 1230), (12, 1200), ("12", 1200), ("0.05", 5), ("-1.50", -150), ("12.300", 1230)],
    )
    def test_is_exact(self, given_value: Any, minor: int) -> None:
        assert from_major_units(2)(given_value) == minor

    @pytest.mark.parametrize("given_value", ["12.345", 12.345, "0.001", Decimal("1.005")])
    def test_an_excess_digit_is_refused(self, given_value: Any) -> None:
        with pytest.raises(MappingError, match="at most 2 digits"):
            from_major_units(2)(given_value)

    @pytest.mark.parametrize("given_value", ["1,000.00", "12.3 EUR", True, [], "nan", "1_0", "9" * 50])
    def test_what_is_no_number_is_refused(self, given_value: Any) -> None:
        with pytest.raises(MappingError):
            from_major_units(2)(given_value)

    @pytest.mark.parametrize(
        ("exponent", "given_value", "minor"), [(0, "500", 500), (0, 500.0, 500), (3, "1.005", 1005)]
    )
    def test_follows_the_exponent_of_the_currency(self, exponent: int, given_value: Any, minor: int) -> None:
        assert from_major_units(exponent)(given_value) == minor

    @given(st.integers(-(10**12), 10**12), st.integers(0, 4))
    def test_every_amount_is_exact_as_text_as_a_number_and_as_a_decimal(self, minor: int, exponent: int) -> None:
        amount = Decimal(minor).scaleb(-exponent)
        convert = from_major_units(exponent)
        assert convert(f"{amount:f}") == convert(amount) == minor
        if abs(minor) < 10**15:
            assert convert(float(amount)) == minor

    @given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
    def test_a_number_is_worth_its_shortest_text(self, number: float) -> None:
        convert = from_major_units(2)
        try:
            by_text = convert(repr(number))
        except MappingError:
            with pytest.raises(MappingError):
                convert(number)
        else:
            assert convert(number) == by_text

    @pytest.mark.parametrize("amount", ["12.3" + "0" * 30 + "1", "NaN", "Infinity", "1E+999999", "1E-999999", "-sNaN"])
    def test_decimals_that_are_no_amount_are_refused(self, amount: str) -> None:
        with pytest.raises(MappingError):
            from_major_units(2)(Decimal(amount))

    @given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=6))
    def test_rounding_is_half_up(self, amount: Decimal) -> None:
        rounded = (amount * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        assert from_major_units(2, rounds=True)(f"{amount:f}") == int(rounded)

    @pytest.mark.parametrize("amount", [1.4210854715202004e-14, -5.551115123125783e-17, "1e-50", Decimal("1E-999999")])
    def test_rounding_takes_any_number_of_digits(self, amount: Any) -> None:
        assert from_major_units(2, rounds=True)(amount) == 0

    @pytest.mark.parametrize("rounds", [False, True])
    def test_a_number_that_is_too_large_is_named(self, rounds: bool) -> None:
        with pytest.raises(MappingError, match="it is too large"):
            from_major_units(2, rounds=rounds)(1e300)


class TestTimes:
    def test_a_time_of_the_other_kind_names_the_format(self) -> None:
        with pytest.raises(MappingError, match="for a number write `time: s`"):
            from_iso_time(None)(1794373200)
        with pytest.raises(MappingError, match="for ISO 8601 write `time: iso`"):
            from_epoch(1000, 1)("2026-11-11T00:00:00Z")

    @pytest.mark.parametrize(
        ("given_value", "expected_ms"),
        [
            ("2026-11-11T00:00:00Z", 1_794_355_200_000),
            ("2026-11-11T00:00:00.123456+08:00", 1_794_326_400_123),
            ("2026-11-11 00:00:00", 1_794_355_200_000),
        ],
    )
    def test_iso(self, given_value: str, expected_ms: int) -> None:
        assert from_iso_time("UTC")(given_value) == expected_ms

    def test_without_offset_and_zone_is_refused(self) -> None:
        with pytest.raises(MappingError, match="zone: UTC"):
            from_iso_time(None)("2026-11-11T00:00:00")

    @pytest.mark.parametrize("given_value", ["yesterday", 17, {}])
    def test_what_is_no_time_is_refused(self, given_value: Any) -> None:
        with pytest.raises(MappingError, match="ISO 8601"):
            from_iso_time("UTC")(given_value)

    @pytest.mark.parametrize(
        ("scale", "given_value"),
        [
            ((1000, 1), 1_794_355_200),
            ((1000, 1), "1794355200"),
            ((1000, 1), 1_794_355_200.0),
            ((1, 1), 1_794_355_200_000),
            ((1, 1000), 1_794_355_200_000_999),
            ((1, 1000), "1794355200000999"),
        ],
    )
    def test_since_the_epoch(self, scale: tuple[int, int], given_value: Any) -> None:
        assert from_epoch(*scale)(given_value) == 1_794_355_200_000

    def test_fractions_of_a_second_count_to_the_millisecond(self) -> None:
        assert from_epoch(1000, 1)(1_794_355_200.5) == 1_794_355_200_500
        assert from_epoch(1000, 1)("1794355200.123456789123") == 1_794_355_200_123


class TestOtherValues:
    def test_whole_numbers_become_labels(self) -> None:
        assert [to_label(given_value) for given_value in (5, "x", "", None)] == ["5", "x", None, None]

    @pytest.mark.parametrize("given_value", [True, 1.5, [], {}])
    def test_other_values_do_not(self, given_value: Any) -> None:
        with pytest.raises(MappingError):
            to_label(given_value)

    def test_integers_may_be_text(self) -> None:
        assert [to_integer(given_value) for given_value in (2, "2", 2.0, "2.0", "", None)] == [2, 2, 2, 2, None, None]

    @pytest.mark.parametrize("given_value", [2.5, "2.5", "two", True, []])
    def test_integers_are_exact(self, given_value: Any) -> None:
        with pytest.raises(MappingError):
            to_integer(given_value)

    def test_booleans_may_be_text(self) -> None:
        assert [to_boolean(given_value) for given_value in (True, "false", "", None)] == [True, False, None, None]
        with pytest.raises(MappingError):
            to_boolean(1)

    def test_minor_units_are_never_text(self) -> None:
        assert to_minor_units(5) == 5
        with pytest.raises(MappingError, match="money: major"):
            to_minor_units("5")

    @pytest.mark.parametrize(
        ("given_value", "text"), [(True, "true"), (1, "1"), (1.5, "1.5"), ("a", "a"), (None, None), ([], None)]
    )
    def test_text_to_compare_with(self, given_value: Any, text: str | None) -> None:
        assert text_of(given_value) == text


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2400, 1, 1)),  # noqa: DTZ001 (hypothesis adds zones)
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_every_time_is_read_exactly_the_first_and_the_next_time(moment: datetime, offset: int, precision: str) -> None:
    convert = from_iso_time(None)
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = zoned.isoformat(timespec=precision)
    exact = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = exact // timedelta(milliseconds=1)
    assert [convert(text), convert(text)] == [expected, expected]


@pytest.mark.parametrize("text", ["2026-11-11T00:00:60Z", "2026-11-11T00:00:6xZ", "2026-11-11T00:00:0Z"])
def test_a_wrong_second_is_refused_after_a_right_one(text: str) -> None:
    convert = from_iso_time(None)
    assert convert("2026-11-11T00:00:00Z") is not None
    with pytest.raises(MappingError):
        convert(text)
