"""Checks of Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from streams.local.doctor.check_results import CheckResult, failed, ok, warning
from streams.settings import Settings
from streams.store.clock_measurement import MAX_CLOCK_OFFSET_MS
from streams.store.cluster import Cluster
from streams.store.connection import UNREACHABLE, address, check, endpoint_of, servers
from streams.store.errors import to_user_error
from streams.store.keys import Keys
from streams.store.process_reports import refusal_reports
from streams.store.reader import read_reports
from streams.store.reference_clock import server_time_ms
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal
from streams.store.state import read_state
from streams.store.write_probe import write_probe
from streams.view.answer_status import any_heard

WRITES = "redis writes"
SKEW_WARNING_S, SKEW_WRONG_S = 1.0, MAX_CLOCK_OFFSET_MS / 1000
FULL_WARNING, FULL_WRONG = 0.8, 0.95
MIB = 2**20


async def examine_redis(redis: Redis, settings: Settings) -> list[CheckResult]:
    """Version, eviction, memory, persistence and clock of each server; one error if Redis cannot be used."""
    try:
        await check(redis)
        refused = await check_writes(redis, settings)
        async with servers(redis) as nodes:
            results = [await _examine(server) for server in nodes]
    except (SalepulseError, RedisError, *UNREACHABLE) as error:
        why = error if isinstance(error, SalepulseError) else to_user_error(error, endpoint_of(redis))
        problem, _, fix = str(why).partition("; ")
        return [failed("redis", problem, fix or "see its log")]
    if not isinstance(redis, Cluster):
        return [*results[0], *refused]
    keys = Keys(settings.redis_prefix, settings.shards)
    holders = {redis.holder(keys.state(shard)) for shard in range(keys.shards)}
    named = zip(map(address, nodes), results, strict=True)
    return [
        *refused,
        check_spread(len(nodes), len(holders), keys.shards),
        *(replace(result, check=f"{result.check} {node}") for node, checks in named for result in checks),
    ]


async def check_writes(redis: Redis, settings: Settings) -> list[CheckResult]:
    """Whether Redis refuses writes of this login or of a worker."""
    refusal, worker = await refused_writes(redis, settings)
    if refusal is None:
        return [ok(WRITES, "accepted")]
    text = REFUSAL_TEXTS[refusal]
    effect = f": worker {worker} cannot count" if worker else ": nothing is counted"
    return [failed(WRITES, f"Redis at {address(redis)} {text.problem}{effect}", text.fix)]


async def refused_writes(redis: Redis, settings: Settings) -> tuple[RedisRefusal | None, str]:
    """Why writes are refused, and the worker that reported it; None: they are accepted."""
    keys = Keys(settings.redis_prefix, settings.shards)
    async with write_probe(redis, settings) as probe:
        refusal = await probe.refusal()
    if refusal is not None and refusal not in PERMISSION_REFUSALS:
        return refusal, ""
    now_ms = int(await server_time_ms(redis, keys))
    for report in refusal_reports(await read_reports(redis, keys), now_ms):
        return report.why, report.worker
    if any_heard((await read_state(redis, keys)).partitions.values(), now_ms):
        return None, ""  # this login may have fewer rights than that of the workers
    return refusal, ""


def check_spread(nodes: int, holders: int, shards: int) -> CheckResult:
    """Whether every node of a cluster holds a shard."""
    message = f"{shards} shards on {holders} of {nodes} nodes"
    if holders == nodes:
        return ok("redis cluster", message)
    return warning("redis cluster", message, "set shards to several times the nodes, before the first event")


async def _examine(redis: Redis) -> list[CheckResult]:
    info = await redis.info()
    before = time.time()
    seconds, micros = await redis.time()
    after = time.time()
    skew_s = int(seconds) + int(micros) / 1e6 - (before + after) / 2
    return [
        ok("redis", f"{address(redis)} answers: {_version(info)}"),
        *check_eviction(info),
        *check_memory(info),
        *check_persistence(info),
        check_clock(skew_s),
    ]


def check_eviction(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Whether Redis would evict panes."""
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        yield ok("redis eviction", "noeviction")
    else:
        yield warning(
            "redis eviction",
            f"policy {policy} evicts panes once maxmemory is reached",
            "run `CONFIG SET maxmemory-policy noeviction`, and set it in redis.conf",
        )


def check_memory(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Memory in use."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        yield ok("redis memory", f"{used / MIB:,.0f} MiB in use, no limit")
        return
    share = f"{used / MIB:,.0f} of {limit / MIB:,.0f} MiB in use ({used / limit:.0%})"
    fix = "raise maxmemory, or shorten retention (keep_seconds_h, keep_minutes_d, keep_hours_d)"
    if used >= FULL_WRONG * limit:
        yield failed("redis memory", f"{share}: Redis will soon refuse writes", fix)
    elif used >= FULL_WARNING * limit:
        yield warning("redis memory", share, fix)
    else:
        yield ok("redis memory", share)


def check_persistence(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Whether panes survive a restart."""
    append_only, changes = bool(int(info.get("aof_enabled", 0))), int(info.get("rdb_last_save_time", 0))
    if append_only and info.get("aof_last_write_status", "ok") != "ok":
        yield failed("redis persistence", "the append-only file cannot be written", "see its log: is the disk full?")
    elif append_only:
        yield ok("redis persistence", "append-only file on")
    elif info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield failed("redis persistence", "the last snapshot failed", "see its log: is the disk full?")
    else:
        yield warning(
            "redis persistence",
            "no append-only file" + (", snapshots at most" if changes else ""),
            "run `CONFIG SET appendonly yes`: a crash sets counts back to the last snapshot, and Kafka is read again",
        )


def check_clock(skew_s: float) -> CheckResult:
    """Redis's clock against the clock of this machine."""
    message = f"Redis's clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    fix = "run NTP on both machines: every salepulse process uses Redis's clock"
    if abs(skew_s) > SKEW_WRONG_S:
        return failed("clock", message, fix)
    if abs(skew_s) >= SKEW_WARNING_S:
        return warning("clock", message, fix)
    return ok("clock", f"within {SKEW_WARNING_S:g} s of Redis's")


def _version(info: Mapping[str, Any]) -> str:
    return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version', '?')}"
