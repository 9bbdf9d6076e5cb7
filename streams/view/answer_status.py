"""Whether the answers of this server are live, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consumers.times import format_utc
from consumers.topics import InputTopic, Partition
from streams.store.as_of import AsOf, BlockingPartition, PartitionState, late_feed_fix, late_feed_text
from streams.store.contract_check import missing_topic_fix, pause_fix
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal
from streams.store.setup_differences import SetupDifference
from streams.store.stuck_partitions import UnmovedPosition, stuck_texts

DOWN_AFTER_MS = 2_000
"""Redis is down after this long without an answer."""
CAUGHT_UP_MS = 30_000
"""Records may be uncounted while the as-of is no older than this."""
REPLICATED_WITHIN_MS = 5_000
"""A heartbeat no older than this reached a replica through its primary."""
OLD_MS = 3_600_000
"""An as-of older than this is not the present, even if no records wait: old events are being read."""


class NotLiveReason(StrEnum):
    """The closed set of reasons why answers are not live; also the label `reason` of `salepulse_not_live`."""

    REDIS_DOWN = "redis_down"
    """Redis does not answer this server."""
    REDIS_REFUSES_WRITES = "redis_refuses_writes"
    """Redis refuses writes (out of memory, disk full, too few replicas, read-only replica, missing right or login), so
    counting stopped."""
    BUSY = "busy"
    """Redis answers, but this server is busy: its last poll or its answers are old."""
    PARTITION_STALE = "partition_stale"
    """No worker has written a heartbeat for a partition lately."""
    PARTITION_UNREAD = "partition_unread"
    """The broker has a partition that no worker reads yet: it was added, or its topic was recreated."""
    TOPIC_MISSING = "topic_missing"
    """The broker lacks a topic that workers read."""
    PARTITIONS_DIFFER = "partitions_differ"
    """With several shards, `orders` and `logistics` have different numbers of partitions, so orders cannot be
    joined."""
    MODELS_DIFFER = "models_differ"
    """Workers count by different models or sources, or a change of them is not complete."""
    NO_AS_OF = "no_as_of"
    """Nothing was counted yet, or a partition with records was never read."""
    PREPARING = "preparing"
    """The server has started and has not read all panes yet."""
    EVENTS_OLD = "events_old"
    """All records are counted, but the newest event is old."""
    TOPIC_STOPPED = "topic_stopped"
    """A topic is paused: most of its first messages violate the contract, and it was not accepted."""
    FEED_LATE = "feed_late"
    """A partition is fully counted, but its newest event is older than those of others: its feed is late."""
    PARTITION_STUCK = "partition_stuck"
    """Records wait in a partition, and its position has not advanced for more than a minute."""
    RECORDS_WAITING = "records_waiting"
    """Records wait to be counted, and the as-of is behind."""


@dataclass(frozen=True, slots=True)
class NotLiveCause:
    """One reason why an answer is not live."""

    code: NotLiveReason
    text: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class RefusedWrites:
    """Why Redis refuses writes, and since when."""

    why: RedisRefusal
    since_ms: int


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of Redis and of the partitions, as this server knows it."""

    newest: AsOf
    """As of the last successful poll."""
    partitions: dict[Partition, PartitionState]
    """Partitions that exist on the broker."""
    stale: tuple[Partition, ...]
    """Partitions without a recent heartbeat."""
    polled_ms: int | None
    """When the last successful poll began, epoch ms."""
    failure: str | None
    """The error of polls since then."""
    last_answer_ms: int | None = None
    """When Redis last answered anything, epoch ms; None: use `polled_ms`."""
    loop_alive_ms: int | None = None
    """Until when an answer from Redis would have been seen: the polling thread was not busy. None: until now."""
    prepared: bool = True
    """Whether answers were precomputed at least once."""
    wall: bool = False
    """Whether the clock is the wall clock, so that an as-of can be old."""
    unread: tuple[Partition, ...] = ()
    """Partitions that no worker reads; also in `stale`."""
    missing: tuple[InputTopic, ...] = ()
    """Topics missing on the broker."""
    differing: tuple[int, int] | None = None
    """The numbers of partitions of `orders` and `logistics`, if they must be equal and are not."""
    refused: RefusedWrites | None = None
    """Set while Redis refuses writes."""
    paused: Mapping[Partition, str] = field(default_factory=dict)
    """# {paused partition: finding of its worker}; most messages of the topic violate the contract"""
    blocking_as_of: tuple[BlockingPartition, ...] = ()
    """The partitions that delay the as-of on the wall clock."""
    stuck: Mapping[Partition, UnmovedPosition] = field(default_factory=dict)
    """# {partition with waiting records: its position that does not advance}"""
    setup_difference: SetupDifference | None = None
    """Set while workers differ in model or sources."""
    answer_as_of_ms: int | None = None
    """As-of of the answer in question, which may be older than `newest`."""


