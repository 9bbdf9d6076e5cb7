"""Rules, receivers and shop from the settings."""

from __future__ import annotations

from pathlib import Path

from alerts.notify.receivers import ReceiversFile, read_receivers
from alerts.shop import ShopInfo
from streams.settings import Settings


def shop_info(settings: Settings) -> ShopInfo:
    """The shop's address, currency and time zone, for messages."""
    return ShopInfo(
        url=settings.public_url,
        runbooks=settings.alerts_runbooks,
        timezone=settings.timezone,
        currency=settings.currency,
        currency_exponent=settings.money_exponent,
    )


def rules_path(settings: Settings) -> Path | None:
    """The configured rule file; None: the default rules."""
    return Path(settings.alerts_rules) if settings.alerts_rules else None


def load_receivers(settings: Settings) -> ReceiversFile:
    """The configured receivers. Raises UsageError if their file cannot be read or is invalid."""
    return read_receivers(Path(settings.alerts_receivers) if settings.alerts_receivers else None)
