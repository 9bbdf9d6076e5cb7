"""Confirm that the promotions in force are complete after changes to them may have been lost."""

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
    """Clear the incomplete mark of partitions of `promotions` and return them. `topic`: the promotions on the topic.

    Raises SalepulseError and changes nothing if Redis holds other promotions than the topic.
    """
    redis, keys = connect(settings), Keys(settings.redis_prefix, settings.shards)
    try:
        with user_errors(redis):
            reader = PaneReader(redis, keys, RowIndex())
            shop = await reader.promotions()
            if differing := sorted(name for name in {**shop, **topic} if shop.get(name) != topic.get(name)):
                raise SalepulseError(
                    f"topic and Redis differ in {', '.join(differing)}; nothing was confirmed: see `promotions "
                    "list`, apply the missing promotions, and confirm after a worker has read them"
                )
            incomplete = (await reader.state()).incomplete
            confirmed = [partition for partition in incomplete if partition.topic is Topic.PROMOTIONS]
            writer = PaneWriter(redis, keys, levels(settings))
            for partition in confirmed:
                await writer.clear_incomplete(partition)
            return confirmed
    finally:
        await redis.aclose()
