"""The workers and who evaluates alerts, as they tell of themselves in Redis."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.contract.events import MAX_LABEL
from consumers.contract.rejection import RejectionReason
from consumers.times import format_utc
from consumers.topics import Partition, Topic
from streams.local.doctor.check_results import CheckResult, ok, warning, wrong
from streams.local.doctor.dedup_horizon import ShortHorizon, short_horizons
from streams.local.doctor.held_up import HeldUp, by_redis, held_up
from streams.local.doctor.redis import refused_writes
from streams.model.negative_amounts import NEGATIVE_AMOUNTS
from streams.settings import Settings
from streams.store.as_of import PartitionState
from streams.store.blocking_as_of import blocking_as_of, late_feed_fix, late_feed_text
from streams.store.clock_measurement import MAX_CLOCK_OFFSET_MS
from streams.store.connection import UNREACHABLE
from streams.store.contract_check import contract_fix
from streams.store.keys import ALERTS_NAME, Keys
from streams.store.last_evaluation import LastEvaluation, read_last_evaluation
from streams.store.progress import Totals, read_totals
from streams.store.reference_clock import server_time_ms
from streams.store.shared_settings import CURRENCY
from streams.store.state import UNKNOWN_SINCE_MS, StoreState, read_state
from streams.store.stuck_partitions import stuck, stuck_texts
from streams.view.newest_as_of import newest_as_of
from streams.worker.clock_offsets import ClockOffsets, clock_offsets

START = "start one with `salepulse worker`"
LARGE_LAG = 100_000
WRITTEN_AHEAD_MS = 2_000
"""A time in Redis that is further ahead of its clock was not written by it."""
RECENT_MS = 3_600_000
"""What producers did wrong within so long still goes on, as far as one can tell."""


async def examine_workers(redis: Redis, settings: Settings, *, broker_answers: bool = True) -> list[CheckResult]:
    """Who is at work, what waits, what was refused or lost; nothing where Redis does not answer, as that is told."""
    keys = Keys(settings.redis_prefix, settings.shards)
    try:
        state = await read_state(redis, keys)
        held = _bytes(await redis.hgetall(keys.workers))
        totals = await read_totals(redis, keys)
        evaluated = await read_last_evaluation(redis, keys)
        counted = await redis.hget(keys.state(0), CURRENCY)
        now_ms = int(await server_time_ms(redis, keys))
        refused, _ = await refused_writes(redis, settings)
    except (RedisError, *UNREACHABLE):
        return []
    said = {name.decode(): text.decode().partition("\n") for name, text in held.items()}
    heard = {name: int(at) for name, (at, _, _) in said.items()}
    texts = {name: (int(at), text) for name, (at, _, text) in said.items()}
    since_ms = now_ms - int(settings.stale_after_s * 1000)
    reports = clock_offsets(texts, since_ms)
    wait = held_up(refused, broker_answers=broker_answers)
    findings = [
        *check_running_workers(heard, now_ms, settings, wait),
        *partitions(state.existing_partitions, now_ms, settings, wait),
    ]
    findings += check_topics(state)
    findings += [
        *check_clocks(reports),
        *check_late_feeds(state, now_ms, settings),
        *check_stuck_partitions(state, now_ms, settings),
    ]
    findings += [
        wrong(f"partition {partition}", why, contract_fix(partition.topic))
        for partition, why in sorted(state.paused.items())
    ]
    findings += incomplete(state.incomplete)
    findings += check_unreadable(totals.records_lost, {partition.topic for partition in state.incomplete})
    findings += check_currency(counted, settings)
    findings += check_repeats(short_horizons(texts, since_ms), settings)
    findings += check_messages(totals, now_ms)
    if state.partitions:
        findings.append(answers(state, now_ms, settings))
    return [*findings, alerts(evaluated, now_ms, settings, None if refused is None else by_redis(refused))]


def _bytes(fields: Mapping[bytes | str, bytes | str]) -> dict[bytes, bytes]:
    """A hash as it comes from a client that decodes nothing, as ours."""
    return {name: text for name, text in fields.items() if isinstance(name, bytes) and isinstance(text, bytes)}


def check_running_workers(
    heard: Mapping[str, int], now_ms: int, settings: Settings, wait: HeldUp | None = None
) -> Iterator[CheckResult]:
    """Which workers have said lately that they are there. `heard`: worker -> when, epoch ms. `wait`: what keeps those
    that run from saying it."""
    since_ms = now_ms - int(settings.stale_after_s * 1000)
    workers = {name: at_ms for name, at_ms in heard.items() if not name.startswith(ALERTS_NAME)}
    present = sorted(name for name, at_ms in workers.items() if at_ms >= since_ms)
    if present:
        yield ok("workers", f"{len(present)} at work: {', '.join(present)}")
    else:
        last = f", the last one was heard of at {format_utc(max(workers.values()))}" if workers else ""
        if wait is None:
            yield wrong("workers", f"none at work{last}", START)
        else:
            yield warning("workers", f"none could report{last}: those that run wait for {wait.why}", wait.fix)
    if ahead := [name for name, at_ms in heard.items() if at_ms > now_ms + WRITTEN_AHEAD_MS]:
        yield warning("clock", f"{', '.join(sorted(ahead))} wrote times ahead of Redis's", "use NTP, and this version")


def check_clocks(reports: ClockOffsets) -> Iterator[CheckResult]:
    """Whose clocks differ from Redis's: the machines of workers, and producers."""
    for worker, seconds in reports.workers.items():
        if abs(seconds) * 1000 > MAX_CLOCK_OFFSET_MS:
            yield wrong(
                "clock",
                f"the clock of worker {worker} is {_apart(seconds)} Redis's: it is not trusted, Redis's time is used",
                "run NTP on that machine; if all differ alike, on Redis's",
            )
    for (topic, source), seconds in sorted(reports.sources.items(), key=lambda held: -held[1]):
        yield wrong(
            "clock",
            f"the clock of source {source} ({topic}) is {_apart(seconds)} Redis's: its events wait in their own panes, "
            "or are refused as from_the_future",
            "run NTP at that producer",
        )


