"""Checks of workers, partitions and alert evaluation, from the state that processes write to Redis."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.contract.events import MAX_LABEL
from consumers.contract.rejection import RejectionReason
from consumers.times import format_utc
from consumers.topics import Partition, Topic
from streams.local.doctor.check_results import CheckResult, failed, ok, warning
from streams.local.doctor.dedup_horizon import ShortHorizon, short_horizons
from streams.local.doctor.redis import refused_writes
from streams.model.negative_amounts import NEGATIVE_AMOUNTS
from streams.settings import Settings
from streams.store.as_of import PartitionState, blocking_as_of, late_feed_fix, late_feed_text
from streams.store.clock_measurement import MAX_CLOCK_OFFSET_MS
from streams.store.connection import CURRENCY, UNREACHABLE
from streams.store.contract_check import missing_topic_fix, pause_fix
from streams.store.keys import ALERTS_NAME, Keys
from streams.store.last_evaluation import LastEvaluation, read_last_evaluation
from streams.store.process_reports import ClockOffsets, clock_offsets
from streams.store.progress import Totals, read_totals
from streams.store.reader import read_reports
from streams.store.reference_clock import server_time_ms
from streams.store.refusal_kinds import REFUSAL_TEXTS, RedisRefusal
from streams.store.setup_differences import setup_difference
from streams.store.state import UNKNOWN_SINCE_MS, StoreState, newest_as_of, read_state
from streams.store.stuck_partitions import stuck_partitions, stuck_texts

START = "start one with `salepulse worker`"
LARGE_LAG = 100_000
"""Number of uncounted records from which the lag is a warning."""
WRITTEN_AHEAD_MS = 2_000
"""A timestamp in Redis further ahead than this was not taken from Redis's clock."""
RECENT_MS = 3_600_000
"""A rejection within this time is an error; an older one is a warning."""


@dataclass(frozen=True, slots=True)
class ReportBlocker:
    """Why running processes cannot write their heartbeats and reports to Redis."""

    cause: str
    """Follows "waiting for"."""
    fix: str


def report_blocker(refused: RedisRefusal | None, *, broker_answers: bool) -> ReportBlocker | None:
    """The reason why workers cannot report; None: none is known."""
    if refused is not None:
        return redis_blocker(refused)
    if not broker_answers:
        return ReportBlocker(
            "the Kafka broker, which does not answer", "see the check of the broker: workers then resume"
        )
    return None


def redis_blocker(refused: RedisRefusal) -> ReportBlocker:
    """The reason why no process can write to Redis."""
    text = REFUSAL_TEXTS[refused]
    return ReportBlocker(f"Redis, which {text.problem}", f"{text.fix}: running processes then resume by themselves")


async def examine_workers(redis: Redis, settings: Settings, *, broker_answers: bool = True) -> list[CheckResult]:
    """All checks of this module; none if Redis does not answer, which `examine_redis` reports."""
    keys = Keys(settings.redis_prefix, settings.shards)
    try:
        state = await read_state(redis, keys)
        reports = await read_reports(redis, keys)
        totals = await read_totals(redis, keys)
        evaluated = await read_last_evaluation(redis, keys)
        counted = await redis.hget(keys.state(0), CURRENCY)
        now_ms = int(await server_time_ms(redis, keys))
        refused, _ = await refused_writes(redis, settings)
    except (RedisError, *UNREACHABLE):
        return []
    heartbeats = {name: report.at_ms for name, report in reports.items()}
    since_ms = now_ms - int(settings.stale_after_s * 1000)
    offsets = clock_offsets(reports, since_ms)
    blocker = report_blocker(refused, broker_answers=broker_answers)
    results = [
        *check_running_workers(heartbeats, now_ms, settings, blocker),
        *check_partitions(state.existing_partitions, now_ms, settings, blocker),
    ]
    results += check_topics(state)
    if (difference := setup_difference(state.setups, reports, now_ms, changing=state.setup_changing)) is not None:
        results.append(failed("model", difference.problem, difference.fix))
    results += [
        *check_clocks(offsets),
        *check_late_feeds(state, now_ms, settings),
        *check_stuck_partitions(state, now_ms, settings),
    ]
    results += [
        failed(f"partition {partition}", why, pause_fix(partition.topic, why))
        for partition, why in sorted(state.paused.items())
    ]
    results += check_incomplete(state.incomplete)
    results += check_unreadable(totals.records_lost, {partition.topic for partition in state.incomplete})
    results += check_currency(counted, settings)
    results += check_deduplication(short_horizons(reports, since_ms), settings)
    results += check_messages(totals, now_ms)
    if state.partitions:
        results.append(check_as_of(state, now_ms, settings))
    return [*results, check_alerts(evaluated, now_ms, settings, None if refused is None else redis_blocker(refused))]


