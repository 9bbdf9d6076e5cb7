"""Changes of alerts, from Redis to the topic `alerts`: in order, each at least once."""

from __future__ import annotations

from alerts.metrics import AlertMetrics
from alerts.store.states import StateStore
from consumers.errors import SalepulseError
from consumers.kafka import Where
from consumers.producing import KeyedProducer, Outgoing
from consumers.topics import Topic


class Publisher:
    """Publishes for the process that leads. While Kafka is away, changes wait in Redis."""

    def __init__(self, store: StateStore, kafka: Where, metrics: AlertMetrics) -> None:
        self._store = store
        self._kafka = kafka
        self._metrics = metrics
        self._producer: KeyedProducer | None = None

    async def publish(self) -> int:
        """Write what is not known to be there; returns how many changes.

        Raises SalepulseError where Kafka does not answer.
        """
        count = 0
        while waiting := await self._store.unpublished():
            try:
                producer = await self._started()
                await producer.put(Outgoing(Topic.ALERTS, change.fingerprint, change.json) for change in waiting)
                await producer.flush()
            except SalepulseError:
                await self.stop()
                raise
            # Only now: dying in between publishes these once more, never not at all.
            await self._store.published(waiting[-1].at)
            self._metrics.published.inc(len(waiting))
            count += len(waiting)
        return count

    async def stop(self) -> None:
        """Close the connection; the next `publish` opens another."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.__aexit__(SalepulseError, SalepulseError("given up"), None)

    async def _started(self) -> KeyedProducer:
        if self._producer is None:
            self._producer = await KeyedProducer(self._kafka).__aenter__()
        return self._producer