def _apart(seconds: float) -> str:
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'}"


def check_late_feeds(state: StoreState, now_ms: int, settings: Settings) -> Iterator[CheckResult]:
    """Partitions that hold the as-of back with events that were old when they arrived."""
    for one in blocking_as_of(state.existing_partitions, now_ms, settings):
        if one.is_late_feed:
            yield wrong("late feed", late_feed_text(one), late_feed_fix(one))
    if settings.not_in_as_of:
        yield ok("as-of", f"it does not wait for {', '.join(settings.not_in_as_of)} (setting as_of_topics)")


def check_stuck_partitions(state: StoreState, now_ms: int, settings: Settings) -> Iterator[CheckResult]:
    """Partitions in which records wait, and whose position does not move."""
    for text, fix in stuck_texts(stuck(state.waiting, state.paused, now_ms, settings.stale_after_s)):
        yield wrong("stuck", text, fix)


def partitions(
    states: Mapping[Partition, PartitionState], now_ms: int, settings: Settings, wait: HeldUp | None = None
) -> Iterator[CheckResult]:
    """What waits to be counted, and who is silent. `wait`: what workers that run wait for."""
    oldest_ms = now_ms - int(settings.stale_after_s * 1000)
    if not states:
        yield warning("partitions", "nothing was ever counted in this Redis", wait.fix if wait else START)
        return
    if stale := sorted(one for one, held in states.items() if (held.heartbeat_ms or 0) < oldest_ms):
        names = ", ".join(map(str, stale))
        found = f"no word from a worker about {names}: what is shown is not live"
        yield wrong("partitions", found, wait.fix if wait else START)
    else:
        yield ok("partitions", f"{len(states)}, all attended")
    waiting = sum(held.lag or 0 for held in states.values())
    if waiting >= LARGE_LAG:
        mend = "start more workers, at most one a partition, if this does not shrink"
        yield warning("lag", f"{waiting:,} records wait to be counted", mend)
    else:
        yield ok("lag", f"{waiting:,} records wait to be counted")


def check_topics(state: StoreState) -> Iterator[CheckResult]:
    """Topics and partitions that workers read and the broker does not have, and the other way round."""
    for topic in state.missing:
        yield wrong(
            f"topic {topic}",
            "does not exist on the broker any more: what is shown is not live",
            "create it with `salepulse topics create`; workers then read it from its first record",
        )
    if state.unread:
        names = ", ".join(map(str, state.unread))
        yield wrong(
            "unread",
            f"no worker reads {names}, which the broker has: what is shown is not live",
            "workers take up new partitions within 15 s: see their logs, and whether they may read the topic",
        )
    if state.differing is not None:
        orders, logistics = state.differing
        yield wrong(
            "shards",
            f"topic orders has {orders} partitions and logistics {logistics}: with several shards orders are not "
            "joined with their shipments",
            "add partitions to the topic that has fewer",
        )


def incomplete(since: Mapping[Partition, int]) -> Iterator[CheckResult]:
    """Partitions of which Kafka dropped records before they were counted, or may have: nobody knows what a topic held
    that was made anew."""
    for partition, since_ms in sorted(since.items()):
        when = format_utc(since_ms) if since_ms > UNKNOWN_SINCE_MS else "an unknown time"
        if partition.topic is Topic.PROMOTIONS:  # no event was lost; what was read is in force
            yield warning(
                f"partition {partition}",
                f"changes of promotions may have been lost before they were read, about {when}",
                "compare `salepulse promotions list` with your files, `salepulse promotions apply` what differs, then "
                "`salepulse promotions confirm`",
            )
        else:
            yield wrong(
                f"partition {partition}",
                f"records were lost before they were counted: incomplete since {when}; Kafka deleted them while no "
                "worker read them for longer than the topic's retention, or the topic was created again",
                "lengthen the retention beyond the longest outage; send what is missing again with `salepulse replay`, "
                "then `salepulse incomplete clear`",
            )


