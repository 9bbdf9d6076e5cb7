"""Partitions of the broker that no worker reads, and partitions that no longer exist."""

from __future__ import annotations

import pytest

from consumers.kafka.metadata import TopicMetadata
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.settings import Settings
from streams.store.state import StoreState, newest_as_of, parse_state
from tests.streams.shop import CLICKS_0, ORDERS_0, Shop
from tests.support.events import ms

ORDERS_1 = Partition(Topic.ORDERS, 1)
NOW = ms(1000)
WALL = Settings(clock=Clock.WALL)


def held(partition: str, newest_ms: int = NOW - 1000, heartbeat_ms: int = NOW) -> dict[bytes, bytes]:
    about = {"pos": 5, "rolled": 5, "max": newest_ms, "new": newest_ms, "seen": heartbeat_ms, "lag": 0}
    return {f"{name}:{partition}".encode(): str(value).encode() for name, value in about.items()}


def state(broker: dict[str, str], *partitions: str) -> StoreState:
    fields = {f"broker,{topic}".encode(): value.encode() for topic, value in broker.items()}
    return parse_state([{k: v for name in partitions for k, v in held(name).items()} | fields])


def test_partitions_without_a_worker_are_unread_and_stale() -> None:
    found = state({"orders": "a 3", "promotions": "p 1"}, "orders/0", "orders/2")
    assert found.unread == (ORDERS_1, Partition(Topic.PROMOTIONS, 0))
    assert newest_as_of(found, NOW, WALL).stale == found.unread
    assert newest_as_of(found, NOW, WALL).ms == NOW - 1000, "the as-of does not wait for them"


def test_removed_partitions_do_not_delay_the_as_of_and_keep_their_counts() -> None:
    old = held("orders/1", NOW - 600_000, NOW - 600_000)
    found = parse_state([{**held("orders/0"), **old, b"broker,orders": b"b 1"}])
    assert set(found.partitions) == {ORDERS_0, ORDERS_1}
    assert set(found.existing_partitions) == {ORDERS_0}
    assert newest_as_of(found, NOW, WALL).stale == ()
    assert newest_as_of(found, NOW, WALL).ms == NOW - 1000


def test_partitions_of_a_missing_topic_are_awaited() -> None:
    found = state({"orders": " 0"}, "orders/0")
    assert (found.missing_topics, found.unread, set(found.existing_partitions)) == ((Topic.ORDERS,), (), {ORDERS_0})


def test_reads_a_store_without_stored_topics() -> None:
    found = state({}, "orders/0", "orders/1")
    assert (found.missing_topics, found.unread, set(found.existing_partitions)) == ((), (), {ORDERS_0, ORDERS_1})


@pytest.mark.parametrize(
    ("shards", "orders", "logistics", "mismatch"),
    [(1, 4, 2, None), (2, 4, 2, (4, 2)), (2, 4, 4, None), (2, 4, 0, None)],
)
def test_reports_a_partition_count_mismatch_with_several_shards(
    shards: int, orders: int, logistics: int, mismatch: tuple[int, int] | None
) -> None:
    broker = {b"broker,orders": f"a {orders}".encode(), b"broker,logistics": f"b {logistics}".encode()}
    assert parse_state([broker, *[{}] * (shards - 1)]).partition_count_mismatch == mismatch


@pytest.mark.anyio
async def test_keeps_the_largest_partition_count_per_topic_id(shop: Shop) -> None:
    """Brokers learn of a new partition one after the other."""
    for topic_id, count, kept in [("a", 2, 2), ("a", 4, 4), ("a", 2, 4), ("b", 1, 1), ("", 0, 0), ("b", 3, 3)]:
        await shop.writer.note_topics({Topic.CLICKS: TopicMetadata(topic_id, count)})
        state = (await shop.reader(shop.rows).state()).partition_counts
        assert state == {Topic.CLICKS: kept}


@pytest.mark.anyio
async def test_a_partition_with_a_heartbeat_is_read(shop: Shop) -> None:
    await shop.writer.note_topics({Topic.CLICKS: TopicMetadata("a", 1)})
    assert (await shop.reader(shop.rows).state()).unread == (CLICKS_0,)
    await shop.writer.heartbeat({CLICKS_0: (None, 0)})
    assert (await shop.reader(shop.rows).state()).unread == ()
