"""How the view stands at a moment: whether what it shows is live, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from consumers.topics import Partition, Topic
from streams.acceptance import cure
from streams.asof import AsOf, PartitionState
from streams.feeds import HeldBack, late_feed_fix, late_feed_text
from streams.store.refusal_kinds import OURS, TEXTS, RedisRefusal
from streams.stuck import Waiting, stuck_texts

DOWN_AFTER_MS = 2_000
"""A Redis that has not answered for so long is down, to whoever looks."""
CAUGHT_UP_MS = 30_000
"""Records may wait to be counted while the as-of is no older than this."""
REPLICATED_WITHIN_MS = 5_000
"""Heartbeats of workers that are no older came through a replica's primary."""
OLD_MS = 3_600_000
"""An as-of that is older is not the present, though nothing waits: events of the past are coming in."""


class NotLive(StrEnum):
    """The closed set of causes for which an answer is not live; also the label of `salepulse_not_live`."""

    REDIS_DOWN = "redis_down"
    """Redis does not answer this server."""
    REDIS_REFUSES_WRITES = "redis_refuses_writes"
    """Redis answers and refuses writes (out of memory, disk full, too few replicas, a replica, a right or login that is
    missing): nothing is counted."""
    BUSY = "busy"
    """Redis answers, and this server has not read it lately, or still gives answers of before: it is computing."""
    PARTITION_STALE = "partition_stale"
    """No worker has written a heartbeat for a partition lately."""
    PARTITION_UNREAD = "partition_unread"
    """The broker has a partition that no worker reads yet: it was added, or its topic was created again."""
    TOPIC_MISSING = "topic_missing"
    """The broker does not have a topic that workers read."""
    PARTITIONS_DIFFER = "partitions_differ"
    """With several shards, `orders` and `logistics` have different numbers of partitions: orders are not joined."""
    NO_AS_OF = "no_as_of"
    """Nothing has been counted yet, or a partition that holds records has never been read."""
    PREPARING = "preparing"
    """The server has started and has not read all panes yet."""
    EVENTS_OLD = "events_old"
    """All records are counted, and their newest event time is long past."""
    TOPIC_STOPPED = "topic_stopped"
    """A topic is not read: most of its first messages break the contract, and nobody has accepted it."""
    FEED_LATE = "feed_late"
    """All records of a partition are counted, and its newest event is older than those of others: its feed is late."""
    PARTITION_STUCK = "partition_stuck"
    """Records wait in a partition, and its position has not moved for more than a minute."""
    RECORDS_WAITING = "records_waiting"
    """Records wait to be counted, and the as-of is behind."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause for which an answer is not live."""

    code: NotLive
    text: str
    """For people: one sentence."""


@dataclass(frozen=True, slots=True)
class RefusedWrites:
    """Redis answers, and refuses writes."""

    why: RedisRefusal
    since_ms: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of Redis and the partitions."""

    newest: AsOf
    """As of the last poll that succeeded."""
    partitions: dict[Partition, PartitionState]
    """Those that the broker has, as far as is known."""
    stale: tuple[Partition, ...]
    """Partitions without word from their worker for too long, at this moment."""
    polled_ms: int | None
    """When the last poll that succeeded began, epoch ms."""
    failure: str | None
    """What it said instead since then."""
    heard_ms: int | None = None
    """When Redis last answered anything, epoch ms; None: no more is known than `polled_ms`."""
    listened_ms: int | None = None
    """Up to when an answer of Redis would have been heard: the thread that asks was not busy. None: until now."""
    prepared: bool = True
    """Whether answers have been made ahead once."""
    wall: bool = False
    """Whether the clock is the wall clock, so that an as-of can be old."""
    unread: tuple[Partition, ...] = ()
    """Partitions that the broker has and no worker reads; they are in `stale` too."""
    missing: tuple[Topic, ...] = ()
    """Topics that the broker does not have."""
    differing: tuple[int, int] | None = None
    """How many partitions `orders` and `logistics` have, where they must have as many and do not."""
    refused: RefusedWrites | None = None
    """Whether Redis refused writes when it was last asked."""
    stopped: Mapping[Partition, str] = field(default_factory=dict)
    """Partitions that are not read, since most of their topic's messages break the contract. # <what a worker found>"""
    held_back: tuple[HeldBack, ...] = ()
    """What the as-of waits for on the wall clock."""
    stuck: Mapping[Partition, Waiting] = field(default_factory=dict)
    """Partitions in which records wait, and whose position does not move."""
    shown_ms: int | None = None
    """As-of of the answer that this is about, where it may be behind `newest`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What every answer says of itself."""

    as_of_ms: int | None
    age_ms: int | None
    """How far the as-of is behind the clock, never negative."""
    stale: tuple[Partition, ...]
    redis_up: bool
    causes: tuple[Cause, ...]
    """Why what is shown is not live; none when it is."""

    @property
    def live(self) -> bool:
        """Whether the newest answer may be taken for the present."""
        return not self.causes

    @property
    def reasons(self) -> tuple[str, ...]:
        """The causes in sentences."""
        return tuple(cause.text for cause in self.causes)

    @property
    def codes(self) -> tuple[NotLive, ...]:
        """The codes of the causes, each once, in the order of `NotLive`."""
        found = {cause.code for cause in self.causes}
        return tuple(code for code in NotLive if code in found)


