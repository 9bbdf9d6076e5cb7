"""How the view stands at a moment: whether what it shows is live, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from consumers.topics import Partition
from streams.asof import AsOf, PartitionState

POLLED_WITHIN_MS = 2_000
"""A Redis that has not answered for so long is down."""
CAUGHT_UP_MS = 30_000
"""Records may wait to be counted while the as-of is no older than this."""
OLD_MS = 3_600_000
"""An as-of that is older is not the present, though nothing waits: events of the past are coming in."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of Redis and the partitions."""

    newest: AsOf
    """As of the last poll that succeeded."""
    partitions: dict[Partition, PartitionState]
    stale: tuple[Partition, ...]
    """Partitions without word from their worker for too long, at this moment."""
    polled_ms: int | None
    """When Redis last answered, epoch ms."""
    failure: str | None
    """What it said instead since then."""
    prepared: bool = True
    """Whether answers have been made ahead once."""
    wall: bool = False
    """Whether the clock is the machine's, so that an as-of can be old."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What every answer says of itself."""

    as_of_ms: int | None
    age_ms: int | None
    """How far the as-of is behind the machine's clock."""
    stale: tuple[Partition, ...]
    redis_up: bool
    reasons: tuple[str, ...]
    """Why what is shown is not live, one sentence each; none when it is."""

    @property
    def live(self) -> bool:
        """Whether the newest answer may be taken for the present."""
        return not self.reasons


def standing(facts: Facts, now_ms: int) -> Standing:
    """How things stand."""
    as_of_ms = facts.newest.ms
    redis_up = facts.polled_ms is not None and now_ms - facts.polled_ms <= POLLED_WITHIN_MS
    return Standing(
        as_of_ms=as_of_ms,
        age_ms=None if as_of_ms is None else now_ms - as_of_ms,
        stale=tuple(sorted(facts.stale)),
        redis_up=redis_up,
        reasons=tuple(_reasons(facts, now_ms, redis_up)),
    )


def _reasons(facts: Facts, now_ms: int, redis_up: bool) -> Iterator[str]:
    if not redis_up:
        since = "the start" if facts.polled_ms is None else moment(facts.polled_ms)
        yield f"Redis has not answered since {since}: {facts.failure or 'no answer yet'}"
    for partition in sorted(facts.stale):
        seen_ms = facts.partitions[partition].seen_ms
        since = "ever" if seen_ms is None else f"since {moment(seen_ms)}"
        yield f"partition {partition} is stale: no word from its worker {since}"
    as_of_ms = facts.newest.ms
    if as_of_ms is None:
        if facts.partitions:
            waiting = sorted(partition for partition, held in facts.partitions.items() if held.lag != 0)
            if waiting:  # where nothing waits there is nothing to show yet, and nothing amiss
                yield f"there is no as-of yet: nothing was counted yet of {', '.join(map(str, waiting))}"
        elif facts.polled_ms is not None:
            yield "there is no as-of yet: no worker has counted anything in this Redis"
        return
    if not facts.prepared:
        yield "the first answers are being made: ask again soon"
    if facts.wall and now_ms - as_of_ms > OLD_MS and all(held.lag == 0 for held in facts.partitions.values()):
        yield (
            f"the events that come in are old: the as-of stands at {moment(as_of_ms)}; what is replayed from the past "
            "belongs into a store of its own, with --clock event"
        )
    if now_ms - as_of_ms > CAUGHT_UP_MS:
        for partition, held in sorted(facts.partitions.items()):
            if held.lag != 0 and partition not in facts.stale:
                how_many = "an unknown number of" if held.lag is None else held.lag
                yield (
                    f"partition {partition} has {how_many} records waiting to be counted, "
                    f"and the as-of stands at {moment(as_of_ms)}"
                )


def moment(at_ms: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
