"""Apprise, for all services that it supports (github.com/caronc/apprise).

Apprise opens its own connections, without salepulse's checks of addresses and redirects.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, ClassVar, Literal

from alerts.findings import Severity
from alerts.notify.markup import PLAIN
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed, Outcome
from alerts.notify.receiver import ReceiverConfig
from alerts.notify.secret import Secret

MAX_BYTES = 10_000


class AppriseConfig(ReceiverConfig):
    """A service of Apprise. Requires the package `apprise`."""

    RATE: ClassVar[int] = 20

    type: Literal["apprise"]
    url: Secret
    """Apprise URL of the service: `tgram://…`, `ntfy://…`."""


class Apprise:
    """Sends through Apprise."""

    def __init__(self, config: AppriseConfig) -> None:
        self._config = config

    async def send(self, message: NotificationMessage) -> Outcome:
        """Send through Apprise, which reports only success or failure."""
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError:
            return Failed(DeliveryFailure.NOT_INSTALLED, f"receiver {self._config.name} needs `pip install apprise`")
        kind = {Severity.CRITICAL: "failure", Severity.WARNING: "warning"}.get(message.severity, "info")
        try:
            sender = apprise.Apprise()
            if not sender.add(self._config.url.get_secret_value()):
                return Failed(
                    DeliveryFailure.REFUSED, f"Apprise does not know the address of receiver {self._config.name}"
                )
            sent = await asyncio.to_thread(
                sender.notify,
                title=message.title,
                body=message.body(PLAIN, MAX_BYTES),
                notify_type="success" if message.over else kind,
            )
        except Exception as error:  # plugins raise anything, and the text may contain the URL
            return Failed(
                DeliveryFailure.UNREACHABLE, f"Apprise failed for receiver {self._config.name} ({type(error).__name__})"
            )
        if not sent:
            return Failed(DeliveryFailure.UNREACHABLE, f"Apprise could not send to receiver {self._config.name}")
        return Delivered()
