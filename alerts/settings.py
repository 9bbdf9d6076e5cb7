"""What the settings come to for alerts."""

from __future__ import annotations

from pathlib import Path

from alerts.notify.receivers import ReceiversFile, read_receivers
from alerts.notify.wording import Place
from streams.settings import Settings


def place_of(settings: Settings) -> Place:
    """Where the shop is and how it counts, for messages."""
    return Place(
        url=settings.public_url,
        runbooks=settings.alerts_runbooks,
        timezone=settings.timezone,
        currency=settings.currency,
        currency_exponent=settings.money_exponent,
    )


def rules_path(settings: Settings) -> Path | None:
    """The file of rules; None: the default rules."""
    return Path(settings.alerts_rules) if settings.alerts_rules else None


def receivers_of(settings: Settings) -> ReceiversFile:
    """The receivers that the settings name. Raises UsageError."""
    return read_receivers(Path(settings.alerts_receivers) if settings.alerts_receivers else None)
