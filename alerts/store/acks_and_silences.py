"""Acknowledgements and silences in Redis. Any process may write them; the leader applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from alerts.state.alert import AlertState, Status
from alerts.state.notification_log import Ack
from alerts.state.silences import Silence
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys

ENDED_SILENCE_RETENTION_MS = 24 * 3_600_000
"""Retention of ended silences."""


class AcksAndSilences:
    """Acknowledgements, silences and the alerts that they match, in Redis."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's types fit neither kind of its clients
        self._keys = keys

    async def alerts(self) -> list[AlertState]:
        """Return all stored alerts, newest first."""
        stored = await self._redis.hvals(self._keys.states)
        return sorted(
            (decode(AlertState, text) for text in stored), key=lambda alert: (-alert.since_ms, alert.fingerprint)
        )

    async def alert(self, fingerprint: str) -> AlertState | None:
        """Return one alert."""
        text = await self._redis.hget(self._keys.states, fingerprint)
        return None if text is None else decode(AlertState, text)

    async def acks(self) -> dict[str, Ack]:
        """Return acknowledgements by fingerprint, including those of earlier incidents."""
        stored = await self._redis.hgetall(self._keys.acks)
        return {name.decode(): decode(Ack, text) for name, text in stored.items()}

    async def acknowledge(self, fingerprint: str, *, by: str, comment: str, now_ms: int) -> Ack | None:
        """Acknowledge the alert that now holds the page of this one. None: it does not fire."""
        alert = _alert_holding_page(fingerprint, await self.alerts())
        if alert is None or alert.fired_ms is None:
            return None
        ack = Ack(alert.fired_ms, alert.severity, by, now_ms, comment)
        await self._redis.hset(self._keys.acks, alert.fingerprint, encode(ack))
        return ack

    async def silences(self, now_ms: int) -> list[Silence]:
        """Return all silences, latest end first; delete those past their retention."""
        stored = await self._redis.hvals(self._keys.silences)
        silences = [decode(Silence, text) for text in stored]
        if expired_ids := [silence.id for silence in silences if silence.ends_ms < now_ms - ENDED_SILENCE_RETENTION_MS]:
            await self._redis.hdel(self._keys.silences, *expired_ids)
        return sorted(
            (silence for silence in silences if silence.id not in expired_ids),
            key=lambda silence: (-silence.ends_ms, silence.id),
        )

    async def silence(self, wanted: Silence) -> Silence:
        """Store a silence, and give it an id unless it has one."""
        silence = wanted if wanted.id else replace(wanted, id=uuid4().hex[:12])
        await self._redis.hset(self._keys.silences, silence.id, encode(silence))
        return silence

    async def end_silence(self, silence_id: str, now_ms: int) -> bool:
        """End a silence now. False: the id is unknown."""
        text = await self._redis.hget(self._keys.silences, silence_id)
        if text is None:
            return False
        silence = decode(Silence, text)
        await self.silence(replace(silence, ends_ms=min(silence.ends_ms, now_ms)))
        return True


def _alert_holding_page(fingerprint: str, alerts: Sequence[AlertState]) -> AlertState | None:
    """The firing alert that holds the page of a fingerprint."""
    firing = {alert.fingerprint: alert for alert in alerts if alert.status is Status.FIRING}
    requested = firing.get(fingerprint)
    if requested is not None and requested.log.notified:
        return requested
    page = fingerprint if requested is None else requested.page
    return next((alert for alert in firing.values() if alert.page == page and alert.log.notified), requested)
