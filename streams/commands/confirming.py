"""Confirming that the promotions in force are all that there are to be, where changes of them may have been lost."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.contract.events import Promotion
from consumers.errors import SalepulseError
from consumers.topics import Partition, Topic
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.connection import connect, user_errors
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.reader import PaneReader
from streams.store.writer import PaneWriter


async def confirm(settings: Settings, topic: Mapping[str, Promotion]) -> list[Partition]:
    """Take back what was said of lost changes; returns of which partitions it was said. `topic`: what that says.

    Raises SalepulseError, with nothing changed, where the shop counts by others: what was seen is then not what holds.
    """
    redis, keys = connect(settings), Keys(settings.redis_prefix, settings.shards)
    try:
        with user_errors(redis):
            reader = PaneReader(redis, keys, RowIndex())
            shop = await reader.promotions()
            if differing := sorted(name for name in {**shop, **topic} if shop.get(name) != topic.get(name)):
                raise SalepulseError(
                    f"topic and shop do not agree on {', '.join(differing)}, and nothing was confirmed: see "
                    "`salepulse promotions list`, apply what is missing, and confirm when a worker has read it"
                )
            incomplete = (await reader.state()).incomplete
            said = [partition for partition in incomplete if partition.topic is Topic.PROMOTIONS]
            writer = PaneWriter(redis, keys, levels(settings))
            for partition in said:
                await writer.confirm(partition)
            return said
    finally:
        await redis.aclose()
