"""Whether the positions in Redis are those of an embedded broker: only then may they be set to 0 when one starts."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.errors import SalepulseError
from streams.local.embedded.broker import is_embedded_topic
from streams.settings import Settings
from streams.store.connection import address, connect, user_errors
from streams.store.keys import Keys


async def require_embedded_positions(settings: Settings) -> None:
    """Raise SalepulseError where Redis holds, under our prefix, positions in the topics of another broker.

    Workers note the id of each topic that they count; a store without ids was counted from a broker that has none.
    """
    redis, keys = connect(settings), Keys(settings.redis_prefix, settings.shards)
    try:
        with user_errors(redis):
            shards = [await redis.hgetall(keys.state(shard)) for shard in range(keys.shards)]
        found = positions_of_others({_text(name): _text(held) for fields in shards for name, held in fields.items()})
        if found:
            named = ", ".join(f"{name} at {position:,}" for name, position in list(found.items())[:3])
            raise SalepulseError(
                f"Redis at {address(redis)} holds positions of another broker under the prefix "
                f"{settings.redis_prefix!r} ({named}{' ...' if len(found) > 3 else ''}), and the embedded broker "
                "starts empty: all of them would be lost; go on from that broker with --bootstrap, or count under "
                "another prefix: set SALEPULSE_REDIS_PREFIX, or redis_prefix in salepulse.toml"
            )
    finally:
        await redis.aclose()


def positions_of_others(state: Mapping[str, str]) -> dict[str, int]:
    """Partitions with a position in a topic that is no embedded broker's, by the fields of the state of all shards."""
    positions = {
        name.removeprefix("pos:"): int(held)
        for name, held in sorted(state.items())
        if name.startswith("pos:") and int(held)
    }
    ids = {}
    for name in positions:
        current = state.get(f"topic:{name}", "").split()
        noted = state.get(f"broker,{name.rpartition('/')[0]}", "").split(" ")
        ids[name] = current[0] if current else noted[0]
    is_ours = any(map(is_embedded_topic, ids.values()))
    return {
        name: position
        for name, position in positions.items()
        if not (is_embedded_topic(ids[name]) or (is_ours and not ids[name]))
    }


def _text(held: bytes | str) -> str:
    return held.decode() if isinstance(held, bytes) else held
