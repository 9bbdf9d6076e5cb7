"""Answers that are not live have a reason."""

from __future__ import annotations

from dataclasses import replace

import anyio
import httpx
import pytest

from consumers.errors import SalepulseError
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.serve.app import bind, run
from streams.serve.live import Live
from streams.settings import Settings
from streams.store.as_of import AsOf, BlockingPartition, PartitionState
from streams.store.refusal_kinds import RedisRefusal
from streams.store.setup_differences import SetupDifference
from streams.store.stuck_partitions import UnmovedPosition
from streams.view.answer_status import AnswerStatus, NotLiveReason, RefusedWrites, ServerState, answer_status
from streams.view.follower_thread import FollowerThread
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.shop import CLICKS, ORDERS, QUIET_S, Shop, at, click, client, shop, shop_settings
from tests.support.servers import redis_server

pytestmark = pytest.mark.anyio


async def reasons(api: httpx.AsyncClient) -> list[str]:
    answer = await api.get("/readyz")
    assert (answer.status_code == 200) == answer.json()["ready"]
    return answer.json()["reasons"]


@pytest.mark.parametrize(("wall", "age_s", "live"), [(True, 29, True), (True, 7_200, False), (False, 7_200, True)])
def test_old_events_are_not_live_on_the_wall_clock(wall: bool, age_s: int, live: bool) -> None:
    now, counted = 10_000_000, PartitionState(9, 0, 1, 1, 10_000_000, 0)
    facts = ServerState(AsOf(now - 1000 * age_s, ()), {CLICKS: counted}, (), now, None, wall=wall)
    found = answer_status(facts, now)
    assert found.live is live
    assert live or "incoming events are old" in found.reasons[0]


def test_an_old_answer_is_never_live() -> None:
    now, counted = 10_000_000, PartitionState(9, 0, 9_999_000, 9_999_000, 10_000_000, 0)
    facts = ServerState(AsOf(now - 1_000, ()), {CLICKS: counted}, (), now, None, wall=True)
    for answer_as_of_ms, codes in (
        (now - 30_000, ()),
        (now - 30_001, (NotLiveReason.BUSY,)),
        (now - 72_000, (NotLiveReason.BUSY,)),
    ):
        found = answer_status(replace(facts, answer_as_of_ms=answer_as_of_ms), now)
        assert (found.live, found.codes) == (not codes, codes)
    old = replace(facts, newest=AsOf(now - 31_000, ()))
    assert answer_status(old, now).codes == (NotLiveReason.RECORDS_WAITING,), (
        "nothing explains it, and it is not live all the same"
    )
    assert answer_status(replace(old, wall=False), now).live, "by the event clock nothing is old"
    assert answer_status(replace(facts, answer_as_of_ms=now - 72_000, missing=(Topic.CLICKS,)), now).codes == (
        NotLiveReason.TOPIC_MISSING,
    ), "a cause that is known is enough"


