"""Sources in the state that readers see."""

from __future__ import annotations

from consumers.settings import Clock
from consumers.topics import CONTRACT_FEEDS, Feeds, Partition, SourceTopic, Topic
from streams.settings import Settings
from streams.store.feeds import FEEDS_FIELD, encode_feeds
from streams.store.state import StoreState, newest_as_of, parse_state

SHOP, TRACKING = SourceTopic("shop.orders"), SourceTopic("tracking")
FEEDS: Feeds = {SHOP: (Topic.ORDERS, Topic.LOGISTICS), TRACKING: (Topic.CLICKS,)}
NOW_MS = 1_794_355_200_000


def state(newest_ms: dict[str, int], feeds: Feeds | None = FEEDS) -> StoreState:
    """A state with an active partition 0 of each topic, `newest_ms` by topic."""
    fields: dict[bytes, bytes] = {}
    for topic, ms in newest_ms.items():
        for name, value in (("pos", 5), ("max", ms), ("new", NOW_MS), ("seen", NOW_MS), ("lag", 1)):
            fields[f"{name}:{topic}/0".encode()] = str(value).encode()
        fields[f"broker,{topic}".encode()] = b"id 1"
    if feeds is not None:
        fields[FEEDS_FIELD.encode()] = encode_feeds(feeds).encode()
    return parse_state([fields])


def test_topics_that_are_no_longer_read_do_not_delay_the_as_of() -> None:
    seen = state({"orders": NOW_MS - 900_000, "shop.orders": NOW_MS - 5_000, "tracking": NOW_MS - 3_000})
    assert seen.existing_partitions.keys() == {Partition(SHOP, 0), Partition(TRACKING, 0)}
    assert newest_as_of(seen, NOW_MS, Settings(clock=Clock.WALL)).ms == NOW_MS - 5_000
    assert seen.partition_counts.keys() == set(FEEDS)


def test_as_of_topics_means_the_sources_that_feed_them() -> None:
    seen = state({"shop.orders": NOW_MS - 5_000, "tracking": NOW_MS - 60_000})
    assert newest_as_of(seen, NOW_MS, Settings(as_of_topics="orders,logistics")).ms == NOW_MS - 5_000


def test_without_sources_nothing_changes() -> None:
    seen = state({"orders": NOW_MS - 5_000}, None)
    assert (seen.feeds, set(seen.existing_partitions)) == (CONTRACT_FEEDS, {Partition(Topic.ORDERS, 0)})