def check_unreadable(lost: Mapping[str, int], incomplete: Container[str]) -> Iterator[CheckResult]:
    """Records that could not be decoded, of topics whose history is incomplete. `lost`: topic -> how many."""
    for topic, count in lost.items():
        if topic in incomplete:
            yield wrong(
                f"topic {topic}",
                f"up to {count:,} records are in batches that cannot be decoded, and are not counted",
                "see `salepulse dead-letters list --reason unreadable_batch` for their offsets, and the logs of "
                "brokers and producers for the cause; then send their events again from their source",
            )


def check_repeats(short: Sequence[ShortHorizon], settings: Settings) -> Iterator[CheckResult]:
    """Whether repeats are known for as long as the settings promise."""
    for one in short:
        yield warning("repeats", one.text, one.fix(settings.dedup_memory_mb))


def check_currency(noted: bytes | str | None, settings: Settings) -> Iterator[CheckResult]:
    """Whether money is read in the currency that it was counted in. `noted`: what the first worker left of it."""
    counted = (noted.decode() if isinstance(noted, bytes) else noted or "").rpartition("=")[2]
    if counted not in ("", settings.currency):
        yield wrong(
            "currency",
            f"money was counted in {counted} and is shown as {settings.currency}",
            f"set currency = {counted}, or another redis_prefix to count {settings.currency}",
        )


def check_messages(totals: Totals, now_ms: int) -> Iterator[CheckResult]:
    """What producers send that breaks the contract, wholly or in a label; a fault where it still happens."""

    def found(
        what: str, kind: str, counts: Mapping[tuple[str, str], int], text: str, mend: str
    ) -> Iterator[CheckResult]:
        if not counts:
            return
        (topic, name), most = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        last_ms = totals.last_ms.get(kind, 0)
        last = f", the last at {format_utc(last_ms)}" if last_ms else ""
        told = f"{sum(counts.values()):,} {text}{last}; most: {name} on {topic} ({most:,})"
        yield (wrong if last_ms >= now_ms - RECENT_MS else warning)(what, told, mend.format(topic=topic, name=name))

    yield from found(
        "refused",
        "rejected",
        totals.reasons,
        "messages are dead letters and not counted",
        "see why with `salepulse dead-letters list --topic {topic} --reason {name}` and correct their producer",
    )
    if prices := totals.negative_amounts.by:
        (worst, most), last_ms = next(iter(prices.items())), totals.last_ms.get(NEGATIVE_AMOUNTS, 0)
        many = sum(prices.values()) + totals.negative_amounts.rest
        yield (wrong if last_ms >= now_ms - RECENT_MS else warning)(
            "prices",
            f"{many:,} orders had a negative amount and are not counted, the last at {format_utc(last_ms)}; most: "
            f"channel {worst.channel!r} with coupon {worst.coupon!r} ({most:,})",
            "correct the price, discount or coupon in the shop, then `salepulse dead-letters list --reason "
            f"{RejectionReason.NEGATIVE_AMOUNT}`",
        )
    yield from found(
        "labels",
        "labels_dropped",
        totals.labels_dropped,
        "labels were too long and dropped: their events count without them",
        f"have the producers of {{topic}} send at most {MAX_LABEL} characters in `{{name}}`",
    )


def answers(state: StoreState, now_ms: int, settings: Settings) -> CheckResult:
    """How old what is shown is."""
    now = newest_as_of(state, now_ms, settings)
    if now.ms is None:
        return warning("as-of", "there is none yet: not every partition with events waiting was read", "ask again soon")
    return ok("as-of", format_utc(now.ms))


def alerts(evaluated: LastEvaluation, now_ms: int, settings: Settings, wait: HeldUp | None = None) -> CheckResult:
    """Whether the shop is watched. `wait`: what keeps a process that evaluates from saying so."""
    if evaluated.awaits_events(now_ms, settings):
        return ok("alerts", "at work, waiting for the first event: there is no as-of to evaluate the rules at")
    if wait is not None and not evaluated.is_recent(now_ms, settings):
        last = "" if evaluated.at_ms is None else f" since {format_utc(evaluated.at_ms)}"
        return warning(
            "alerts", f"no evaluation is written{last}: `salepulse alerts`, if it runs, waits for {wait.why}", wait.fix
        )
    if evaluated.at_ms is None:
        return warning("alerts", "the rules were never evaluated: nobody is told of anything", "run `salepulse alerts`")
    if evaluated.is_recent(now_ms, settings):
        return ok("alerts", f"evaluated, last at {format_utc(evaluated.at_ms)}")
    found = f"not evaluated since {format_utc(evaluated.at_ms)}: nobody is told of what goes wrong now"
    return wrong("alerts", found, "start `salepulse alerts`; where it runs, see its log and start it anew")
