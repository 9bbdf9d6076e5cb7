"""A Redis Cluster: keys are spread over the nodes, and counts stay exact through failures and slot migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from consumers.topics import Partition, Topic
from streams.local.embedded.ports import free_port
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.cluster import Cluster as OurClient
from streams.store.connection import UNREACHABLE, Access, check, connect
from tests.streams.shop import CLICKS_0, Shop, ask, opened
from tests.support.certificates import Authority
from tests.support.events import Event, some_events
from tests.support.redis_cluster import Cluster, redis_cluster
from tests.support.secure_redis import READER, WRITER, documented_on_a_cluster, documented_rules

pytestmark = pytest.mark.anyio

SHARDS = 6
AGAIN_S = 30


@pytest.fixture
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    """A shop whose shards are spread over all three nodes."""
    async with opened(cluster.url, redis_cluster=True, shards=SHARDS) as shop:
        yield shop


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """The test's own cluster: three nodes with slots, and one without."""
    with redis_cluster(idle=1) as cluster:
        yield cluster


ALL = [Partition(topic, number) for topic in (Topic.CLICKS, Topic.ORDERS) for number in range(4)]


def some(partition: Partition, seed: int = 0) -> list[Event]:
    return some_events(partition.topic, 30, 100 * seed + partition.number)


async def feed_at_last(shop: Shop, partition: Partition, events: list[Event]) -> None:
    """Count a batch as a worker does, retrying until Redis accepts it."""
    async with asyncio.timeout(AGAIN_S):
        while True:
            try:
                assert await shop.feed(partition, events) is None
            except (RedisError, *UNREACHABLE):
                await asyncio.sleep(0.1)
            else:
                return


async def check_answers(shop: Shop) -> None:
    answers, expected = await ask(await shop.view(), "24h"), shop.oracle()
    assert answers["page_views"] == sum(event["type"] == "page_view" for event in expected.clicks)
    assert answers["orders_paid"] == sum(event["type"] == "order_paid" for event in expected.orders)


async def test_shards_spread_over_all_nodes_and_answers_are_exact(shop: Shop, cluster: Cluster) -> None:
    for partition in ALL:
        await shop.feed(partition, some(partition))
        assert await shop.compact(partition)
        await shop.feed(partition, some(partition, seed=1))
    assert all(cluster.keys())
    await check_answers(shop)


async def test_scripts_are_reloaded_on_a_node_that_lost_them(shop: Shop, cluster: Cluster) -> None:
    await shop.feed(CLICKS_0, some(CLICKS_0))
    for node in cluster.nodes:
        cluster.ask(node, "SCRIPT", "FLUSH")
    assert await shop.feed(CLICKS_0, some(CLICKS_0, seed=1)) is None


async def test_follows_a_slot_to_a_node_without_slots(own_cluster: Cluster) -> None:
    async with opened(own_cluster.url, redis_cluster=True, shards=SHARDS) as shop:
        for partition in ALL:
            await shop.feed(partition, some(partition))
            await shop.compact(partition)
        for shard in range(SHARDS):
            move = own_cluster.begin_move(str(shard), to=own_cluster.nodes[3])
            move.move_keys(3)
            feeding = [asyncio.create_task(feed_at_last(shop, at, some(at, seed=2 + shard))) for at in ALL]
            await asyncio.sleep(0.2)
            move.finish()
            await asyncio.gather(*feeding)
        assert own_cluster.keys()[:3] == [0, 0, 0]
        await check_answers(shop)


async def test_transactions_follow_a_migrating_slot(cluster: Cluster) -> None:
    redis = connect(Settings(redis_url=cluster.url, redis_cluster=True))

    async def both() -> list[bytes]:
        async with redis.pipeline(transaction=True) as pipe:
            return list(await pipe.get("{on its way}:a").get("{on its way}:b").execute())

    async with redis.pipeline(transaction=True) as pipe:
        await pipe.set("{on its way}:a", "1").set("{on its way}:b", "2").execute()
    assert isinstance(redis, OurClient)
    owner = redis.holder("{on its way}:a")
    move = cluster.begin_move("on its way", to=next(node for node in cluster.nodes if node.address != owner))
    assert await both() == [b"1", b"2"]
    move.move_keys(1)
    waiting = asyncio.create_task(both())
    await asyncio.sleep(0.03)
    assert not waiting.done()
    move.move_keys()
    assert await waiting == await both() == [b"1", b"2"]
    move.finish()
    assert await both() == [b"1", b"2"]
    await redis.aclose()


async def test_continues_after_a_node_restarts(own_cluster: Cluster) -> None:
    async with opened(own_cluster.url, redis_cluster=True, shards=SHARDS) as shop:
        for partition in ALL:
            await shop.feed(partition, some(partition))
        own_cluster.nodes[1].kill()
        feeding = [asyncio.create_task(feed_at_last(shop, at, some(at, seed=1))) for at in ALL]
        await asyncio.sleep(0.5)
        assert not all(task.done() for task in feeding)
        await asyncio.to_thread(own_cluster.nodes[1].restart)
        await asyncio.gather(*feeding)
        await check_answers(shop)


