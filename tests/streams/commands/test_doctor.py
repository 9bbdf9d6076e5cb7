"""`salepulse doctor`: each check, and whole runs."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from consumers.contract.rejection import PricingLabels
from consumers.topic_admin import TopicPlan, create_topics, default_plans
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.local.doctor.broker import check_topic
from streams.local.doctor.check_results import CheckResult, CheckStatus
from streams.local.doctor.dedup_horizon import short_horizons
from streams.local.doctor.redis import check_clock, check_eviction, check_memory, check_persistence, check_spread
from streams.local.doctor.settings import check_api_connections, check_api_exposure
from streams.local.doctor.workers import (
    check_alerts,
    check_clocks,
    check_deduplication,
    check_incomplete,
    check_late_feeds,
    check_messages,
    check_partitions,
    check_running_workers,
    check_stuck_partitions,
    check_topics,
    check_unreadable,
    report_blocker,
)
from streams.model.negative_amounts import NegativeAmounts
from streams.serve.same_origin import is_known_host, known_hosts
from streams.settings import Settings
from streams.store.as_of import PartitionState
from streams.store.last_evaluation import LastEvaluation
from streams.store.process_reports import ClockOffsets, DedupReport, ProcessReport
from streams.store.progress import Totals
from streams.store.refusal_kinds import RedisRefusal
from streams.store.state import StoreState
from streams.store.stuck_partitions import UnmovedPosition
from tests.support.redis_cluster import Cluster
from tests.support.salepulse import COMMAND, environment, salepulse
from tests.support.servers import Server, redis_server

SETTINGS = Settings()
NOW_MS = 1_762_776_000_000
CONFIG = {"cleanup.policy": "delete", "retention.ms": "1000", "max.message.bytes": "2"}
PLAN = TopicPlan(Topic.CLICKS, "clicks", "clicks", 2, CONFIG)
TWO = [{"partition": number, "leader": 1, "replicas": [1]} for number in range(2)]
ORDERS = Partition(Topic.ORDERS, 0)


def levels(findings: list[CheckResult]) -> list[str]:
    assert all(bool(finding.fix) == (finding.status is not CheckStatus.OK) for finding in findings)
    return [finding.status.value for finding in findings]


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "1000", "max.message.bytes": "2"}, ["ok"]),
        ({"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "9"}, ["ok"]),
        ({"cleanup.policy": "delete", "retention.ms": "999", "max.message.bytes": "2"}, ["error"]),
        ({"cleanup.policy": "compact", "retention.ms": "1000", "max.message.bytes": "2"}, ["error"]),
        ({"cleanup.policy": "delete", "retention.ms": "1000", "max.message.bytes": "1"}, ["warning"]),
        (None, ["ok"]),
    ],
)
def test_topic_settings_are_checked(held: dict[str, str] | None, found: list[str]) -> None:
    assert levels(list(check_topic(PLAN, TWO, held, brokers=1))) == found


def test_exposure_of_the_api_is_checked() -> None:
    assert levels(list(check_api_exposure(SETTINGS))) == ["ok"]
    assert levels(list(check_api_exposure(Settings(http_host="0.0.0.0")))) == ["error"]
    for open_to_all in ("*", "a.example, *", " * ,a.example", "*:8080"):
        settings = Settings(http_allowed_hosts=open_to_all)
        assert is_known_host("evil.example", known_hosts(settings) or ())
        assert levels(list(check_api_exposure(settings))) == ["warning"]
    assert levels(list(check_api_exposure(Settings(http_allowed_hosts="a.example, *.example")))) == ["ok"]


def test_the_limit_of_open_files_is_checked() -> None:
    assert levels([check_api_connections(2000, 65_536), check_api_connections(2000, 1024)]) == ["ok", "warning"]


def test_partitions_and_replicas_of_a_topic_are_checked() -> None:
    assert levels(list(check_topic(PLAN, TWO[:1], None, brokers=1))) == ["warning"]
    assert levels(list(check_topic(PLAN, TWO, None, brokers=3))) == ["warning", "ok"]
    assert levels(list(check_topic(PLAN, [TWO[0], {**TWO[1], "leader": -1}], None, brokers=1))) == ["error"]


@pytest.mark.parametrize("topic", [*EVENT_TOPICS, Topic.DEAD_LETTERS])
@pytest.mark.parametrize("prefix", ["", "eu."])
def test_a_wrong_number_of_partitions_needs_a_fix_on_event_topics_only(topic: Topic, prefix: str) -> None:
    settings = Settings(topic_prefix=prefix, partitions=4)
    (plan,) = (plan for plan in default_plans(4, settings.topic_names) if plan.topic is topic)
    (found,) = check_topic(plan, TWO, None, brokers=1)
    assert found.status is CheckStatus.WARNING
    assert ("set partitions = 2" in found.fix, "none needed" in found.fix) == (
        (True, False) if topic in EVENT_TOPICS else (False, True)
    )


def test_missing_unread_and_unequal_topics_are_errors() -> None:
    counts = {Topic.ORDERS: 4, Topic.LOGISTICS: 2, Topic.CLICKS: 0}
    found = list(check_topics(StoreState(("a", "b"), {}, 0, counts, (ORDERS,))))
    assert levels(found) == ["error"] * 3
    assert [one.check for one in found] == ["topic clicks", "unread partitions", "shards"]
    assert "orders/0" in found[1].message
    assert list(check_topics(StoreState(("a",), {}, 0, {Topic.ORDERS: 1}))) == []


def test_redis() -> None:
    assert levels(list(check_eviction({"maxmemory_policy": "allkeys-lru"}))) == ["warning"]
    assert levels(list(check_memory({"used_memory": 1}))) == ["ok"]
    for used, level in ((10, "ok"), (85, "warning"), (96, "error")):
        assert levels(list(check_memory({"used_memory": used, "maxmemory": 100}))) == [level]
    assert levels(list(check_persistence({"aof_enabled": 1}))) == ["ok"]
    assert levels(list(check_persistence({"aof_enabled": 0}))) == ["warning"]
    assert levels(list(check_persistence({"aof_enabled": 1, "aof_last_write_status": "err"}))) == ["error"]
    assert [check_clock(skew_s).status for skew_s in (0.1, -1.5, -2.5)] == ["ok", "warning", "error"]


def test_idle_nodes_of_a_cluster_are_a_warning() -> None:
    assert [check_spread(3, holders, 6).status for holders in (3, 1)] == ["ok", "warning"]


def test_workers() -> None:
    assert levels(list(check_running_workers({}, NOW_MS, SETTINGS))) == ["error"]
    assert levels(list(check_running_workers({"a": NOW_MS - 60_000}, NOW_MS, SETTINGS))) == ["error"]
    assert levels(list(check_running_workers({"a": NOW_MS - 1000, "b": NOW_MS - 60_000}, NOW_MS, SETTINGS))) == ["ok"]
    assert levels(list(check_running_workers({"a": NOW_MS + 10_000}, NOW_MS, SETTINGS))) == ["ok", "warning"]
    assert levels(list(check_running_workers({"alerts-1": NOW_MS}, NOW_MS, SETTINGS))) == ["error"], "that is no worker"


def test_running_processes_that_cannot_report_are_a_warning_with_the_cause() -> None:
    wait = report_blocker(RedisRefusal.OOM, broker_answers=False)
    assert wait is not None
    silent = {ORDERS: PartitionState(1, 1, NOW_MS, NOW_MS, NOW_MS - 60_000, 0)}
    (workers,) = check_running_workers({"a": NOW_MS - 60_000}, NOW_MS, SETTINGS, wait)
    stale, _ = check_partitions(silent, NOW_MS, SETTINGS, wait)
    watching = check_alerts(LastEvaluation(NOW_MS - 60_000), NOW_MS, SETTINGS, wait)
    for one in (workers, stale, watching):
        assert "raise maxmemory" in one.fix
        assert "start" not in one.fix
    for one in (workers, watching):
        assert "for Redis, which is out of memory and refuses writes" in one.message
    assert levels(list(check_running_workers({"a": NOW_MS}, NOW_MS, SETTINGS, wait))) == ["ok"], "it has a heartbeat"
    broker = report_blocker(None, broker_answers=False)
    assert broker is not None
    assert broker.cause == "the Kafka broker, which does not answer"
    assert report_blocker(None, broker_answers=True) is None


def test_clocks_that_differ_from_redis_are_errors() -> None:
    right = ClockOffsets({"a": 0.1, "b": -1.9}, {})
    assert not [*check_clocks(right)]
    wrong = list(check_clocks(ClockOffsets({"a": -600.0, "b": 90.0}, {("orders", "till-7"): 240.0})))
    assert levels(wrong) == ["error"] * 3
    assert "worker a is 600.0 s behind Redis's" in wrong[0].message
    assert "worker b is 90.0 s ahead of Redis's" in wrong[1].message
    assert "source till-7 (orders) is 240.0 s ahead" in wrong[2].message
    assert all("NTP" in one.fix for one in wrong)


def test_a_late_feed_is_an_error() -> None:
    late = PartitionState(9, 9, NOW_MS - 1_200_000, NOW_MS, NOW_MS, 0)
    state = StoreState(("e",), {ORDERS: late}, 0)
    (found,) = check_late_feeds(state, NOW_MS, SETTINGS)
    assert (found.status, "orders/0" in found.message, "as_of_topics" in found.fix) == (CheckStatus.ERROR, True, True)
    gone = StoreState(("e",), {Partition(Topic.ORDERS, 3): late}, 0, {Topic.ORDERS: 3})
    assert list(check_late_feeds(gone, NOW_MS, SETTINGS)) == [], "the topic was made again with fewer partitions"
    silent = StoreState(("e",), {ORDERS: replace(late, heartbeat_ms=NOW_MS - 60_000)}, 0)
    assert list(check_late_feeds(silent, NOW_MS, SETTINGS)) == [], "no worker has spoken: what waits is not known"
    out = Settings(as_of_topics="clicks")
    assert levels(list(check_late_feeds(state, NOW_MS, out))) == ["ok"]


def test_a_stuck_partition_is_reported_with_its_offset() -> None:
    def found(changes: dict[str, object], paused: bool = False) -> list[CheckResult]:
        held = replace(UnmovedPosition("20", NOW_MS - 90_000, NOW_MS - 1_000, 7), **changes)
        return list(
            check_stuck_partitions(
                StoreState((), {}, 0, unmoved={ORDERS: held}, paused=dict.fromkeys([ORDERS] * paused, "")),
                NOW_MS,
                SETTINGS,
            )
        )

    (finding,) = found({})
    assert levels([finding]) == ["error"]
    assert finding.message == "partition orders/0 has been at offset 20 for 89 s, and 7 records wait after it"
    assert "the broker answers none of its fetches" in found({"lag": None})[0].message
    assert found({"since_ms": NOW_MS - 60_000}) == [], "it may move yet"
    assert found({"reported_ms": NOW_MS - 20_000}) == [], "the report is stale"
    assert found({}, paused=True) == [], "it is not read on purpose"


def test_a_deduplication_horizon_below_the_setting_is_a_warning() -> None:
    def report(orders_s: float, at_ms: int = NOW_MS) -> ProcessReport:
        return ProcessReport(
            at_ms=at_ms,
            dedup={
                "orders": DedupReport(orders_s, 86_400, 6_000_000),
                "clicks": DedupReport(600, 600, 2_000_000),
                "logistics": DedupReport(0, 86_400, 0),
            },
        )

    reports = {"w-1": report(21_600), "w-2": report(86_400), "gone": report(60, NOW_MS - 99_000)}
    found = list(check_deduplication(short_horizons(reports, NOW_MS - 15_000), SETTINGS))
    assert levels(found) == ["warning"]
    assert found[0].message.startswith("worker w-1 deduplicates orders over 6 h of 24 h")
    assert "dedup_memory_mb (now 128) to about 416" in found[0].fix, "(4 * 6 + 2) / 8 times as much"


def test_lag_and_missing_heartbeats_are_reported() -> None:
    def state(heartbeat_ms: int, lag: int) -> dict[Partition, PartitionState]:
        return {ORDERS: PartitionState(1, 1, NOW_MS, NOW_MS, heartbeat_ms, lag)}

    assert levels(list(check_partitions({}, NOW_MS, SETTINGS))) == ["warning"]
    assert levels(list(check_partitions(state(NOW_MS, 0), NOW_MS, SETTINGS))) == ["ok", "ok"]
    assert levels(list(check_partitions(state(NOW_MS, 1_000_000), NOW_MS, SETTINGS))) == ["ok", "warning"]
    stale = list(check_partitions(state(NOW_MS - 60_000, 0), NOW_MS, SETTINGS))
    assert (levels(stale)[0], "orders/0" in stale[0].message) == ("error", True)


def test_the_age_of_the_last_evaluation_is_checked() -> None:
    times = (None, NOW_MS - 60_000, NOW_MS - 1000)
    assert levels([check_alerts(LastEvaluation(at_ms), NOW_MS, SETTINGS) for at_ms in times]) == [
        "warning",
        "error",
        "ok",
    ]
    seldom = Settings(alerts_interval_s=30)
    assert check_alerts(LastEvaluation(NOW_MS - 60_000), NOW_MS, seldom).status is CheckStatus.OK


def test_alerts_that_wait_for_the_first_event_are_ok() -> None:
    def check(at_ms: int | None, awaiting_ms: int) -> CheckResult:
        return check_alerts(LastEvaluation(at_ms, awaiting_ms), NOW_MS, SETTINGS)

    assert check(None, NOW_MS - 1000).status is CheckStatus.OK
    assert "waiting for the first event" in check(None, NOW_MS - 1000).message
    assert check(None, NOW_MS - 60_000).status is CheckStatus.WARNING, "the report is stale"
    assert check(NOW_MS - 60_000, NOW_MS - 90_000).status is CheckStatus.ERROR, "it was evaluated later"


def test_rejections_are_errors_while_they_occur() -> None:
    assert list(check_messages(Totals({}, 0, 0), NOW_MS)) == []
    for ago_ms, level in ((1_000, "error"), (4_000_000, "warning")):
        totals = Totals(
            events={},
            duplicates=0,
            rejected=7,
            reasons={("orders", "bad_json"): 2, ("clicks", "missing_field"): 5},
            labels_dropped={("clicks", "campaign"): 9, ("orders", "items.category"): 4},
            last_ms={"rejected": NOW_MS - ago_ms, "labels_dropped": NOW_MS - ago_ms},
        )
        refused, labels = check_messages(totals, NOW_MS)
        assert levels([refused, labels]) == [level, level]
        assert refused.message.startswith("7 messages were rejected, last at 2025-11-10")
        assert refused.message.endswith("most: missing_field on clicks (5)")
        assert "--topic clicks --reason missing_field" in refused.fix
        assert labels.message.endswith("most: campaign on clicks (9)")
        assert "`campaign` to 128 characters" in labels.fix
    priced = Totals(
        {}, 0, 0, negative_amounts=NegativeAmounts({PricingLabels("app", "SALE50"): 3, PricingLabels("", ""): 1}, 2)
    )
    (prices,) = check_messages(priced, NOW_MS)
    assert prices.status is CheckStatus.WARNING
    assert "6 orders with a negative amount" in prices.message
    assert prices.message.endswith("most: channel 'app' with coupon 'SALE50' (3)")
    (unknown,) = check_messages(Totals({}, 0, 1, reasons={("orders", "empty"): 1}), NOW_MS)
    assert unknown.status is CheckStatus.WARNING, "another version did not say when"


def test_lost_records_are_an_error() -> None:
    found = list(check_incomplete({ORDERS: NOW_MS}))
    assert (levels(found), "2025-11-10" in found[0].message) == (["error"], True)


def test_undecodable_records_are_an_error_while_the_topic_is_incomplete() -> None:
    (found,) = check_unreadable({"orders": 1_200, "clicks": 3}, {Topic.ORDERS})
    assert (found.status, found.check) == (CheckStatus.ERROR, "topic orders")
    assert "up to 1,200 records" in found.message
    assert "--reason unreadable_batch" in found.fix


def test_lost_changes_to_promotions_are_a_warning() -> None:
    (found,) = check_incomplete({Partition(Topic.PROMOTIONS, 0): NOW_MS})
    assert found.status is CheckStatus.WARNING
    assert all(f"salepulse promotions {command}" in found.fix for command in ("list", "apply", "confirm"))
    assert not any(word in found.fix for word in ("replay", "retention"))


def test_without_broker_and_redis_both_are_errors_and_the_exit_code_is_1(tmp_path: Path) -> None:
    nowhere = ("--bootstrap", "127.0.0.1:1", "--redis-url", "redis://:hunter2@127.0.0.1:1/0")
    done = salepulse("doctor", *nowhere, cwd=tmp_path, env={"SALEPULSE_BOOTSTRP": "x"})
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "warning", "ok", "ok", "error", "error"]
    assert "did you mean SALEPULSE_BOOTSTRAP?" in lines[1]
    assert lines[4].endswith("no Kafka broker answers at 127.0.0.1:1 → start it, or name another with --bootstrap")


def test_missing_topics_and_workers_are_named(tmp_path: Path, embedded_broker: Server, redis_url: str) -> None:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(4)[:2]))
    flags = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", redis_url, "--json")
    done = salepulse("doctor", *flags, cwd=tmp_path)
    wrong = {f["check"]: f["fix"] for f in json.loads(done.stdout)["checks"] if f["status"] == "error"}
    assert done.returncode == 1
    assert wrong.keys() == {"topic logistics", "topic promotions", "topic alerts", "topic dead-letters", "workers"}
    assert wrong["workers"] == "start one with `salepulse worker`"


def test_a_redis_that_refuses_writes_is_an_error_with_its_cause(tmp_path: Path) -> None:
    with redis_server() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("min-replicas-to-write", "1")
        flags = ("--bootstrap", "127.0.0.1:1", "--redis-url", server.url, "--json")
        done = salepulse("doctor", *flags, cwd=tmp_path)
    found = {f["check"]: f for f in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert found["redis writes"]["status"] == "error"
    assert "has too few replicas and refuses writes" in found["redis writes"]["message"]
    assert found["redis writes"]["fix"] == "restore its replicas, or lower min-replicas-to-write"
    for what in ("workers", "alerts"):
        assert "has too few replicas and refuses writes" in found[what]["message"]
        assert found[what]["fix"].startswith("restore its replicas")


def test_a_redis_at_its_client_limit_is_reported_as_such(tmp_path: Path) -> None:
    with redis_server() as server, redis.Redis.from_url(server.url) as client:
        client.config_set("maxclients", "1")
        done = salepulse("doctor", "--bootstrap", "127.0.0.1:1", "--redis-url", server.url, "--json", cwd=tmp_path)
        client.config_set("maxclients", "1000")
    found = {f["check"]: f for f in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert "accepts no more clients (max number of clients reached)" in found["redis"]["message"]
    assert found["redis"]["fix"] == "raise its `maxclients`, or reduce the number of clients"


def test_a_frozen_broker_delays_the_doctor_by_seconds_only(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # the kernel accepts connections, and no process answers
        asked_s, shown_s = time.monotonic(), []
        flags = ("--bootstrap", f"127.0.0.1:{frozen.getsockname()[1]}", "--redis-url", redis_url)
        command = [*COMMAND, "doctor", *flags]
        env = environment()
        with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as doctor:
            assert doctor.stdout is not None
            lines = []
            for line in doctor.stdout:
                lines.append(line.rstrip())
                shown_s.append(time.monotonic() - asked_s)
    text = "\n".join(lines)
    assert shown_s[-1] < 15
    assert shown_s[-1] - shown_s[0] > 3, "what is known is shown while the broker is waited for"
    assert "timed out" in text
    assert "redis: 127.0.0.1" in text
    assert "running workers are waiting for the Kafka broker" in text
    assert doctor.returncode == 1


def test_every_node_of_a_cluster_is_checked(tmp_path: Path, cluster: Cluster) -> None:
    flags = ("--bootstrap", "127.0.0.1:1", "--redis-url", cluster.url, "--json")
    chosen = {"SALEPULSE_REDIS_CLUSTER": "true", "SALEPULSE_SHARDS": "6"}
    done = salepulse("doctor", *flags, cwd=tmp_path, env=chosen)
    found = {f["check"]: f["message"] for f in json.loads(done.stdout)["checks"] if f["check"].startswith("redis")}
    assert found["redis cluster"] == "6 shards on 3 of 3 nodes"
    for node in cluster.nodes:
        assert found[f"redis persistence {node.address}"] == "append-only file on"
