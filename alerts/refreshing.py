"""Receivers that hold a picture of what fires (Alertmanager) are told all of it again and again, by who leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from alerts.notify.http import Http
from alerts.notify.outcome import Failed
from alerts.notify.receivers import Receiver
from alerts.notify.wording import Place
from alerts.state.alert import Alert

log = structlog.get_logger()


class Refresher:
    """When each of them was told last. A process that begins to lead tells all of them at once."""

    def __init__(self, receivers: Mapping[str, Receiver], http: Http, place: Place) -> None:
        self._receivers = receivers
        self._http = http
        self._place = place
        self._told_ms: dict[str, int] = {}

    async def refresh(self, alerts: Iterable[Alert], now_ms: int) -> None:
        """Tell those whose time has come. What does not arrive is told the next time."""
        known = list(alerts)
        for name, receiver in self._receivers.items():
            channel = receiver.refreshed
            if channel is None or now_ms - self._told_ms.get(name, 0) < channel.resend_ms:
                continue
            self._told_ms[name] = now_ms
            request = channel.refreshing(known, self._place, now_ms)
            if request is None:
                continue
            answer = await self._http.post(request)
            failed = answer if isinstance(answer, Failed) else channel.judge(answer)
            if failed is not None:
                log.warning("a receiver could not be told what fires", receiver=name, detail=failed.detail)
