"""The horizon: the moment up to which rules can be evaluated."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alerts.rules.detect import SequentialDetector, SilenceDetector
from alerts.rules.rule import Rule, Rules, RuleScope
from consumers.settings import Clock
from consumers.topics import CONTRACT_FEEDS, Feeds, Partition, Topic
from streams.settings import Settings
from streams.store.as_of import PartitionState, is_quiet

SETTLE_S = 2
"""Margin before the horizon, for events in transit."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The horizon of one sample."""

    as_of_ms: int
    """A multiple of 1 s. At or after the API's as-of, which waits for every partition with recent events."""
    settled_s: int
    """End of the complete seconds; only late events may still change them."""

    def not_after(self, settled_s: int) -> Horizon:
        """Return the horizon, limited to a later bound."""
        settled_s = min(settled_s, self.settled_s)
        return Horizon(min(self.as_of_ms, 1000 * (settled_s + SETTLE_S)), settled_s)


def continuous_topics(rules: Rules) -> frozenset[Topic]:
    """The topics whose silence counts as a silence of the shop."""
    topics: set[Topic] = set()
    for rule in rules.rules:
        if (
            rule.enabled
            and isinstance(rule.detect, SequentialDetector | SilenceDetector)
            and RuleScope.SOURCE not in rule.for_each
        ):
            topics |= rule.topics
    return frozenset(topics)


def horizon(
    partitions: Mapping[Partition, PartitionState],
    at_ms: int,
    settings: Settings,
    continuous_topics: Collection[Topic],
    feeds: Feeds = CONTRACT_FEEDS,
) -> Horizon | None:
    """Return the horizon; None: there are no events. `at_ms`: time of the sample;
    `feeds`: of the topics that workers read.

    - A fully counted partition does not delay the horizon while other partitions of its topic are active, up to the
      last heartbeat of its worker: a worker that has just died is no silence of the shop.
    - Topics excluded by `as_of_topics` are ignored.
    - A silent topic among `continuous_topics` delays the horizon for `idle_after_s`, like the as-of: otherwise a
      stalled broker would look like a shop without orders.
    """
    counted = [partition.newest_ms for partition in partitions.values() if partition.newest_ms is not None]
    if not counted:
        return None
    last_ms = at_ms if settings.clock is Clock.WALL else max(counted)
    reached = [last_ms]
    for topic in settings.topics_in_as_of:
        of_topic = [partition for name, partition in partitions.items() if topic in feeds.get(name.topic, ())]
        newest_ms = max((partition.newest_ms or 0 for partition in of_topic), default=0)
        if newest_ms:
            waits = topic in continuous_topics and not _idle(of_topic, at_ms, settings)
            reached += _reached(of_topic, newest_ms if waits else last_ms, settings.clock)
    as_of_ms = min(reached)
    as_of_ms -= as_of_ms % 1000
    return Horizon(as_of_ms, as_of_ms // 1000 - SETTLE_S)


def _reached(partitions: Iterable[PartitionState], until_ms: int, clock: Clock) -> Iterable[int]:
    """The position of each partition, at most the topic's."""
    for partition in partitions:
        newest_ms = partition.newest_ms
        if partition.lag == 0 and clock is Clock.EVENT:
            yield max(newest_ms or 0, until_ms)
        elif partition.is_drained and clock is Clock.WALL:
            counted_through_ms = partition.heartbeat_ms if partition.lag == 0 else partition.counted_through_ms
            yield max(newest_ms or 0, min(counted_through_ms or 0, until_ms))
        elif newest_ms is not None:
            yield newest_ms


def _idle(partitions: Collection[PartitionState], at_ms: int, settings: Settings) -> bool:
    """Whether a topic has been idle for so long that silence is its normal state."""
    if settings.clock is Clock.EVENT:
        return all(partition.lag == 0 for partition in partitions)
    last_counted_ms = max((partition.last_counted_ms or 0 for partition in partitions), default=0)
    drained = all(partition.is_drained for partition in partitions)
    return drained and is_quiet(last_counted_ms, at_ms, round(settings.idle_after_s * 1000), now_ms=at_ms)


def disable_unsettled_rules(rules: Rules, not_in_as_of: Collection[Topic]) -> Rules:
    """Disable rules that would mistake a late feed for a silence of the shop.

    Rules `for_each: [source]` stay; the sources of such topics are skipped when seconds are read.
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