def check_running_workers(
    heartbeats: Mapping[str, int], now_ms: int, settings: Settings, blocker: ReportBlocker | None = None
) -> Iterator[CheckResult]:
    """Whether any worker runs. `heartbeats`: <worker: epoch ms of its last>."""
    since_ms = now_ms - int(settings.stale_after_s * 1000)
    workers = {name: at_ms for name, at_ms in heartbeats.items() if not name.startswith(ALERTS_NAME)}
    present = sorted(name for name, at_ms in workers.items() if at_ms >= since_ms)
    if present:
        yield ok("workers", f"{len(present)} running: {', '.join(present)}")
    else:
        last = f", last heartbeat {format_utc(max(workers.values()))}" if workers else ""
        if blocker is None:
            yield failed("workers", f"none running{last}", START)
        else:
            yield warning(
                "workers", f"no heartbeat{last}: running workers are waiting for {blocker.cause}", blocker.fix
            )
    if ahead := [name for name, at_ms in heartbeats.items() if at_ms > now_ms + WRITTEN_AHEAD_MS]:
        yield warning(
            "clock",
            f"{', '.join(sorted(ahead))} wrote timestamps ahead of Redis's clock",
            "run NTP and the same version",
        )


def check_clocks(offsets: ClockOffsets) -> Iterator[CheckResult]:
    """Clocks of workers and producers against Redis's clock."""
    for worker, seconds in offsets.workers.items():
        if abs(seconds) * 1000 > MAX_CLOCK_OFFSET_MS:
            yield failed(
                "clock",
                f"the clock of worker {worker} is {_apart(seconds)} Redis's clock; salepulse uses Redis's",
                "run NTP on that machine, or on Redis's if all workers differ alike",
            )
    for (topic, source), seconds in sorted(offsets.sources.items(), key=lambda pair: -pair[1]):
        yield failed(
            "clock",
            f"the clock of source {source} ({topic}) is {_apart(seconds)} Redis's clock: its events wait, "
            "or are rejected as from_the_future",
            "run NTP on the machine of that producer",
        )


def _apart(seconds: float) -> str:
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'}"


def check_late_feeds(state: StoreState, now_ms: int, settings: Settings) -> Iterator[CheckResult]:
    """Partitions that delay the as-of because their events are old when they arrive."""
    for blocking in blocking_as_of(state.existing_partitions, now_ms, settings, state.feeds):
        if blocking.is_late_feed:
            yield failed("late feed", late_feed_text(blocking), late_feed_fix(blocking))
    if settings.not_in_as_of:
        yield ok("as-of", f"not delayed by {', '.join(settings.not_in_as_of)} (setting as_of_topics)")


def check_stuck_partitions(state: StoreState, now_ms: int, settings: Settings) -> Iterator[CheckResult]:
    """Partitions with waiting records whose position does not advance."""
    for text, fix in stuck_texts(stuck_partitions(state.unmoved, state.paused, now_ms, settings.stale_after_s)):
        yield failed("stuck partition", text, fix)


def check_partitions(
    states: Mapping[Partition, PartitionState], now_ms: int, settings: Settings, blocker: ReportBlocker | None = None
) -> Iterator[CheckResult]:
    """Heartbeats and lag of the partitions."""
    oldest_ms = now_ms - int(settings.stale_after_s * 1000)
    if not states:
        yield warning("partitions", "this Redis has no counts", blocker.fix if blocker else START)
        return
    if stale := sorted(partition for partition, state in states.items() if (state.heartbeat_ms or 0) < oldest_ms):
        names = ", ".join(map(str, stale))
        message = f"no heartbeat from a worker of {names}: answers are not live"
        yield failed("partitions", message, blocker.fix if blocker else START)
    else:
        yield ok("partitions", f"{len(states)}, all with a heartbeat")
    waiting = sum(state.lag or 0 for state in states.values())
    if waiting >= LARGE_LAG:
        fix = "start more workers, at most one per partition, unless the lag shrinks"
        yield warning("lag", f"{waiting:,} records waiting", fix)
    else:
        yield ok("lag", f"{waiting:,} records waiting")


def check_topics(state: StoreState) -> Iterator[CheckResult]:
    """Topics and partitions that only workers or only the broker know."""
    for topic in state.missing_topics:
        yield failed(
            f"topic {topic}",
            "no longer exists on the broker: answers are not live",
            f"{missing_topic_fix(topic)}; workers then read it from its first record",
        )
    if state.unread:
        names = ", ".join(map(str, state.unread))
        yield failed(
            "unread partitions",
            f"no worker reads {names}: answers are not live",
            "workers assign new partitions within 15 s: check their logs and their right to read the topic",
        )
    if state.partition_count_mismatch is not None:
        orders, logistics = state.partition_count_mismatch
        yield failed(
            "shards",
            f"orders has {orders} partitions, logistics {logistics}: with several shards orders are not joined with "
            "their shipments",
            "add partitions to the topic with fewer",
        )


def check_incomplete(since: Mapping[Partition, int]) -> Iterator[CheckResult]:
    """Partitions whose records Kafka deleted, or may have deleted, before they were counted."""
    for partition, since_ms in sorted(since.items()):
        when = format_utc(since_ms) if since_ms > UNKNOWN_SINCE_MS else "an unknown time"
        if partition.topic is Topic.PROMOTIONS:  # no event is lost
            yield warning(
                f"partition {partition}",
                f"changes to promotions may have been lost at {when}",
                "compare `salepulse promotions list` with your files, `salepulse promotions apply` the differences, "
                "then `salepulse promotions confirm`",
            )
        else:
            yield failed(
                f"partition {partition}",
                f"incomplete since {when}: records were lost because no worker read them within "
                "the topic's retention, or because the topic was recreated",
                "set the retention above the longest outage; send the lost records again with `salepulse replay`, then "
                "run `salepulse incomplete clear`",
            )