async def test_answers_behind_the_newest_as_of_are_not_live(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, ahead, held = shop_settings(redis_url, clock=Clock.WALL), FollowerThread._refresh_snapshot, False

    async def answer_ahead(self: FollowerThread) -> None:
        if not held:  # otherwise answers would be older than the as-of
            await ahead(self)

    def second(ago: float) -> float:
        return (now_ms() - at(0)) / 1000 - ago

    monkeypatch.setattr(FollowerThread, "_refresh_snapshot", answer_ahead)
    async with shop(settings) as made, client(settings) as api:
        await made.send(CLICKS, click(second(72)))
        await made.attend()
        await made.attend(1, CLICKS)

        async def waits() -> bool:
            return (await api.get("/readyz")).json()["codes"] == ["records_waiting"] and (
                await api.get("/api/v1/kpis?window=1m")
            ).status_code == 200

        await soon(waits)
        held = True
        await made.send(CLICKS, click(second(0)))
        await made.attend()
        seen = set()
        with anyio.move_on_after(1.2):
            while True:
                answer = (await api.get("/api/v1/kpis?window=1m")).json()
                codes = (await api.get("/readyz")).json()["codes"]
                assert not (answer["live"] and answer["age_ms"] > 30_000)
                seen.update((code, answer["age_ms"] > 30_000) for code in codes)
                await anyio.sleep(0.02)
        assert ("busy", True) in seen
        assert "salepulse_ready 0.0" in (await api.get("/metrics")).text
        held = False
        await ready(api)


def test_every_cause_has_a_code_and_a_sentence() -> None:
    old, now = 1_000, 10_000_000
    waiting = PartitionState(9, 7, 1, 1, now, 5)
    never = PartitionState(None, None, None, None, None, 3)
    full, replica = RefusedWrites(RedisRefusal.OOM, now - 1000), RefusedWrites(RedisRefusal.READONLY, now - 1000)
    silent = replace(waiting, heartbeat_ms=now - 6_000)
    stays, unheard = UnmovedPosition("9", now - 90_000, now, 5), UnmovedPosition("9", now - 90_000, now, None)
    cases = [
        (ServerState(AsOf(None, ()), {}, (), None, None), ["redis_down"]),
        (ServerState(AsOf(None, ()), {}, (), now, None), ["no_as_of"]),
        (ServerState(AsOf(None, ()), {ORDERS: never}, (), now, None), ["no_as_of"]),
        (ServerState(AsOf(now, ()), {}, (), now, None, prepared=False), ["preparing"]),
        (ServerState(AsOf(old, ()), {}, (), now, None, wall=True), ["events_old"]),
        (ServerState(AsOf(old, ()), {CLICKS: waiting, ORDERS: waiting}, (), now, None), ["records_waiting"]),
        (
            ServerState(AsOf(now, ()), {CLICKS: waiting}, (CLICKS,), old, "refused"),
            ["redis_down", "partition_stale"],
        ),
        (ServerState(AsOf(now, ()), {CLICKS: waiting}, (), now, None), []),
        (
            ServerState(AsOf(now, (ORDERS,)), {CLICKS: waiting}, (ORDERS,), now, None, unread=(ORDERS,)),
            ["partition_unread"],
        ),
        (ServerState(AsOf(now, ()), {}, (), now, None, missing=(Topic.CLICKS,)), ["topic_missing"]),
        (ServerState(AsOf(now, ()), {}, (), now, None, differing=(4, 2)), ["partitions_differ"]),
        (
            ServerState(AsOf(now, ()), {}, (), now, None, setup_difference=SetupDifference("differ", "restart")),
            ["models_differ"],
        ),
        (ServerState(AsOf(now, ()), {CLICKS: waiting}, (), now, None, refused=full), ["redis_refuses_writes"]),
        (ServerState(AsOf(now, ()), {CLICKS: waiting}, (), now, None, refused=replica), []),
        (ServerState(AsOf(now, ()), {CLICKS: silent}, (), now, None, refused=replica), ["redis_refuses_writes"]),
        (
            ServerState(AsOf(now, ()), {}, (), now, None, paused={ORDERS: "topic orders is not read"}),
            ["topic_stopped"],
        ),
        (ServerState(AsOf(old, ()), {CLICKS: waiting}, (), now, None, stuck={CLICKS: stays}), ["partition_stuck"]),
        (
            ServerState(AsOf(now, ()), {CLICKS: silent}, (CLICKS,), now, None, stuck={CLICKS: unheard}),
            ["partition_stale", "partition_stuck"],
        ),
    ]
    for facts, codes in cases:
        found = answer_status(facts, now)
        assert [*found.codes] == codes
        assert {cause.code for cause in found.causes} == set(codes)
        assert found.live is (not codes)
        assert all(found.reasons)


def test_a_paused_topic_is_reported_once_with_its_fix() -> None:
    found = {partition: f"topic {partition.topic} is not read: by {partition}" for partition in (ORDERS, CLICKS)}
    found[Partition(Topic.ORDERS, 1)] = "topic orders is not read: by orders/1"
    clicks, orders = answer_status(ServerState(AsOf(1_000, ()), {}, (), 1_000, None, paused=found), 1_000).reasons
    assert clicks.startswith("topic clicks is not read: by clicks/0; if these are the shop's messages")
    assert orders.startswith("topic orders is not read: by orders/0; ")
    assert all(fix in orders for fix in ("--accept orders", "`accept`", "`topic_orders`", "`topic_prefix`"))


def test_a_late_feed_is_distinguished_from_slow_counting() -> None:
    now = 10_000_000_000
    states = {
        CLICKS: PartitionState(9, 9, now - 1_000, now - 500, now, 1, now - 100),  # a poll is always in progress
        ORDERS: PartitionState(9, 9, now - 1_200_000, now - 500, now, 0, now),
    }
    late, behind = BlockingPartition(ORDERS, 1_200_000, 0, True), BlockingPartition(ORDERS, 1_200_000, 70_000, False)

    def found(one: BlockingPartition, **changes: object) -> AnswerStatus:
        facts = ServerState(AsOf(now - 1_200_000, ()), states, (), now, None, wall=True, blocking_as_of=(one,))
        return answer_status(replace(facts, **changes), now)

    assert found(late).codes == (NotLiveReason.FEED_LATE,)
    assert found(late).reasons[0].startswith("orders/0: its newest event is 20 min old: the feed is late")
    assert found(behind).codes == (NotLiveReason.RECORDS_WAITING,)
    assert "orders/0" in found(behind).reasons[0]
    assert found(late, newest=AsOf(now - 20_000, ())).live, "while the as-of is young, it is no matter"
    assert found(late, stale=(ORDERS,)).codes == (NotLiveReason.PARTITION_STALE,)
    day = 86_400_000
    old = {name: replace(held, newest_ms=now - day, lag=0) for name, held in states.items()}
    past = found(replace(late, age_ms=day), newest=AsOf(now - day, ()), partitions=old)
    assert past.codes == (NotLiveReason.EVENTS_OLD,), "all of it is of the past"
    one_old = {**states, ORDERS: replace(states[ORDERS], newest_ms=now - day)}
    found_late = found(replace(late, age_ms=day), newest=AsOf(now - day, ()), partitions=one_old)
    assert found_late.codes == (NotLiveReason.FEED_LATE,)


def test_an_age_is_never_negative() -> None:
    facts = ServerState(AsOf(10_000, ()), {}, (), 9_000, None, wall=True)
    assert answer_status(facts, 9_000).age_ms == 0


async def test_the_server_is_ready_when_all_is_counted(api: httpx.AsyncClient) -> None:
    assert await reasons(api) == []
    assert (await api.get("/healthz")).json() == {"alive": True}


async def test_late_events_are_in_every_answer_after_read_at(api: httpx.AsyncClient, open_shop: Shop) -> None:
    for count in range(1, 4):
        await open_shop.send(CLICKS, click(30, type_="search", user=f"late-{count}"))
        counted_ms = now_ms()

        async def has_read(since_ms: int = counted_ms) -> bool:
            return ((await api.get("/readyz")).json()["read_at"] or 0) > since_ms

        await soon(has_read)
        answer = (await api.get("/api/v1/kpis")).json()
        assert (answer["as_of"], answer["values"]["searches"]) == (at(60), count)


async def test_readyz_has_the_positions_of_answers(api: httpx.AsyncClient, open_shop: Shop) -> None:
    async def until(**positions: int) -> None:
        expected = {f"{topic}/0": position for topic, position in positions.items()}

        async def held() -> bool:
            return bool((await api.get("/readyz")).json()["positions"] == expected)

        await soon(held)

    await until(clicks=8, orders=5, logistics=1)
    await open_shop.send(CLICKS, click(30))
    await until(clicks=9, orders=5, logistics=1)
    assert 'salepulse_partition_position{partition="0",topic="clicks"} 9.0' in (await api.get("/metrics")).text


async def test_a_partition_without_a_worker_is_stale(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.silent_since(ORDERS, QUIET_S + 60)

    async def stale() -> bool:
        return (await api.get("/api/v1/kpis")).json()["stale"] == ["orders/0"]

    await soon(stale)
    (reason,) = await reasons(api)
    assert reason.startswith("partition orders/0 is stale: no word from its worker since 2")
    answer = (await api.get("/api/v1/kpis")).json()
    assert (answer["live"], answer["values"]["gmv"]) == (False, 1300)
    await open_shop.attend()
    await ready(api)
    assert (await api.get("/api/v1/kpis")).json()["live"]


async def test_partitions_that_lost_records_are_listed_and_do_not_affect_readiness(
    api: httpx.AsyncClient, open_shop: Shop
) -> None:
    losses = {"incomplete:orders/0": at(5), "incomplete:promotions/0": at(3)}
    await open_shop.redis.hset(open_shop.keys.state(0), mapping=losses)

    async def reported() -> bool:
        answer = await api.get("/readyz")
        found = answer.json()
        return (answer.status_code, found["incomplete_since"], found["incomplete"]) == (
            200,
            at(5),
            {"orders/0": at(5), "promotions/0": at(3)},
        )

    await soon(reported)


async def test_partitions_without_a_worker_are_reported(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.redis.hset(open_shop.keys.state(0), "broker,orders", "a 2")

    async def reported() -> bool:
        answer = await api.get("/api/v1/kpis")
        found = (await api.get("/readyz")).json()
        return (answer.json()["live"], answer.json()["stale"], found["codes"]) == (
            False,
            ["orders/1"],
            ["partition_unread"],
        )

    await soon(reported)


async def test_waiting_records_are_reported(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.attend(12, CLICKS)

    async def behind() -> bool:
        return any("clicks/0 has 12 records waiting" in reason for reason in await reasons(api))

    await soon(behind)
    assert not (await api.get("/api/v1/kpis")).json()["live"]


async def test_a_partition_that_was_never_read_blocks_the_as_of(settings: Settings) -> None:
    async with shop(settings) as made, client(settings) as api:
        await made.send(CLICKS, click(1))
        await made.attend(5, ORDERS)

        async def reported() -> bool:
            return any("nothing was counted yet of" in reason and "orders/0" in reason for reason in await reasons(api))

        await soon(reported)
        assert (await api.get("/api/v1/kpis")).status_code == 503


async def test_the_server_recovers_after_redis_was_killed() -> None:
    with redis_server(aof=True) as server:
        settings = shop_settings(server.url)
        async with shop(settings) as made, client(settings) as api:
            await made.send(CLICKS, click(1), click(2))
            await made.attend()
            await ready(api)
            await anyio.to_thread.run_sync(server.kill)

            async def noticed() -> bool:
                return any("Redis has not answered since" in reason for reason in await reasons(api))

            await soon(noticed)
            answer = (await api.get("/api/v1/kpis")).json()
            assert (answer["live"], answer["values"]["page_views"]) == (False, 1), "the last view, and not called live"
            assert (await api.get("/healthz")).status_code == 200
            text = (await api.get("/metrics")).text
            assert "salepulse_redis_up 0.0" in text
            assert "salepulse_ready 0.0" in text
            assert 'salepulse_not_live{reason="redis_down"} 1.0' in text
            assert 'salepulse_not_live{reason="no_as_of"} 0.0' in text
            assert "redis_down" in (await api.get("/readyz")).json()["codes"]
            await anyio.to_thread.run_sync(server.restart)
            await made.redis.connection_pool.disconnect()
            await made.send(CLICKS, click(3), click(4))
            await made.attend()

            async def recovered() -> bool:
                answer = (await api.get("/api/v1/kpis")).json()
                return bool(answer["live"] and answer["values"]["page_views"] == 3)

            await soon(recovered)
            await ready(api)


async def test_refused_writes_are_reported_with_their_reason() -> None:
    with redis_server() as server:
        settings = shop_settings(server.url)
        async with shop(settings) as made, client(settings) as api:
            await made.send(CLICKS, click(1), click(2))
            await made.attend()
            await ready(api)
            await made.redis.config_set("maxmemory", "1")

            async def noticed() -> bool:  # on a busy machine, another cause may come and go
                found = (await api.get("/readyz")).json()
                reported.update(found["reasons"])
                return found["codes"] == ["redis_refuses_writes"]

            reported: set[str] = set()
            await soon(noticed)
            (reason,) = (one for one in reported if one.startswith("Redis is out of memory and refuses writes since "))
            assert "raise maxmemory" in reason
            assert not (await api.get("/api/v1/kpis")).json()["live"]
            text = (await api.get("/metrics")).text
            assert 'salepulse_redis_refuses_writes{reason="oom"} 1.0' in text
            assert 'salepulse_redis_refuses_writes{reason="readonly"} 0.0' in text
            assert "salepulse_redis_up 1.0" in text
            await made.redis.config_set("maxmemory", "0")
            await ready(api)


async def test_a_redis_at_maxclients_is_reported_with_its_fix() -> None:
    with redis_server() as server:
        settings = shop_settings(server.url)
        async with shop(settings) as made:
            await made.redis.config_set("maxclients", "1")
            async with client(settings) as api:

                async def noticed() -> bool:
                    found = (await api.get("/readyz")).json()
                    return found["codes"] == ["redis_down"] and "raise its `maxclients`" in found["reasons"][0]

                await soon(noticed)
            await made.redis.config_set("maxclients", "1000")


async def test_the_server_starts_before_redis() -> None:
    with redis_server() as server:
        settings = shop_settings(server.url)
        server.kill()
        async with client(settings) as api:
            assert (await api.get("/api/v1/kpis")).status_code == 503
            assert (await api.get("/metrics")).status_code == 200
            await anyio.to_thread.run_sync(server.restart)
            async with shop(settings) as made:
                await made.send(CLICKS, click(1))
                await made.attend()
            await ready(api)


async def test_the_server_is_not_alive_when_its_thread_ended(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Live, "alive", False)
    assert (await api.get("/healthz")).status_code == 503


def test_a_port_in_use_is_reported_in_one_line(redis_url: str) -> None:
    with bind(shop_settings(redis_url, http_port=0)) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(SalepulseError, match=f"cannot serve at 127.0.0.1:{port} .*--http-port"):
            run(shop_settings(redis_url, http_port=port))