async def test_continues_after_a_failover(own_cluster: Cluster) -> None:
    dying, replica = own_cluster.nodes[1], own_cluster.nodes[3]
    async with opened(own_cluster.url, redis_cluster=True, shards=SHARDS) as shop:
        for partition in ALL:
            await shop.feed(partition, some(partition))
        await asyncio.to_thread(own_cluster.replicate, dying, replica)
        dying.kill()
        await asyncio.gather(*(feed_at_last(shop, at, some(at, seed=1)) for at in ALL))
        await check_answers(shop)


async def test_the_documented_users_have_all_permissions(cluster: Cluster) -> None:
    rules = {name: [*documented_rules(name, "secret"), *documented_on_a_cluster()] for name in (WRITER, READER)}
    for node, (name, words) in product(cluster.nodes, rules.items()):
        cluster.ask(node, "ACL", "SETUSER", name, *words)
        cluster.ask(node, "ACL", "LOG", "RESET")
    login = {"redis_user": WRITER, "redis_password": "secret"}
    reading = {"redis_read_user": READER, "redis_read_password": "secret"}
    try:
        async with opened(cluster.url, redis_cluster=True, shards=SHARDS, **login, **reading) as shop:
            await check(shop.redis)
            for partition, owner in product(ALL, range(2)):  # the second owner loads what the first stored
                shop.works.pop(partition, None)
                await shop.feed(partition, some(partition, owner))
                assert await shop.compact(partition)
            reader = shop.redis
            shop.redis = connect(shop.settings, Access.READ)
            await check_answers(shop)
            await reader.aclose()
        assert [cluster.ask(node, "ACL", "LOG") for node in cluster.nodes] == [[], [], []]
    finally:
        for node in cluster.nodes:
            cluster.ask(node, "ACL", "DELUSER", WRITER, READER)


async def test_check_covers_every_node(cluster: Cluster) -> None:
    redis = connect(Settings(redis_url=cluster.url, redis_cluster=True))
    last = cluster.nodes[2]
    set_ = partial(cluster.ask, last, "CONFIG", "SET")
    try:
        await check(redis)
        set_("maxmemory", "1gb")
        set_("maxmemory-policy", "allkeys-lru")
        with pytest.raises(SalepulseError, match=rf"Redis at {last.address} may evict keys"):
            await check(redis)
    finally:
        set_("maxmemory", "0")
        set_("maxmemory-policy", "noeviction")
        await redis.aclose()


async def test_rejects_a_redis_that_is_no_cluster(redis_url: str) -> None:
    redis = connect(Settings(redis_url=redis_url, redis_cluster=True))
    with pytest.raises(SalepulseError, match=r"refused the connection: it is not part of a Redis Cluster"):
        await check(redis)
    await redis.aclose()


@pytest.mark.parametrize("url", ["redis://a/1", "unix:///run/redis.sock", "redis://a/?db=2", "redis://a?x=1&db=2"])
def test_rejects_an_address_that_cannot_be_a_cluster(url: str) -> None:
    with pytest.raises(ValueError, match="a Redis Cluster needs"):
        Settings(redis_url=url, redis_cluster=True)


@pytest.mark.parametrize("url", ["redis://a", "rediss://a:7000/", "redis://u:p@a:7000/0", "redis://a?health=1"])
def test_any_node_may_be_configured(url: str) -> None:
    assert Settings(redis_url=url, redis_cluster=True).redis_cluster


async def test_reports_the_address_if_no_node_answers() -> None:
    redis = connect(Settings(redis_url="redis://127.0.0.1:1/0", redis_cluster=True))
    with pytest.raises(SalepulseError, match=r"no Redis answers at 127\.0\.0\.1:1 ") as answered:
        await check(redis)
    assert answered.value.retriable
    await redis.aclose()


async def test_uses_tls_on_every_node(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    files = (
        "--tls-cert-file",
        str(pair.cert),
        "--tls-key-file",
        str(pair.key),
        "--tls-ca-cert-file",
        str(authority.ca),
    )

    def tls() -> Sequence[str]:
        return ("--tls-port", str(free_port()), "--tls-cluster", "yes", "--tls-auth-clients", "no", *files)

    with redis_cluster(tls=tls) as cluster:
        answered = cluster.ask(cluster.nodes[0], "CONFIG", "GET", "tls-port")
        port = (answered[b"tls-port"] if isinstance(answered, dict) else answered[1]).decode()  # type: ignore[index]
        url = f"rediss://127.0.0.1:{port}/0"
        async with opened(url, redis_cluster=True, shards=SHARDS, redis_ca_file=str(authority.ca)) as shop:
            for partition in ALL:
                await feed_at_last(shop, partition, some(partition))
            assert all(cluster.keys()), "every node holds some"
            state = await shop.reader(RowIndex()).state()
            assert {name: held.position for name, held in state.partitions.items()} == dict.fromkeys(ALL, 30)
