"""Check that the positions in Redis belong to an embedded broker before they are reset."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.errors import SalepulseError
from streams.local.embedded.broker import is_embedded_topic
from streams.settings import Settings
from streams.store.connection import address, connect, user_errors
from streams.store.keys import Keys


async def require_embedded_positions(settings: Settings) -> None:
    """Raise SalepulseError if Redis holds positions in the topics of another broker under our prefix.

    Workers store the id of each topic; a store without ids was counted from a broker without topic ids.
    """
    redis, keys = connect(settings), Keys(settings.redis_prefix, settings.shards)
    try:
        with user_errors(redis):
            shards = [await redis.hgetall(keys.state(shard)) for shard in range(keys.shards)]
        foreign = foreign_positions({_text(name): _text(held) for fields in shards for name, held in fields.items()})
        if foreign:
            named = ", ".join(f"{name} at {position:,}" for name, position in list(foreign.items())[:3])
            raise SalepulseError(
                f"Redis at {address(redis)} holds positions of another broker under the prefix "
                f"{settings.redis_prefix!r} ({named}{' ...' if len(foreign) > 3 else ''}), which an embedded broker "
                "would reset: name that broker with --bootstrap, or another prefix with SALEPULSE_REDIS_PREFIX or "
                "redis_prefix in salepulse.toml"
            )
    finally:
        await redis.aclose()


def foreign_positions(state: Mapping[str, str]) -> dict[str, int]:
    """Positions in topics that are not an embedded broker's. `state`: the state fields of all shards."""
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
    any_embedded = any(map(is_embedded_topic, ids.values()))
    return {
        name: position
        for name, position in positions.items()
        if not (is_embedded_topic(ids[name]) or (any_embedded and not ids[name]))
    }


def _text(held: bytes | str) -> str:
    return held.decode() if isinstance(held, bytes) else held
