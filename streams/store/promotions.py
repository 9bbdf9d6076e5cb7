"""The promotions that a shop is counted by, for who asks once."""

from __future__ import annotations

from consumers.events import Promotion
from streams.panes.rows import Rows
from streams.settings import Settings
from streams.store.connection import Access, connect
from streams.store.keys import Keys
from streams.store.reader import PaneReader
from streams.store.redis_errors import redis_errors


async def read_promotions(settings: Settings) -> dict[str, Promotion]:
    """# promotion_id: its newest definition. Raises SalepulseError where Redis does not say."""
    redis, keys = connect(settings, Access.READ), Keys(settings.redis_prefix, settings.shards)
    try:
        with redis_errors(redis):
            return await PaneReader(redis, keys, Rows()).promotions()
    finally:
        await redis.aclose()