def standing(facts: Facts, now_ms: int) -> Standing:
    """How things stand."""
    as_of_ms = facts.newest.ms
    silent = is_silent(facts.polled_ms if facts.heard_ms is None else facts.heard_ms, facts.listened_ms, now_ms)
    redis_up = not silent and not (_is_late(facts, now_ms) and facts.failure is not None)
    causes = tuple(_causes(facts, now_ms, redis_up))
    return Standing(
        as_of_ms=as_of_ms,
        age_ms=None if as_of_ms is None else max(0, now_ms - as_of_ms),
        stale=tuple(sorted(facts.stale)),
        redis_up=redis_up,
        causes=causes or tuple(_about_age(facts, now_ms)),
    )


def _about_age(facts: Facts, now_ms: int) -> Iterator[Cause]:
    """An answer that is old is not live, also where all else is right: it was made before the as-of moved on."""
    shown_ms, newest_ms = facts.shown_ms, facts.newest.ms
    shown_ms = newest_ms if shown_ms is None else shown_ms
    if not facts.wall or shown_ms is None or now_ms - shown_ms <= CAUGHT_UP_MS:
        return
    if newest_ms is not None and newest_ms > shown_ms:
        yield Cause(
            NotLive.BUSY,
            f"this server still gives answers of {moment(shown_ms)} and is computing those of {moment(newest_ms)}: "
            "ask again soon",
        )
    else:
        yield Cause(NotLive.RECORDS_WAITING, f"the as-of stands at {moment(shown_ms)}: nothing newer is counted yet")


def is_silent(heard_ms: int | None, listened_ms: int | None, now_ms: int) -> bool:
    """Whether Redis does not answer, though it would have been heard."""
    until_ms = now_ms if listened_ms is None else min(now_ms, listened_ms)
    return heard_ms is None or until_ms - heard_ms > DOWN_AFTER_MS


def _is_late(facts: Facts, now_ms: int) -> bool:
    return facts.polled_ms is None or now_ms - facts.polled_ms > DOWN_AFTER_MS


