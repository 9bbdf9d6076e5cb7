"""Up to which moment there is something to judge."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alerts.rules.detect import SequentialDetector, SilenceDetector
from alerts.rules.rule import Rule, Rules, RuleScope
from consumers.settings import Clock
from consumers.topics import Topic
from streams.settings import Settings
from streams.store.as_of import PartitionState, is_quiet
from streams.store.state import StoreState

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


def continuous_topics(rules: Rules) -> frozenset[Topic]:
    """The topics whose standstill rules take for a standstill of the shop."""
    found: set[Topic] = set()
    for rule in rules.rules:
        if (
            rule.enabled
            and isinstance(rule.detect, SequentialDetector | SilenceDetector)
            and RuleScope.SOURCE not in rule.for_each
        ):
            found |= rule.topics
    return frozenset(found)


def horizon(state: StoreState, at_ms: int, settings: Settings, continuous_topics: Collection[Topic]) -> Horizon | None:
    """Up to where can be judged; None while there is no event at all. `at_ms`: when the store was looked at.

    - A partition of which everything is counted holds nothing back while others of its topic go on: its worker says
      that nothing waits. That is known up to the worker's last word, and no further: a worker that has just died is no
      silence of the shop.
    - A topic that the settings take out of the as-of (`as_of_topics`) is not waited for.
    - A topic that goes on no more, of those that are `continuous_topics`, is waited for as the as-of does
    (`idle_after_s`): else
      a broker that holds its breath looked like a shop without orders.
    """
    counted = [
        partition_state.newest_ms
        for partition_state in state.existing_partitions.values()
        if partition_state.newest_ms is not None
    ]
    if not counted:
        return None
    last_ms = at_ms if settings.clock is Clock.WALL else max(counted)
    reached = [last_ms]
    for topic in settings.topics_in_as_of:
        mine = [partition_state for name, partition_state in state.existing_partitions.items() if name.topic is topic]
        newest_ms = max((partition_state.newest_ms or 0 for partition_state in mine), default=0)
        if newest_ms:
            waits = topic in continuous_topics and not _idle(mine, at_ms, settings)
            reached += _reached(mine, newest_ms if waits else last_ms, settings.clock)
    as_of_ms = min(reached)
    as_of_ms -= as_of_ms % 1000
    return Horizon(as_of_ms, as_of_ms // 1000 - SETTLE_S)


def _reached(partitions: Iterable[PartitionState], until_ms: int, clock: Clock) -> Iterable[int]:
    """Up to where each partition is counted; no further than the topic goes on."""
    for partition_state in partitions:
        newest_ms = partition_state.newest_ms
        if partition_state.lag == 0 and clock is Clock.EVENT:
            yield max(newest_ms or 0, until_ms)
        elif partition_state.is_drained and clock is Clock.WALL:
            counted_through_ms = (
                partition_state.heartbeat_ms if partition_state.lag == 0 else partition_state.counted_through_ms
            )
            yield max(newest_ms or 0, min(counted_through_ms or 0, until_ms))
        elif newest_ms is not None:
            yield newest_ms


def _idle(partitions: Collection[PartitionState], at_ms: int, settings: Settings) -> bool:
    """Whether a topic has brought nothing for so long that this is how it is."""
    if settings.clock is Clock.EVENT:
        return all(partition_state.lag == 0 for partition_state in partitions)
    last_counted_ms = max((partition_state.last_counted_ms or 0 for partition_state in partitions), default=0)
    drained = all(partition_state.is_drained for partition_state in partitions)
    return drained and is_quiet(last_counted_ms, at_ms, round(settings.idle_after_s * 1000), now_ms=at_ms)


def disable_unsettled_rules(rules: Rules, not_in_as_of: Collection[Topic]) -> Rules:
    """The rules, those disabled that would take a late feed for a standstill of the shop.

    Rules `for_each: [source]` go on: the sources of such topics are left out where their seconds are read.
    """
    if not not_in_as_of:
        return rules
    return rules.model_copy(
        update={
            "rules": tuple(
                rule.model_copy(update={"enabled": False}) if _is_unsettled(rule, not_in_as_of) else rule
                for rule in rules.rules
            )
        }
    )


def _is_unsettled(rule: Rule, not_in_as_of: Collection[Topic]) -> bool:
    by_seconds = isinstance(rule.detect, SequentialDetector | SilenceDetector) and RuleScope.SOURCE not in rule.for_each
    return by_seconds and not rule.topics.isdisjoint(not_in_as_of)
