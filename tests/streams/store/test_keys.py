"""All keys of a call share a hash tag: a cluster rejects anything else."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.clock import now_ms
from streams.store.keys import Keys
from streams.worker.expiry import RecordSweep
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, ORDERS_1, ask, opened
from tests.support.events import click, ms, paid, promotion, shipment, some_events, stock_level
from tests.support.redis_cluster import Cluster

pytestmark = pytest.mark.anyio


def test_promotions_share_the_shard_of_their_definitions() -> None:
    for shards in range(1, 257):
        keys = Keys("shop", shards)
        assert keys.shard(Partition(Topic.PROMOTIONS, 0)) == 0
        assert keys.promotions.startswith("shop:{0}:")


def test_partitions_with_the_same_orders_share_a_shard() -> None:
    for shards, number in product(range(1, 20), range(8)):
        keys = Keys("shop", shards)
        assert keys.shard(Partition(Topic.ORDERS, number)) == keys.shard(Partition(Topic.LOGISTICS, number))
        assert all(0 <= keys.shard(Partition(topic, number)) < shards for topic in EVENT_TOPICS)


@pytest.mark.parametrize("shards", [3, 4])
async def test_every_call_uses_one_shard(cluster: Cluster, shards: int) -> None:
    async with opened(cluster.url, redis_cluster=True, shards=shards, retain="") as shop:
        await shop.announce(promotion("d11"))
        for partition, events in (
            (CLICKS_0, [click(at=at) for at in range(0, 4000, 100)]),
            (ORDERS_0, [paid(at=1, order_id="o-1"), *some_events(Topic.ORDERS, 20, 1)]),
            (ORDERS_1, some_events(Topic.ORDERS, 20, 2)),
            (LOGISTICS_0, [shipment(at=9, order_id="o-1"), stock_level(5, at=2)]),
        ):
            await shop.feed(partition, events)
            assert await shop.compact(partition)
            await shop.feed(partition, [{**events[0], "event_id": f"again-{partition}"}])
        assert (await ask(await shop.view(), "promotion"))["orders_paid"]
        assert await shop.drop(ms(86_400 * 500)) > 0
        sweep = RecordSweep(shop.redis, shop.keys, 0, 0)
        await asyncio.gather(*(sweep.run_once(now_ms(), 50) for _ in range(2)))
        position = (await shop.work(ORDERS_0)).position or 0
        assert await shop.compact(ORDERS_0)
        assert await shop.writer.reset_position(ORDERS_0, position, 0, ms(0), "t")
        assert await shop.writer.note_topic_id(ORDERS_1, 0, "t") in (True, False)
