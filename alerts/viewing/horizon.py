"""Up to which moment there is something to judge."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.settings import Clock
from streams.settings import Settings
from streams.store.state import State
from streams.view.reached import newest, reached_ms

SETTLE_S = 2
"""What is younger than this, by the as-of, is not judged yet: some of it is still under way."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Where a look into the store ends."""

    as_of_ms: int
    settled_s: int
    """Seconds that ended by then are complete, but for late events."""


def horizon(state: State, at_ms: int, settings: Settings) -> Horizon | None:
    """Up to where can be judged; None while there is no event at all. `at_ms`: when the store was looked at.

    A partition that brings nothing lets the as-of go on by the clock. But that nothing came is known only up to its
    worker's last word: a worker that has just died is no silence of the shop.
    """
    as_of_ms = newest(state, at_ms, settings).ms
    if as_of_ms is None:
        as_of_ms = reached_ms(state, at_ms, settings)
    if as_of_ms is None:
        return None
    if settings.clock is Clock.WALL:
        heard_ms = (max(held.newest_ms or 0, held.seen_ms or 0) for held in state.partitions.values() if held.newest_ms)
        as_of_ms = min([as_of_ms, *heard_ms])
        as_of_ms -= as_of_ms % 1000
    return Horizon(as_of_ms, as_of_ms // 1000 - SETTLE_S)
