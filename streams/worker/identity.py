"""Which topics the broker has now: how many partitions, and whether one was deleted and created again since."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from aiokafka.errors import KafkaError

from consumers.reading import Reading
from consumers.topic_ids import KnownTopic
from consumers.topics import READ_TOPICS, Partition, Topic
from streams.clock import now_ms

ASK_EVERY_S = 3.0
"""How long a partition that was added, or a topic that was deleted, goes unnoticed."""
_GAP_MS = 2_000
"""Between two answers of the broker for a partition: in less, no topic is thought to be made anew and filled again."""
_PATIENCE_S = 10.0
"""How long an answer is waited for, the one before it included."""


class Identity:
    """The topics as the broker has them, asked for now and then, and before anything is believed that comes after a
    gap.

    Partitions share one question: behind a broker that takes seconds to answer, a question of each for each batch would
    wait in line behind all that were given up, and none would ever be answered in time.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.known: Mapping[Topic, KnownTopic] = {}
        """As they were when last asked for; a topic that the broker says nothing of is as it was before."""
        self._asked_s = -ASK_EVERY_S
        self._heard_ms: dict[Partition, int] = {}
        self._unsure_s: dict[Partition, float] = {}
        """# <what was asked before then says nothing of it>"""
        self._asking: asyncio.Task[None] | None = None
        self._began_s = 0.0
        """When the question that is under way was put."""

    def doubt(self, partition: Partition) -> None:
        """Ask before anything else is believed of a partition: its records are not where they were expected."""
        self._unsure_s[partition] = monotonic()

    async def of(self, partition: Partition) -> str:
        """The id of a partition's topic as it is now; empty where the broker gives none.

        Raises TimeoutError or KafkaError when it does not answer.
        """
        heard_ms = self._reading.heard_ms(partition) or 0
        if not 0 <= heard_ms - self._heard_ms.get(partition, 0) <= _GAP_MS:
            self._unsure_s[partition] = _heard_s(heard_ms)
        self._heard_ms[partition] = heard_ms
        unsure_s = self._unsure_s.get(partition, 0)
        if unsure_s > self._asked_s:
            await self._ask(unsure_s)
        await self.refresh()
        known = self.known.get(partition.topic)
        return "" if known is None else known.topic_id

    async def refresh(self) -> None:
        """Ask if the last answer is old. Raises TimeoutError or KafkaError when the broker does not answer."""
        recently_s = monotonic() - ASK_EVERY_S
        if self._asked_s <= recently_s:
            await self._ask(recently_s)

    async def _ask(self, since_s: float) -> None:
        """Have an answer to a question that was put since a moment; one that was put before it is waited for first."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                if self._asking is None or self._asking.done():
                    self._began_s = monotonic()
                    self._asking = asyncio.create_task(self._learn(self._began_s))
                    self._asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
                if self._began_s >= since_s:
                    await asyncio.shield(self._asking)
                    return
                with suppress(KafkaError):
                    await asyncio.shield(self._asking)

    async def _learn(self, asked_s: float) -> None:
        self.known = {**self.known, **await self._reading.known_topics(READ_TOPICS)}
        self._asked_s = asked_s


def _heard_s(heard_ms: int) -> float:
    """When the broker was heard, by `monotonic`; now, where that is not known or was long ago."""
    ago_s = (now_ms() - heard_ms) / 1000
    return monotonic() - (ago_s if 0 <= ago_s <= _PATIENCE_S else 0)
