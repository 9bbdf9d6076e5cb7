"""The broker and its topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from consumers.broker_clock import broker_clock_offset_s
from consumers.errors import SalepulseError
from consumers.kafka.admin import TopicPlan, default_plans, fetch_topic_settings, take_over_advice
from consumers.kafka.errors import kafka_errors
from consumers.kafka.topic_differences import differences, unusable
from consumers.topic_contents import contents_advice, find_foreign_contents
from consumers.topics import EVENT_TOPICS
from streams.local.doctor.check_results import CheckResult, ok, warning, wrong
from streams.settings import Settings

ANSWER_WITHIN_S = 5.0
"""One answer is waited for so long."""
WITHIN_S = 12.0
"""And all of them together: a broker that is frozen takes connections, and says nothing."""
_CLOSED_WITHIN_S = 1.0
CREATE = "run `salepulse topics create`"
CLOCK_WARNING_S = 2.0
FETCH = 1
FETCH_SINCE = ((18, "4.1"), (17, "3.9"), (16, "3.7"), (15, "3.5"), (13, "3.1"), (12, "2.7"), (11, "2.3"))
"""(version of Kafka's fetch request, the release that brought it): a broker does not tell its own version."""


async def examine_broker(settings: Settings) -> list[CheckResult]:
    """Whether it answers, what it is, and whether the topics are right: as much as it tells in time."""
    found: list[CheckResult] = []
    try:
        async with kafka_errors(settings.kafka), asyncio.timeout(WITHIN_S):
            admin = AIOKafkaAdminClient(**settings.kafka.options(), request_timeout_ms=round(ANSWER_WITHIN_S * 1000))
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await admin.start()
                async for finding in _examine(admin, settings):
                    found.append(finding)
            finally:
                with suppress(TimeoutError):
                    await asyncio.wait_for(admin.close(), _CLOSED_WITHIN_S)
    except SalepulseError as error:
        what, _, mend = str(error).partition(": ")
        found.append(wrong("broker", what, mend or "see the broker's log"))
    return found


async def _examine(admin: Any, settings: Settings) -> AsyncIterator[CheckResult]:
    cluster = await admin.describe_cluster()
    count = len(cluster["brokers"])
    yield ok(
        "broker", f"{settings.bootstrap} answers: {count} {'broker' if count == 1 else 'brokers'}{_version(admin)}"
    )
    if (ahead_s := await broker_clock_offset_s(admin._client)) is not None:
        yield check_broker_clock(ahead_s)
    found = {topic["topic"]: topic for topic in await admin.describe_topics()}
    plans = default_plans(settings.partitions, settings.topic_names)
    there = {plan.topic for plan in plans if plan.topic and plan.name in found}
    foreign = await find_foreign_contents(settings.kafka, there - settings.accepted_topics)
    for plan in plans:
        topic = found.get(plan.name)
        if topic is None:
            yield wrong(f"topic {plan.title}", "is missing", CREATE)
        else:
            told = await fetch_topic_settings(admin, plan.name)
            held = None if told is None else {name: text for name, (text, _) in told.items()}
            for finding in topic_findings(plan, topic["partitions"], held, count):
                yield finding
        if plan.topic is not None and plan.topic in foreign:
            yield wrong(f"topic {plan.title}", foreign[plan.topic], contents_advice(plan.topic))


def check_broker_clock(ahead_s: float) -> CheckResult:
    """The clock of the broker that leads the quorum against this machine's."""
    if abs(ahead_s) < CLOCK_WARNING_S:
        return ok("broker clock", f"within {CLOCK_WARNING_S:g} s of this machine's")
    return warning(
        "broker clock",
        f"the broker's clock is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's",
        "run NTP on both: a broker deletes records, and dates those of topics with LogAppendTime, by its own clock",
    )


def topic_findings(
    plan: TopicPlan, partitions: Iterable[Mapping[str, Any]], held: Mapping[str, str] | None, brokers: int
) -> Iterator[CheckResult]:
    """What is to be said of one topic. `held`: its settings, None where the broker does not tell."""
    what, described = f"topic {plan.title}", list(partitions)
    orphans = sorted(int(one["partition"]) for one in described if one["leader"] < 0)
    if orphans:
        yield wrong(what, f"no broker leads partition {orphans}", "bring the brokers back that hold it")
    differ = [] if held is None else differences(held, plan.config)
    if differ:
        grave = any(one.harmful for one in differ)
        why = f": {cannot}" if (cannot := unusable(plan.topic, differ)) else ""
        yield (wrong if grave else warning)(what, ", ".join(map(str, differ)) + why, take_over_advice(plan))
    copies = min((len(one["replicas"]) for one in described), default=0)
    if brokers > 1 and copies < 2:
        yield warning(what, f"has one copy on {brokers} brokers", "raise its replication: a lost disk loses events")
    count = f"{len(described)} {'partition' if len(described) == 1 else 'partitions'}"
    if len(described) != plan.partitions:
        yield warning(
            what,
            f"has {count}, the setting `partitions` says {plan.partitions}",
            f"set partitions = {len(described)}; changing the topic would send keys elsewhere"
            if plan.topic in EVENT_TOPICS
            else "no harm: it is left as it is",
        )
    elif not orphans and not differ:
        yield ok(what, count + ("" if held is not None else ", settings not told by the broker"))


def _version(admin: Any) -> str:
    """What the broker is like, from the requests that it knows; "" where the client does not tell."""
    for connection in getattr(getattr(admin, "_client", None), "_conns", {}).values():
        known = (getattr(connection, "_versions", None) or {}).get(FETCH)
        since = next((release for version, release in FETCH_SINCE if known and known[1] >= version), None)
        if since:
            return f", like Kafka {since} or newer"
    return ""
