"""What keeps processes from their work that run and cannot report: they are not to be taken for gone. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from streams.store.refusal_kinds import REFUSAL_TEXTS, RedisRefusal


@dataclass(frozen=True, slots=True)
class HeldUp:
    """What they wait for."""

    why: str
    """Follows "they wait for"."""
    fix: str


def held_up(refused: RedisRefusal | None, *, broker_answers: bool) -> HeldUp | None:
    """What workers wait for; None: nothing is known to hold them up."""
    if refused is not None:
        return by_redis(refused)
    if not broker_answers:
        return HeldUp("the Kafka broker, which does not answer", "see what is said of the broker: workers then go on")
    return None


def by_redis(refused: RedisRefusal) -> HeldUp:
    """What everything that writes to Redis waits for."""
    text = REFUSAL_TEXTS[refused]
    return HeldUp(f"Redis, which {text.problem}", f"{text.fix}: what runs then goes on by itself")