@dataclass(frozen=True, slots=True)
class AnswerStatus:
    """The status of an answer."""

    as_of_ms: int | None
    age_ms: int | None
    """How far the as-of is behind the clock, never negative."""
    stale: tuple[Partition, ...]
    redis_up: bool
    causes: tuple[NotLiveCause, ...]
    """Why the answer is not live; empty if it is."""

    @property
    def live(self) -> bool:
        """Whether the answer shows the present."""
        return not self.causes

    @property
    def reasons(self) -> tuple[str, ...]:
        """The causes as sentences."""
        return tuple(cause.text for cause in self.causes)

    @property
    def codes(self) -> tuple[NotLiveReason, ...]:
        """The codes of the causes, once each, in the order of `NotLiveReason`."""
        present = {cause.code for cause in self.causes}
        return tuple(code for code in NotLiveReason if code in present)


def answer_status(server: ServerState, now_ms: int) -> AnswerStatus:
    """The status of an answer at a time."""
    as_of_ms = server.newest.ms
    silent = is_redis_silent(
        server.polled_ms if server.last_answer_ms is None else server.last_answer_ms, server.loop_alive_ms, now_ms
    )
    redis_up = not silent and not (_is_late(server, now_ms) and server.failure is not None)
    causes = tuple(_causes(server, now_ms, redis_up))
    return AnswerStatus(
        as_of_ms=as_of_ms,
        age_ms=None if as_of_ms is None else max(0, now_ms - as_of_ms),
        stale=tuple(sorted(server.stale)),
        redis_up=redis_up,
        causes=causes or tuple(_age_causes(server, now_ms)),
    )


def _age_causes(server: ServerState, now_ms: int) -> Iterator[NotLiveCause]:
    """Causes by age alone: an old answer is not live."""
    answer_as_of_ms, newest_ms = server.answer_as_of_ms, server.newest.ms
    answer_as_of_ms = newest_ms if answer_as_of_ms is None else answer_as_of_ms
    if not server.wall or answer_as_of_ms is None or now_ms - answer_as_of_ms <= CAUGHT_UP_MS:
        return
    if newest_ms is not None and newest_ms > answer_as_of_ms:
        yield NotLiveCause(
            NotLiveReason.BUSY,
            f"this server still answers as of {format_utc(answer_as_of_ms)} and is computing answers as of "
            f"{format_utc(newest_ms)}: retry in a few seconds",
        )
    else:
        yield NotLiveCause(
            NotLiveReason.RECORDS_WAITING, f"the as-of is {format_utc(answer_as_of_ms)}: nothing newer is counted yet"
        )


def is_redis_silent(last_answer_ms: int | None, loop_alive_ms: int | None, now_ms: int) -> bool:
    """Whether Redis has not answered for `DOWN_AFTER_MS` in which this server would have seen an answer."""
    until_ms = now_ms if loop_alive_ms is None else min(now_ms, loop_alive_ms)
    return last_answer_ms is None or until_ms - last_answer_ms > DOWN_AFTER_MS


def _is_late(server: ServerState, now_ms: int) -> bool:
    return server.polled_ms is None or now_ms - server.polled_ms > DOWN_AFTER_MS


