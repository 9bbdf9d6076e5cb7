"""What people say of alerts: acknowledgements and silences. Anyone may write them; the leader heeds them soon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from alerts.state.alert import Ack, Alert, Status
from alerts.state.silences import Silence
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys

ENDED_SILENCE_RETENTION_MS = 24 * 3_600_000
"""How long a silence is shown after its end."""


class AcksAndSilences:
    """Acknowledgements and silences in Redis, and the alerts that they are about."""

    def __init__(self, redis: Redis, keys: AlertKeys) -> None:
        self._redis: Any = redis  # redis-py's own types fit neither of its two kinds of client
        self._keys = keys

    async def alerts(self) -> list[Alert]:
        """All alerts that are kept, the newest first."""
        held = await self._redis.hvals(self._keys.states)
        return sorted((decode(Alert, text) for text in held), key=lambda one: (-one.since_ms, one.fingerprint))

    async def alert(self, fingerprint: str) -> Alert | None:
        """One alert."""
        text = await self._redis.hget(self._keys.states, fingerprint)
        return None if text is None else decode(Alert, text)

    async def acks(self) -> dict[str, Ack]:
        """Acknowledgements by fingerprint. One of an earlier incident means nothing any more."""
        held = await self._redis.hgetall(self._keys.acks)
        return {name.decode(): decode(Ack, text) for name, text in held.items()}

    async def acknowledge(self, fingerprint: str, *, by: str, comment: str, now_ms: int) -> Ack | None:
        """Say that somebody is on it: on what tells of that page by now, if another took it over. None: nothing of it
        fires."""
        alert = _alert_holding_page(fingerprint, await self.alerts())
        if alert is None or alert.fired_ms is None:
            return None
        ack = Ack(alert.fired_ms, alert.severity, by, now_ms, comment)
        await self._redis.hset(self._keys.acks, alert.fingerprint, encode(ack))
        return ack

    async def silences(self, now_ms: int) -> list[Silence]:
        """All silences, those that end last first; those long over are taken away."""
        held = await self._redis.hvals(self._keys.silences)
        found = [decode(Silence, text) for text in held]
        if over := [one.id for one in found if one.ends_ms < now_ms - ENDED_SILENCE_RETENTION_MS]:
            await self._redis.hdel(self._keys.silences, *over)
        return sorted((one for one in found if one.id not in over), key=lambda one: (-one.ends_ms, one.id))

    async def silence(self, wanted: Silence) -> Silence:
        """Keep a silence; it gets an id unless it has one."""
        kept = wanted if wanted.id else replace(wanted, id=uuid4().hex[:12])
        await self._redis.hset(self._keys.silences, kept.id, encode(kept))
        return kept

    async def end_silence(self, silence_id: str, now_ms: int) -> bool:
        """End a silence now. False: there is none of this id."""
        text = await self._redis.hget(self._keys.silences, silence_id)
        if text is None:
            return False
        held = decode(Silence, text)
        await self.silence(replace(held, ends_ms=min(held.ends_ms, now_ms)))
        return True


def _alert_holding_page(fingerprint: str, alerts: Sequence[Alert]) -> Alert | None:
    """What fires and tells people of an alert: itself, unless another has its page."""
    firing = {alert.fingerprint: alert for alert in alerts if alert.status is Status.FIRING}
    named = firing.get(fingerprint)
    if named is not None and named.notified:
        return named
    page = fingerprint if named is None else named.page
    return next((alert for alert in firing.values() if alert.page == page and alert.notified), named)
