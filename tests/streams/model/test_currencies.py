"""Currencies, their decimal places, and suggestions for invalid codes."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from streams.local.doctor.check_results import CheckStatus
from streams.local.doctor.settings import check_currency_exponent
from streams.model.currencies import EXPONENTS, near_misses
from streams.model.formatting import format_kpi
from streams.settings import Settings


def test_the_table_equals_iso_4217() -> None:
    assert Counter(EXPONENTS.values()) == {0: 17, 2: 140, 3: 7, 4: 2}
    assert {code: EXPONENTS[code] for code in ("CNY", "USD", "JPY", "KRW", "KWD", "BHD", "CLF", "ISK", "HUF")} == {
        "CNY": 2,
        "USD": 2,
        "JPY": 0,
        "KRW": 0,
        "KWD": 3,
        "BHD": 3,
        "CLF": 4,
        "ISK": 0,
        "HUF": 2,
    }


@pytest.mark.parametrize(
    ("given", "meant"),
    [("cny", "CNY"), (" usd ", "USD"), ("RMB", "CNY"), ("yuan", "CNY"), ("¥", "CNY"), ("euro", "EUR"), ("HRK", "EUR")],
)
def test_suggests_codes_for_common_names(given: str, meant: str) -> None:
    assert near_misses(given)[0] == meant
    with pytest.raises(ValidationError, match=rf"unknown currency .*: did you mean {meant}\?"):
        Settings(currency=given)


@pytest.mark.parametrize("given", ["", "??", "XXX1", "bitcoin"])
def test_rejects_unknown_currencies_with_an_example(given: str) -> None:
    with pytest.raises(ValidationError, match=r"unknown currency .*: use an ISO 4217 code such as"):
        Settings(currency=given)


@pytest.mark.parametrize(
    ("chosen", "places", "shown", "warning"),
    [
        ({}, 2, "12,345.67", None),
        ({"currency": "JPY"}, 0, "1,234,567", None),
        ({"currency": "KWD"}, 3, "1,234.567", None),
        ({"currency": "JPY", "currency_exponent": 2}, 2, "12,345.67", "is 2, ISO 4217 gives JPY 0"),
        ({"currency": "CNY", "currency_exponent": 0}, 0, "1,234,567", "1000 is shown as 1,000 CNY"),
        ({"currency_exponent": 2}, 2, "12,345.67", None),
        ({"currency": "KRW", "currency_exponent": ""}, 0, "1,234,567", None),
    ],
)
def test_decimal_places_follow_iso_4217_unless_the_setting_says_otherwise(
    chosen: dict[str, object], places: int, shown: str, warning: str | None
) -> None:
    settings = Settings(**chosen)  # type: ignore[arg-type]
    assert settings.money_exponent == places
    assert format_kpi("gmv", 1_234_567, currency_exponent=settings.money_exponent) == shown
    found = list(check_currency_exponent(settings))
    assert [finding.status for finding in found] == ([] if warning is None else [CheckStatus.WARNING])
    assert warning is None or warning in found[0].message
