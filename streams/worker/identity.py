"""Which topics the broker has now: one that was deleted and made anew is another, whatever its offsets say."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from consumers.reading import Reading
from consumers.topics import EVENT_TOPICS, Partition, Topic

_ASK_EVERY_S = 5.0
_GAP_MS = 2_000
"""Between two answers of the broker for a partition: in less, no topic is thought to be made anew and filled again."""


class Identity:
    """The ids of topics, asked for now and then, and before anything is believed that comes after a gap."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._ids: Mapping[Topic, str] = {}
        self._asked_s = -_ASK_EVERY_S
        self._heard_ms: dict[Partition, int] = {}
        self._unsure_s: dict[Partition, float] = {}
        """# <when a gap was seen>"""

    def doubt(self, partition: Partition) -> None:
        """Ask before anything else is believed of a partition: its records are not where they were expected."""
        self._unsure_s[partition] = monotonic()

    async def of(self, partition: Partition) -> str:
        """The id of a partition's topic as it is now; empty where the broker tells none.

        Raises TimeoutError or KafkaError when it does not answer.
        """
        heard_ms = self._reading.heard_ms(partition) or 0
        if heard_ms - self._heard_ms.get(partition, 0) > _GAP_MS:
            self.doubt(partition)
        self._heard_ms[partition] = heard_ms
        if self._unsure_s.get(partition, 0) > self._asked_s or monotonic() - self._asked_s >= _ASK_EVERY_S:
            asked_s = monotonic()
            self._ids = await self._reading.topic_ids((*EVENT_TOPICS, Topic.PROMOTIONS))
            self._asked_s = asked_s
        return self._ids.get(partition.topic, "")