def check_unreadable(lost: Mapping[str, int], incomplete: Container[str]) -> Iterator[CheckResult]:
    """Undecodable records of topics that are incomplete. `lost`: <topic: records>."""
    for topic, count in lost.items():
        if topic in incomplete:
            yield failed(
                f"topic {topic}",
                f"up to {count:,} records in undecodable batches are not counted",
                "find their offsets with `salepulse dead-letters list --reason unreadable_batch` and the cause in the "
                "logs of brokers and producers; then send the events again from their source",
            )


def check_deduplication(short: Sequence[ShortHorizon], settings: Settings) -> Iterator[CheckResult]:
    """Whether workers deduplicate over the configured horizon."""
    for horizon in short:
        yield warning("deduplication", horizon.text, horizon.fix(settings.dedup_memory_mb))


def check_currency(noted: bytes | str | None, settings: Settings) -> Iterator[CheckResult]:
    """Whether the setting currency matches the counts. `noted`: the currency in Redis."""
    counted = (noted.decode() if isinstance(noted, bytes) else noted or "").rpartition("=")[2]
    if counted not in ("", settings.currency):
        yield failed(
            "currency",
            f"counts are in {counted}, the setting is {settings.currency}",
            f"set currency = {counted}, or count {settings.currency} under another redis_prefix",
        )


def check_messages(totals: Totals, now_ms: int) -> Iterator[CheckResult]:
    """Messages and labels that break the contract; an error while they arrive, later a warning."""

    def violations(
        check: str, kind: str, counts: Mapping[tuple[str, str], int], text: str, fix: str
    ) -> Iterator[CheckResult]:
        if not counts:
            return
        (topic, name), most = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        last_ms = totals.last_ms.get(kind, 0)
        last = f", last at {format_utc(last_ms)}" if last_ms else ""
        message = f"{sum(counts.values()):,} {text}{last}; most: {name} on {topic} ({most:,})"
        yield (failed if last_ms >= now_ms - RECENT_MS else warning)(check, message, fix.format(topic=topic, name=name))

    yield from violations(
        "rejected messages",
        "rejected",
        totals.reasons,
        "messages were rejected",
        "find the cause with `salepulse dead-letters list --topic {topic} --reason {name}` and correct the producer",
    )
    if prices := totals.negative_amounts.by:
        (labels, most), last_ms = next(iter(prices.items())), totals.last_ms.get(NEGATIVE_AMOUNTS, 0)
        count = sum(prices.values()) + totals.negative_amounts.rest
        yield (failed if last_ms >= now_ms - RECENT_MS else warning)(
            "negative amounts",
            f"{count:,} orders with a negative amount were rejected, last at {format_utc(last_ms)}; most: channel "
            f"{labels.channel!r} with coupon {labels.coupon!r} ({most:,})",
            "correct the price, discount or coupon in the shop; list the orders with `salepulse dead-letters list "
            f"--reason {RejectionReason.NEGATIVE_AMOUNT}`",
        )
    yield from violations(
        "dropped labels",
        "labels_dropped",
        totals.labels_dropped,
        "labels were too long and were dropped; their events are counted",
        f"limit `{{name}}` to {MAX_LABEL} characters in the producers of {{topic}}",
    )


def check_as_of(state: StoreState, now_ms: int, settings: Settings) -> CheckResult:
    """Whether there is an as-of."""
    newest = newest_as_of(state, now_ms, settings)
    if newest.ms is None:
        return warning(
            "as-of", "none yet: some partitions with waiting records are unread", "run the check again in a few seconds"
        )
    return ok("as-of", format_utc(newest.ms))


def check_alerts(
    evaluated: LastEvaluation, now_ms: int, settings: Settings, blocker: ReportBlocker | None = None
) -> CheckResult:
    """Whether alert rules are evaluated."""
    if evaluated.awaits_events(now_ms, settings):
        return ok("alerts", "running, waiting for the first event: there is no as-of yet")
    if blocker is not None and not evaluated.is_recent(now_ms, settings):
        last = "" if evaluated.at_ms is None else f" since {format_utc(evaluated.at_ms)}"
        return warning(
            "alerts",
            f"no evaluation{last}: `salepulse alerts`, if it runs, is waiting for {blocker.cause}",
            blocker.fix,
        )
    if evaluated.at_ms is None:
        return warning("alerts", "rules were never evaluated: no notifications are sent", "run `salepulse alerts`")
    if evaluated.is_recent(now_ms, settings):
        return ok("alerts", f"last evaluation {format_utc(evaluated.at_ms)}")
    message = f"no evaluation since {format_utc(evaluated.at_ms)}: no notifications are sent"
    return failed("alerts", message, "start `salepulse alerts`; if it runs, check its log and restart it")
