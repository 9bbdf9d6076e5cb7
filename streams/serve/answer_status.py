"""How the view stands at a moment: whether what it shows is live, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consumers.times import format_utc
from consumers.topics import Partition, Topic
from streams.store.as_of import AsOf, PartitionState
from streams.store.blocking_as_of import BlockingPartition, late_feed_fix, late_feed_text
from streams.store.contract_check import contract_fix
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal
from streams.store.stuck_partitions import UnmovedPosition, stuck_texts

DOWN_AFTER_MS = 2_000
"""A Redis that has not answered for so long is down, to whoever looks."""
CAUGHT_UP_MS = 30_000
"""Records may wait to be counted while the as-of is no older than this."""
REPLICATED_WITHIN_MS = 5_000
"""Heartbeats of workers that are no older came through a replica's primary."""
OLD_MS = 3_600_000
"""An as-of that is older is not the present, though nothing waits: events of the past are coming in."""


class NotLiveReason(StrEnum):
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
class NotLiveCause:
    """One cause for which an answer is not live."""

    code: NotLiveReason
    text: str
    """For people: one sentence."""


@dataclass(frozen=True, slots=True)
class RefusedWrites:
    """Redis answers, and refuses writes."""

    why: RedisRefusal
    since_ms: int


@dataclass(frozen=True, slots=True)
class ServerState:
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
    last_answer_ms: int | None = None
    """When Redis last answered anything, epoch ms; None: no more is known than `polled_ms`."""
    loop_alive_ms: int | None = None
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
    paused: Mapping[Partition, str] = field(default_factory=dict)
    """Partitions that are not read, since most of their topic's messages break the contract. # <what a worker found>"""
    blocking_as_of: tuple[BlockingPartition, ...] = ()
    """What the as-of waits for on the wall clock."""
    stuck: Mapping[Partition, UnmovedPosition] = field(default_factory=dict)
    """Partitions in which records wait, and whose position does not move."""
    answer_as_of_ms: int | None = None
    """As-of of the answer that this is about, where it may be behind `newest`."""


@dataclass(frozen=True, slots=True)
class AnswerStatus:
    """What every answer says of itself."""

    as_of_ms: int | None
    age_ms: int | None
    """How far the as-of is behind the clock, never negative."""
    stale: tuple[Partition, ...]
    redis_up: bool
    causes: tuple[NotLiveCause, ...]
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
    def codes(self) -> tuple[NotLiveReason, ...]:
        """The codes of the causes, each once, in the order of `NotLiveReason`."""
        found = {cause.code for cause in self.causes}
        return tuple(code for code in NotLiveReason if code in found)


def answer_status(server_state: ServerState, now_ms: int) -> AnswerStatus:
    """How things stand."""
    as_of_ms = server_state.newest.ms
    silent = is_redis_silent(
        server_state.polled_ms if server_state.last_answer_ms is None else server_state.last_answer_ms,
        server_state.loop_alive_ms,
        now_ms,
    )
    redis_up = not silent and not (_is_late(server_state, now_ms) and server_state.failure is not None)
    causes = tuple(_causes(server_state, now_ms, redis_up))
    return AnswerStatus(
        as_of_ms=as_of_ms,
        age_ms=None if as_of_ms is None else max(0, now_ms - as_of_ms),
        stale=tuple(sorted(server_state.stale)),
        redis_up=redis_up,
        causes=causes or tuple(_age_causes(server_state, now_ms)),
    )


def _age_causes(server_state: ServerState, now_ms: int) -> Iterator[NotLiveCause]:
    """An answer that is old is not live, also where all else is right: it was made before the as-of moved on."""
    answer_as_of_ms, newest_ms = server_state.answer_as_of_ms, server_state.newest.ms
    answer_as_of_ms = newest_ms if answer_as_of_ms is None else answer_as_of_ms
    if not server_state.wall or answer_as_of_ms is None or now_ms - answer_as_of_ms <= CAUGHT_UP_MS:
        return
    if newest_ms is not None and newest_ms > answer_as_of_ms:
        yield NotLiveCause(
            NotLiveReason.BUSY,
            f"this server still gives answers of {format_utc(answer_as_of_ms)} and is computing those of "
            f"{format_utc(newest_ms)}: "
            "ask again soon",
        )
    else:
        yield NotLiveCause(
            NotLiveReason.RECORDS_WAITING,
            f"the as-of stands at {format_utc(answer_as_of_ms)}: nothing newer is counted yet",
        )


def is_redis_silent(last_answer_ms: int | None, loop_alive_ms: int | None, now_ms: int) -> bool:
    """Whether Redis does not answer, though it would have been heard."""
    until_ms = now_ms if loop_alive_ms is None else min(now_ms, loop_alive_ms)
    return last_answer_ms is None or until_ms - last_answer_ms > DOWN_AFTER_MS


def _is_late(server_state: ServerState, now_ms: int) -> bool:
    return server_state.polled_ms is None or now_ms - server_state.polled_ms > DOWN_AFTER_MS