def _causes(server: ServerState, now_ms: int, redis_up: bool) -> Iterator[NotLiveCause]:
    if not redis_up:
        since = "the start" if server.polled_ms is None else format_utc(server.polled_ms)
        yield NotLiveCause(
            NotLiveReason.REDIS_DOWN, f"Redis has not answered since {since}: {server.failure or 'no answer yet'}"
        )
    elif server.polled_ms is None:
        yield NotLiveCause(
            NotLiveReason.PREPARING, "this server has started and is still reading panes: retry in a few seconds"
        )
    elif _is_late(server, now_ms):
        yield NotLiveCause(
            NotLiveReason.BUSY,
            f"this server is busy computing answers: its last poll was at {format_utc(server.polled_ms)}",
        )
    if (
        server.refused is not None
        and (redis_up or server.refused.why in PERMISSION_REFUSALS)
        and _stops_counting(server, server.refused, now_ms)
    ):
        text = REFUSAL_TEXTS[server.refused.why]
        yield NotLiveCause(
            NotLiveReason.REDIS_REFUSES_WRITES,
            f"Redis {text.problem} since {format_utc(server.refused.since_ms)}: "
            f"counting stopped, no records are lost; {text.fix}",
        )
    yield from _topic_causes(server)
    for partition in sorted(set(server.stale) - set(server.unread)):
        heartbeat_ms = server.partitions[partition].heartbeat_ms
        since = "ever" if heartbeat_ms is None else f"since {format_utc(heartbeat_ms)}"
        sender = "the broker, which its worker asks," if partition in server.stuck else "its worker"
        yield NotLiveCause(
            NotLiveReason.PARTITION_STALE, f"partition {partition} is stale: no word from {sender} {since}"
        )
    finding_of = {partition.topic: why for partition, why in sorted(server.paused.items(), reverse=True)}
    for topic, why in sorted(finding_of.items()):
        yield NotLiveCause(NotLiveReason.TOPIC_STOPPED, f"{why}; {pause_fix(topic, why)}")
    for problem, fix in stuck_texts(server.stuck):
        yield NotLiveCause(NotLiveReason.PARTITION_STUCK, f"{problem}; {fix}")
    as_of_ms = server.newest.ms
    if as_of_ms is None:
        if server.partitions:
            uncounted = sorted(partition for partition, state in server.partitions.items() if state.lag != 0)
            if uncounted:  # without waiting records there is nothing to count, and nothing is wrong
                missing = ", ".join(map(str, uncounted))
                yield NotLiveCause(
                    NotLiveReason.NO_AS_OF, f"there is no as-of yet: nothing was counted yet of {missing}"
                )
        elif server.polled_ms is not None:
            yield NotLiveCause(
                NotLiveReason.NO_AS_OF, "there is no as-of yet: no worker has counted anything in this Redis"
            )
        return
    if not server.prepared:
        yield NotLiveCause(NotLiveReason.PREPARING, "the first answers are being computed: retry in a few seconds")
    if (
        server.wall
        and now_ms - as_of_ms > OLD_MS
        and all(_is_past(state, now_ms) for state in server.partitions.values())
    ):
        yield NotLiveCause(
            NotLiveReason.EVENTS_OLD,
            f"incoming events are old: the as-of is {format_utc(as_of_ms)}; replay past events into a store of "
            "their own, with --clock event",
        )
    elif server.wall and now_ms - as_of_ms > CAUGHT_UP_MS:
        for blocking in server.blocking_as_of:
            if blocking.is_late_feed and blocking.partition not in server.stale:
                yield NotLiveCause(NotLiveReason.FEED_LATE, f"{late_feed_text(blocking)}; {late_feed_fix(blocking)}")
    if now_ms - as_of_ms > CAUGHT_UP_MS:
        behind = {blocking.partition for blocking in server.blocking_as_of if not blocking.is_late_feed}
        for partition, state in sorted(server.partitions.items()):
            waits = partition in behind if server.wall else state.lag != 0
            if waits and partition not in server.stale and partition not in server.stuck:
                lag = "an unknown number of" if state.lag is None else state.lag
                yield NotLiveCause(
                    NotLiveReason.RECORDS_WAITING,
                    f"partition {partition} has {lag} records waiting to be counted, "
                    f"and the as-of is {format_utc(as_of_ms)}",
                )


def _is_past(state: PartitionState, now_ms: int) -> bool:
    """Whether a partition is fully counted and its newest event is old."""
    return state.has_caught_up and (state.newest_ms is None or now_ms - state.newest_ms > OLD_MS)


def _topic_causes(server: ServerState) -> Iterator[NotLiveCause]:
    for topic in server.missing:
        yield NotLiveCause(
            NotLiveReason.TOPIC_MISSING,
            f"topic {topic} does not exist on the broker, so nothing new of it is counted: {missing_topic_fix(topic)}",
        )
    for partition in sorted(server.unread):
        yield NotLiveCause(
            NotLiveReason.PARTITION_UNREAD, f"partition {partition} exists on the broker and no worker reads it yet"
        )
    if server.differing is not None:
        orders, logistics = server.differing
        yield NotLiveCause(
            NotLiveReason.PARTITIONS_DIFFER,
            f"topic orders has {orders} partitions and logistics {logistics}: with several shards the numbers "
            "must be equal to join orders with shipments; add partitions to the smaller topic",
        )
    if server.setup_difference is not None:
        difference = server.setup_difference
        yield NotLiveCause(NotLiveReason.MODELS_DIFFER, f"{difference.problem}; {difference.fix}")


def _stops_counting(server: ServerState, refused: RefusedWrites, now_ms: int) -> bool:
    """Whether counting stopped. A server on a read-only replica is live while workers write to the primary."""
    if refused.why is not RedisRefusal.READONLY:
        return True
    return not any_heard(server.partitions.values(), now_ms)


def any_heard(partitions: Iterable[PartitionState], now_ms: int) -> bool:
    """Whether any worker wrote a heartbeat within `REPLICATED_WITHIN_MS`."""
    return any(now_ms - (partition.heartbeat_ms or 0) <= REPLICATED_WITHIN_MS for partition in partitions)
