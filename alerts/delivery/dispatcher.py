"""Deliver queued notices; only one process at a time sends to a receiver.

For each message: claim the receiver and its due notices; choose a group; record the start of the attempt; send; record
the outcome. If the process dies before the last step, the notices are sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from alerts.delivery.retry import plan_retry
from alerts.metrics import DELIVERED, GIVEN_UP, AlertMetrics
from alerts.notify.grouping import Send, Wait, next_message
from alerts.notify.http import Http
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import DeliveryFailure, Failed, Outcome
from alerts.notify.receivers import Receiver
from alerts.shop import ShopInfo
from alerts.state.alert import AlertState
from alerts.state.notices import DueNotices, Notice, NoticeQueue, ReceiverBlocked

log = structlog.get_logger()

LEASE_MS = 30_000
"""Duration of a claim; longer than any attempt."""
_LONGEST_SEND_S = 25.0


class Dispatcher:
    """Delivers to the configured receivers."""

    def __init__(
        self,
        outbox: NoticeQueue,
        receivers: Mapping[str, Receiver],
        shop: ShopInfo,
        metrics: AlertMetrics,
        *,
        clock: Callable[[], int],
        longest_send_s: float = _LONGEST_SEND_S,
    ) -> None:
        self._outbox = outbox
        self._receivers = receivers
        self._shop = shop
        self._metrics = metrics
        self._clock = clock
        self._longest_send_s = longest_send_s
        self._waits: dict[str, int] = {}
        for name in receivers:
            metrics.add_receiver(name)

    async def dispatch(self, name: str) -> int | None:
        """Send the due notices of one receiver. Return the time (epoch ms) of the next action, if known."""
        receiver = self._receivers[name]
        window_ms = receiver.rate_limit.window_ms
        claim = await self._outbox.claim_due(name, self._clock(), window_ms)
        self._metrics.waiting.labels(name).set(await self._outbox.waiting(name))
        if not isinstance(claim, DueNotices):
            return claim.until_ms if isinstance(claim, ReceiverBlocked) else None
        notices, attempts, failures = list(claim.notices), list(claim.attempts_ms), claim.failures
        while True:
            action = next_message(notices, attempts, receiver.rate_limit, self._clock())
            if action is None:
                return None
            if isinstance(action, Wait):
                if self._waits.get(name) != action.until_ms:  # count each wait once
                    self._metrics.notices.labels(action.reason).inc(len(notices))
                self._waits[name] = action.until_ms
                return action.until_ms
            begun_ms = self._clock()
            if not await self._outbox.begin_attempt(name, begun_ms, window_ms):
                return None
            attempts.append(begun_ms)
            outcome = await self._send(receiver, action)
            plan = plan_retry(outcome, action.notices, failures, self._clock())
            await self._outbox.record_outcome(name, plan.result)
            self._count(receiver, action, outcome, plan.given_up)
            if plan.result.blocked_ms:
                return plan.result.blocked_ms
            failures = plan.result.failures
            sent = {notice.id for notice in action.notices}
            retries = [notice for notice in plan.result.retries if notice.due_ms <= self._clock()]
            notices = [*(notice for notice in notices if notice.id not in sent), *retries]

    async def _send(self, receiver: Receiver, step: Send) -> Outcome:
        message = NotificationMessage(step.notices, self._shop, self._clock())
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._longest_send_s):
                return await receiver.notifier.send(message)
        except TimeoutError:
            return Failed(DeliveryFailure.TIMEOUT, f"{receiver.name} took longer than {self._longest_send_s:g} s")
        except Exception as error:  # an internal error must not stop other receivers, and its text may contain a secret
            log.error("notifier failed", receiver=receiver.name, error=type(error).__name__)
            return Failed(DeliveryFailure.INTERNAL, f"internal error ({type(error).__name__})")
        finally:
            self._metrics.send_seconds.labels(receiver.name).observe(time.monotonic() - began)

    def _count(self, receiver: Receiver, step: Send, outcome: Outcome, given_up: tuple[Notice, ...]) -> None:
        metrics, name = self._metrics, receiver.name
        if isinstance(outcome, Failed):
            metrics.attempts.labels(name, outcome.fault).inc()
            log.warning(
                "delivery failed; retrying",
                receiver=name,
                fault=outcome.fault.value,
                detail=outcome.detail,
                notices=len(step.notices),
            )
        else:
            metrics.attempts.labels(name, DELIVERED).inc()
            metrics.notices.labels(step.reason).inc(len(step.notices))
            for notice in step.notices:
                metrics.delay_seconds.labels(name).observe(max(0, self._clock() - notice.created_ms) / 1000)
        if given_up:
            metrics.attempts.labels(name, GIVEN_UP).inc(len(given_up))
            log.error("expired notices dropped", receiver=name, notices=len(given_up))


class AlertmanagerResender:
    """Resends firing alerts to Alertmanagers, which forget them otherwise. A new leader resends to all at once."""

    def __init__(self, receivers: Mapping[str, Receiver], http: Http, shop: ShopInfo) -> None:
        self._receivers = receivers
        self._http = http
        self._shop = shop
        self._sent_ms: dict[str, int] = {}

    async def resend(self, alerts: Iterable[AlertState], now_ms: int) -> None:
        """Resend to the Alertmanagers that are due; a failure is retried at the next interval."""
        known = list(alerts)
        for name, receiver in self._receivers.items():
            alertmanager = receiver.alertmanager
            if alertmanager is None or now_ms - self._sent_ms.get(name, 0) < alertmanager.resend_ms:
                continue
            self._sent_ms[name] = now_ms
            request = alertmanager.resend_request(known, self._shop, now_ms)
            if request is None:
                continue
            response = await self._http.post(request)
            failed = response if isinstance(response, Failed) else alertmanager.check_response(response)
            if failed is not None:
                log.warning("resend of firing alerts failed", receiver=name, detail=failed.detail)