def _causes(server_state: ServerState, now_ms: int, redis_up: bool) -> Iterator[NotLiveCause]:
    if not redis_up:
        since = "the start" if server_state.polled_ms is None else format_utc(server_state.polled_ms)
        yield NotLiveCause(
            NotLiveReason.REDIS_DOWN, f"Redis has not answered since {since}: {server_state.failure or 'no answer yet'}"
        )
    elif server_state.polled_ms is None:
        yield NotLiveCause(
            NotLiveReason.PREPARING, "this server has started and is still reading what is counted: ask again soon"
        )
    elif _is_late(server_state, now_ms):
        yield NotLiveCause(
            NotLiveReason.BUSY,
            f"this server is busy computing answers: it last read at {format_utc(server_state.polled_ms)} "
            f"what Redis holds",
        )
    if (
        server_state.refused is not None
        and (redis_up or server_state.refused.why in PERMISSION_REFUSALS)
        and _stops_counting(server_state, server_state.refused, now_ms)
    ):
        text = REFUSAL_TEXTS[server_state.refused.why]
        yield NotLiveCause(
            NotLiveReason.REDIS_REFUSES_WRITES,
            f"Redis {text.problem} since {format_utc(server_state.refused.since_ms)}: "
            f"nothing is counted, and nothing is lost; "
            f"{text.fix}",
        )
    yield from _topic_causes(server_state)
    for partition in sorted(set(server_state.stale) - set(server_state.unread)):
        heartbeat_ms = server_state.partitions[partition].heartbeat_ms
        since = "ever" if heartbeat_ms is None else f"since {format_utc(heartbeat_ms)}"
        who = "the broker, which its worker asks," if partition in server_state.stuck else "its worker"
        yield NotLiveCause(NotLiveReason.PARTITION_STALE, f"partition {partition} is stale: no word from {who} {since}")
    found = {partition.topic: why for partition, why in sorted(server_state.paused.items(), reverse=True)}
    for topic, why in sorted(found.items()):
        yield NotLiveCause(NotLiveReason.TOPIC_STOPPED, f"{why}; {contract_fix(topic)}")
    for stays, fix in stuck_texts(server_state.stuck):
        yield NotLiveCause(NotLiveReason.PARTITION_STUCK, f"{stays}; {fix}")
    as_of_ms = server_state.newest.ms
    if as_of_ms is None:
        if server_state.partitions:
            uncounted = sorted(partition for partition, held in server_state.partitions.items() if held.lag != 0)
            if uncounted:  # where nothing waits there is nothing to show yet, and nothing amiss
                missing = ", ".join(map(str, uncounted))
                yield NotLiveCause(
                    NotLiveReason.NO_AS_OF, f"there is no as-of yet: nothing was counted yet of {missing}"
                )
        elif server_state.polled_ms is not None:
            yield NotLiveCause(
                NotLiveReason.NO_AS_OF, "there is no as-of yet: no worker has counted anything in this Redis"
            )
        return
    if not server_state.prepared:
        yield NotLiveCause(NotLiveReason.PREPARING, "the first answers are being made: ask again soon")
    if (
        server_state.wall
        and now_ms - as_of_ms > OLD_MS
        and all(_is_past(held, now_ms) for held in server_state.partitions.values())
    ):
        yield NotLiveCause(
            NotLiveReason.EVENTS_OLD,
            f"the events that come in are old: the as-of stands at {format_utc(as_of_ms)}; "
            f"what is replayed from the past "
            "belongs into a store of its own, with --clock event",
        )
    elif server_state.wall and now_ms - as_of_ms > CAUGHT_UP_MS:
        for one in server_state.blocking_as_of:
            if one.is_late_feed and one.partition not in server_state.stale:
                yield NotLiveCause(NotLiveReason.FEED_LATE, f"{late_feed_text(one)}; {late_feed_fix(one)}")
    if now_ms - as_of_ms > CAUGHT_UP_MS:
        behind = {one.partition for one in server_state.blocking_as_of if not one.is_late_feed}
        for partition, held in sorted(server_state.partitions.items()):
            waits = partition in behind if server_state.wall else held.lag != 0
            if waits and partition not in server_state.stale and partition not in server_state.stuck:
                how_many = "an unknown number of" if held.lag is None else held.lag
                yield NotLiveCause(
                    NotLiveReason.RECORDS_WAITING,
                    f"partition {partition} has {how_many} records waiting to be counted, "
                    f"and the as-of stands at {format_utc(as_of_ms)}",
                )


def _is_past(held: PartitionState, now_ms: int) -> bool:
    """Whether all of a partition is counted, and none of it of the present."""
    return held.has_caught_up and (held.newest_ms is None or now_ms - held.newest_ms > OLD_MS)


def _topic_causes(server_state: ServerState) -> Iterator[NotLiveCause]:
    for topic in server_state.missing:
        yield NotLiveCause(
            NotLiveReason.TOPIC_MISSING,
            f"topic {topic} does not exist on the broker, and its counts stay as they were: create it with "
            "`salepulse topics create`",
        )
    for partition in sorted(server_state.unread):
        yield NotLiveCause(
            NotLiveReason.PARTITION_UNREAD, f"partition {partition} exists on the broker and no worker reads it yet"
        )
    if server_state.differing is not None:
        orders, logistics = server_state.differing
        yield NotLiveCause(
            NotLiveReason.PARTITIONS_DIFFER,
            f"topic orders has {orders} partitions and logistics {logistics}: with several shards they must have as "
            "many, or orders are not joined with their shipments; add partitions to the smaller one",
        )


def _stops_counting(server_state: ServerState, refused: RefusedWrites, now_ms: int) -> bool:
    """Whether counting is stopped. A server that reads from a replica is well while workers write to its primary."""
    if refused.why is not RedisRefusal.READONLY:
        return True
    return not any_heard(server_state.partitions.values(), now_ms)


def any_heard(partitions: Iterable[PartitionState], now_ms: int) -> bool:
    """Whether a worker has written a heartbeat just now, whatever we are told of writing ourselves."""
    return any(now_ms - (held.heartbeat_ms or 0) <= REPLICATED_WITHIN_MS for held in partitions)
