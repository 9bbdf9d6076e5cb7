"""Up to which moment there is something to judge."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alerts.rules.detect import Sequential, Silence
from alerts.rules.rule import Each, Rules
from consumers.settings import Clock
from consumers.topics import Topic
from streams.asof import PartitionState, is_quiet
from streams.settings import Settings
from streams.store.state import State

SETTLE_S = 2
"""What is younger than this, by the horizon, is not judged yet: some of it is still under way."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Where a look into the store ends."""

    as_of_ms: int
    """A multiple of 1 s. Not before the as-of of the API, which waits for every partition that had an event lately."""
    settled_s: int
    """Seconds that ended by then are complete, but for late events."""

    def not_after(self, settled_s: int) -> Horizon:
        """The same, where nothing later may be judged."""
        settled_s = min(settled_s, self.settled_s)
        return Horizon(min(self.as_of_ms, 1000 * (settled_s + SETTLE_S)), settled_s)


def flowing(rules: Rules) -> frozenset[Topic]:
    """The topics whose standstill rules take for a standstill of the shop."""
    found: set[Topic] = set()
    for rule in rules.rules:
        if rule.enabled and isinstance(rule.detect, Sequential | Silence) and Each.SOURCE not in rule.for_each:
            found |= rule.topics
    return frozenset(found)


def horizon(state: State, at_ms: int, settings: Settings, flowing: Collection[Topic]) -> Horizon | None:
    """Up to where can be judged; None while there is no event at all. `at_ms`: when the store was looked at.

    - A partition of which everything is counted holds nothing back while others of its topic go on: its worker says
      that nothing waits. That is known up to the worker's last word, and no further: a worker that has just died is no
      silence of the shop.
    - A topic that the settings take out of the as-of (`as_of_topics`) is not waited for.
    - A topic that goes on no more, of those that are `flowing`, is waited for as the as-of does (`idle_after_s`): else
      a broker that holds its breath looked like a shop without orders.
    """
    counted = [held.newest_ms for held in state.current.values() if held.newest_ms is not None]
    if not counted:
        return None
    last_ms = at_ms if settings.clock is Clock.WALL else max(counted)
    reached = [last_ms]
    for topic in settings.topics_in_as_of:
        mine = [held for name, held in state.current.items() if name.topic is topic]
        newest_ms = max((held.newest_ms or 0 for held in mine), default=0)
        if newest_ms:
            waits = topic in flowing and not _idle(mine, at_ms, settings)
            reached += _reached(mine, newest_ms if waits else last_ms, settings.clock)
    as_of_ms = min(reached)
    as_of_ms -= as_of_ms % 1000
    return Horizon(as_of_ms, as_of_ms // 1000 - SETTLE_S)


def _reached(partitions: Iterable[PartitionState], until_ms: int, clock: Clock) -> Iterable[int]:
    """Up to where each partition is counted; no further than the topic goes on."""
    for held in partitions:
        newest_ms = held.newest_ms
        if held.lag == 0 and clock is Clock.EVENT:
            yield max(newest_ms or 0, until_ms)
        elif held.is_drained and clock is Clock.WALL:
            arrived_ms = held.seen_ms if held.lag == 0 else held.arrived_ms
            yield max(newest_ms or 0, min(arrived_ms or 0, until_ms))
        elif newest_ms is not None:
            yield newest_ms


def _idle(partitions: Collection[PartitionState], at_ms: int, settings: Settings) -> bool:
    """Whether a topic has brought nothing for so long that this is how it is."""
    if settings.clock is Clock.EVENT:
        return all(held.lag == 0 for held in partitions)
    fresh_ms = max((held.fresh_ms or 0 for held in partitions), default=0)
    drained = all(held.is_drained for held in partitions)
    return drained and is_quiet(fresh_ms, at_ms, round(settings.idle_after_s * 1000), now_ms=at_ms)
