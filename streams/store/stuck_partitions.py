"""Partitions whose position does not move despite a backlog, as their workers report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.topics import Partition

STUCK_MS = 60_000
"""A position with a backlog that has not moved for longer than this is stuck."""


@dataclass(frozen=True, slots=True)
class UnmovedPosition:
    """A position with a backlog that has not moved for a while."""

    position: str
    """Offset of the next record to count; empty if nothing was counted."""
    since_ms: int
    """When a worker first reported it, by Redis's clock."""
    reported_ms: int
    """When a worker last reported it."""
    lag: int | None
    """Number of uncounted records; None: the broker answers no fetch of the partition."""

    @property
    def unmoved_s(self) -> float:
        """How long the position has not moved."""
        return (self.reported_ms - self.since_ms) / 1000


def stuck_partitions(
    waiting: Mapping[Partition, UnmovedPosition], paused: Mapping[Partition, str], now_ms: int, stale_after_s: float
) -> dict[Partition, UnmovedPosition]:
    """The partitions that are stuck and still reported, without paused ones."""
    oldest_ms = now_ms - round(stale_after_s * 1000)
    return {
        partition: unmoved
        for partition, unmoved in sorted(waiting.items())
        if unmoved.unmoved_s * 1000 > STUCK_MS and unmoved.reported_ms >= oldest_ms and partition not in paused
    }


def stuck_texts(stuck: Mapping[Partition, UnmovedPosition]) -> list[tuple[str, str]]:
    """Problem and fix of each; partitions that the broker does not answer for share one.

    >>> clicks, orders = Partition.parse("clicks/0"), Partition.parse("orders/0")
    >>> [text for text, _ in stuck_texts({clicks: UnmovedPosition("", 0, 95_000, None),
    ...     orders: UnmovedPosition("7", 0, 97_000, None)})]
    ['the broker answers no fetch of 2 partitions (clicks/0, orders/0), which have not moved for 95 s']
    """
    unanswered = {partition: unmoved for partition, unmoved in stuck.items() if unmoved.lag is None}
    texts = [
        (stuck_text(partition, unmoved), stuck_fix(unmoved))
        for partition, unmoved in stuck.items()
        if len(unanswered) < 2 or partition not in unanswered
    ]
    if len(unanswered) > 1:
        names, for_s = ", ".join(map(str, unanswered)), min(unmoved.unmoved_s for unmoved in unanswered.values())
        problem = f"the broker answers no fetch of {len(unanswered)} partitions ({names})"
        texts.append((f"{problem}, which have not moved for {for_s:.0f} s", stuck_fix(next(iter(unanswered.values())))))
    return texts


def stuck_text(partition: Partition, unmoved: UnmovedPosition) -> str:
    """Describe a stuck partition in a sentence.

    >>> clicks = Partition.parse("clicks/0")
    >>> stuck_text(clicks, UnmovedPosition("20", 0, 95_000, 7))
    'partition clicks/0 has been at offset 20 for 95 s, and 7 records wait after it'
    >>> stuck_text(clicks, UnmovedPosition("", 0, 95_000, None))
    'partition clicks/0 has been at its first record for 95 s, and the broker answers none of its fetches'
    """
    at = f"offset {unmoved.position}" if unmoved.position else "its first record"
    why = f"{unmoved.lag:,} records wait after it" if unmoved.lag else "the broker answers none of its fetches"
    return f"partition {partition} has been at {at} for {unmoved.unmoved_s:.0f} s, and {why}"


def stuck_fix(unmoved: UnmovedPosition) -> str:
    """How to fix a stuck partition."""
    cause = (
        "its leader is down, or a batch is damaged on the broker's disk"
        if unmoved.lag is None
        else "a transaction is open there, a batch is damaged on the broker's disk, or dead letters cannot be written"
    )
    return (
        f"see the logs of the worker and of the broker that leads the partition: {cause}; a damaged replica is "
        "restored from another one once its segment is deleted; without another, `kafka-delete-records.sh` up to "
        "the next good offset skips the damage and marks the history as incomplete"
    )