def _causes(facts: Facts, now_ms: int, redis_up: bool) -> Iterator[Cause]:
    if not redis_up:
        since = "the start" if facts.polled_ms is None else moment(facts.polled_ms)
        yield Cause(NotLive.REDIS_DOWN, f"Redis has not answered since {since}: {facts.failure or 'no answer yet'}")
    elif facts.polled_ms is None:
        yield Cause(NotLive.PREPARING, "this server has started and is still reading what is counted: ask again soon")
    elif _is_late(facts, now_ms):
        yield Cause(
            NotLive.BUSY,
            f"this server is busy computing answers: it last read at {moment(facts.polled_ms)} what Redis holds",
        )
    if facts.refused is not None and (redis_up or facts.refused.why in OURS) and _matters(facts, facts.refused, now_ms):
        text = TEXTS[facts.refused.why]
        yield Cause(
            NotLive.REDIS_REFUSES_WRITES,
            f"Redis {text.problem} since {moment(facts.refused.since_ms)}: nothing is counted, and nothing is lost; "
            f"{text.fix}",
        )
    yield from _about_topics(facts)
    for partition in sorted(set(facts.stale) - set(facts.unread)):
        seen_ms = facts.partitions[partition].seen_ms
        since = "ever" if seen_ms is None else f"since {moment(seen_ms)}"
        who = "the broker, which its worker asks," if partition in facts.stuck else "its worker"
        yield Cause(NotLive.PARTITION_STALE, f"partition {partition} is stale: no word from {who} {since}")
    found = {partition.topic: why for partition, why in sorted(facts.stopped.items(), reverse=True)}
    for topic, why in sorted(found.items()):
        yield Cause(NotLive.TOPIC_STOPPED, f"{why}; {cure(topic)}")
    for stays, fix in stuck_texts(facts.stuck):
        yield Cause(NotLive.PARTITION_STUCK, f"{stays}; {fix}")
    as_of_ms = facts.newest.ms
    if as_of_ms is None:
        if facts.partitions:
            uncounted = sorted(partition for partition, held in facts.partitions.items() if held.lag != 0)
            if uncounted:  # where nothing waits there is nothing to show yet, and nothing amiss
                missing = ", ".join(map(str, uncounted))
                yield Cause(NotLive.NO_AS_OF, f"there is no as-of yet: nothing was counted yet of {missing}")
        elif facts.polled_ms is not None:
            yield Cause(NotLive.NO_AS_OF, "there is no as-of yet: no worker has counted anything in this Redis")
        return
    if not facts.prepared:
        yield Cause(NotLive.PREPARING, "the first answers are being made: ask again soon")
    if facts.wall and now_ms - as_of_ms > OLD_MS and all(_is_past(held, now_ms) for held in facts.partitions.values()):
        yield Cause(
            NotLive.EVENTS_OLD,
            f"the events that come in are old: the as-of stands at {moment(as_of_ms)}; what is replayed from the past "
            "belongs into a store of its own, with --clock event",
        )
    elif facts.wall and now_ms - as_of_ms > CAUGHT_UP_MS:
        for one in facts.held_back:
            if one.is_late_feed and one.partition not in facts.stale:
                yield Cause(NotLive.FEED_LATE, f"{late_feed_text(one)}; {late_feed_fix(one)}")
    if now_ms - as_of_ms > CAUGHT_UP_MS:
        behind = {one.partition for one in facts.held_back if not one.is_late_feed}
        for partition, held in sorted(facts.partitions.items()):
            waits = partition in behind if facts.wall else held.lag != 0
            if waits and partition not in facts.stale and partition not in facts.stuck:
                how_many = "an unknown number of" if held.lag is None else held.lag
                yield Cause(
                    NotLive.RECORDS_WAITING,
                    f"partition {partition} has {how_many} records waiting to be counted, "
                    f"and the as-of stands at {moment(as_of_ms)}",
                )


def _is_past(held: PartitionState, now_ms: int) -> bool:
    """Whether all of a partition is counted, and none of it of the present."""
    return held.has_caught_up and (held.newest_ms is None or now_ms - held.newest_ms > OLD_MS)


def _about_topics(facts: Facts) -> Iterator[Cause]:
    for topic in facts.missing:
        yield Cause(
            NotLive.TOPIC_MISSING,
            f"topic {topic} does not exist on the broker, and its counts stay as they were: create it with "
            "`salepulse topics create`",
        )
    for partition in sorted(facts.unread):
        yield Cause(NotLive.PARTITION_UNREAD, f"partition {partition} exists on the broker and no worker reads it yet")
    if facts.differing is not None:
        orders, logistics = facts.differing
        yield Cause(
            NotLive.PARTITIONS_DIFFER,
            f"topic orders has {orders} partitions and logistics {logistics}: with several shards they must have as "
            "many, or orders are not joined with their shipments; add partitions to the smaller one",
        )


def _matters(facts: Facts, refused: RefusedWrites, now_ms: int) -> bool:
    """Whether counting is stopped. A server that reads from a replica is well while workers write to its primary."""
    if refused.why is not RedisRefusal.READONLY:
        return True
    return not any_heard(facts.partitions.values(), now_ms)


def any_heard(partitions: Iterable[PartitionState], now_ms: int) -> bool:
    """Whether a worker has written a heartbeat just now, whatever we are told of writing ourselves."""
    return any(now_ms - (held.seen_ms or 0) <= REPLICATED_WITHIN_MS for held in partitions)


def moment(at_ms: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
