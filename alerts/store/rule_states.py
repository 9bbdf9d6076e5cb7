"""The states of the rules in Redis, written by the leader with its evaluations."""

from __future__ import annotations

from typing import Any

import msgspec
from redis.asyncio import Redis

from alerts.rule_states import NO_RULE_STATES, RuleStates
from alerts.store.keys import AlertKeys

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RuleStates)


def encode_rule_states(states: RuleStates) -> bytes:
    """Encode as JSON."""
    return _encoder.encode(states)


def decode_rule_states(stored: bytes | None) -> RuleStates:
    """Decode JSON; without any, or with that of another version, no rule has a state."""
    if stored is None:
        return NO_RULE_STATES
    try:
        return _decoder.decode(stored)
    except ValueError:  # of another version: the leader soon writes its own
        return NO_RULE_STATES


async def read_rule_states(redis: Redis, keys: AlertKeys) -> RuleStates:
    """Read the states of all rules."""
    client: Any = redis  # redis-py's types fit neither kind of its clients
    return decode_rule_states(await client.get(keys.rules))
