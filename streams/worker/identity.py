"""Which topics the broker has now: how many partitions, and whether one was deleted and created again since."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from consumers.reading import Reading
from consumers.topic_ids import KnownTopic
from consumers.topics import READ_TOPICS, Partition, Topic

ASK_EVERY_S = 3.0
"""How long a partition that was added, or a topic that was deleted, goes unnoticed."""
_GAP_MS = 2_000
"""Between two answers of the broker for a partition: in less, no topic is thought to be made anew and filled again."""


class Identity:
    """The topics as the broker has them, asked for now and then, and before anything is believed that comes after a
    gap."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.known: Mapping[Topic, KnownTopic] = {}
        """As they were when last asked for; a topic that the broker says nothing of is as it was before."""
        self._asked_s = -ASK_EVERY_S
        self._heard_ms: dict[Partition, int] = {}
        self._unsure_s: dict[Partition, float] = {}
        """# <when a gap was seen>"""

    def doubt(self, partition: Partition) -> None:
        """Ask before anything else is believed of a partition: its records are not where they were expected."""
        self._unsure_s[partition] = monotonic()

    async def of(self, partition: Partition) -> str:
        """The id of a partition's topic as it is now; empty where the broker gives none.

        Raises TimeoutError or KafkaError when it does not answer.
        """
        heard_ms = self._reading.heard_ms(partition) or 0
        if not 0 <= heard_ms - self._heard_ms.get(partition, 0) <= _GAP_MS:
            self.doubt(partition)
        self._heard_ms[partition] = heard_ms
        if self._unsure_s.get(partition, 0) > self._asked_s:
            await self._ask()
        await self.refresh()
        known = self.known.get(partition.topic)
        return "" if known is None else known.topic_id

    async def refresh(self) -> None:
        """Ask if the last answer is old. Raises TimeoutError or KafkaError when the broker does not answer."""
        if monotonic() - self._asked_s >= ASK_EVERY_S:
            await self._ask()

    async def _ask(self) -> None:
        asked_s = monotonic()
        self.known = {**self.known, **await self._reading.known_topics(READ_TOPICS)}
        self._asked_s = asked_s
