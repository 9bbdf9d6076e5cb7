"""What money is, by the settings."""

from __future__ import annotations

from collections.abc import Iterator

from streams.local.doctor.check_results import CheckResult, warning
from streams.model.currencies import EXPONENTS
from streams.settings import Settings


def check_currency_exponent(settings: Settings) -> Iterator[CheckResult]:
    """Whether the decimal places that are set are those of the currency."""
    places = EXPONENTS[settings.currency]
    if settings.money_exponent != places:
        yield warning(
            "currency_exponent",
            f"is {settings.money_exponent}, ISO 4217 gives {settings.currency} {places}: 1000 is shown as "
            f"{1000 / 10**settings.money_exponent:.{settings.money_exponent}f} {settings.currency}",
            "leave the setting out, unless your producers really send money in such units",
        )
