"""Readiness of a starting stack and its messages."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.local.stack.stack import all_partitions_have_heartbeats, not_ready_reason, waiting_message
from streams.settings import Settings
from streams.store.as_of import AsOf, PartitionState
from streams.view.answer_status import ServerState, answer_status
from tests.streams.shop import opened


def test_only_a_start_of_more_than_half_a_minute_refers_to_the_logs() -> None:
    assert waiting_message("no worker yet", 10) == "still starting, usually up to half a minute: no worker yet"
    assert waiting_message("no worker yet", 40) == "not ready after 40 s: no worker yet; see the logs"


def test_equal_reasons_of_many_partitions_are_one_reason() -> None:
    stale = [f"partition clicks/{number} is stale: no word from its worker ever" for number in range(12)]
    none, first = "there is no as-of yet", stale[0]
    assert not_ready_reason(0, "<urlopen error [Errno 111] Connection refused>") == "the API does not answer yet"
    assert not_ready_reason(502, "Bad Gateway") == "the API answers 502"
    assert not_ready_reason(503, {"reasons": [none, first]}) == f"{none}; {first}"
    assert not_ready_reason(503, {"reasons": [*stale, none]}) == (
        f"12 partitions are stale: no heartbeat from their workers yet; {none}"
    )


def test_reasons_of_readyz_are_grouped_by_partition() -> None:
    at_ms, partitions = 1_700_000_000_000, tuple(Partition(Topic.CLICKS, number) for number in range(13))
    states = dict.fromkeys(partitions, PartitionState(1, None, None, None, at_ms, 5))

    def grouped(**facts: object) -> str:
        found = answer_status(
            ServerState(AsOf(at_ms - 60_000, ()), states, polled_ms=at_ms, failure=None, **facts), at_ms
        )  # type: ignore[arg-type]
        assert len(found.reasons) >= 13
        return not_ready_reason(503, {"reasons": list(found.reasons)})

    assert grouped(stale=partitions) == "13 partitions are stale: no heartbeat from their workers yet"
    assert (
        grouped(stale=partitions, unread=partitions) == "13 partitions exist on the broker and no worker reads them yet"
    )
    assert grouped(stale=()) == "13 partitions have records waiting to be counted"
    assert grouped(stale=partitions, unread=partitions[:12]).endswith(
        "; partition clicks/12 is stale: no word from its worker since 2023-11-14T22:13:20Z"
    )


CLICKS, ORDERS = Partition(Topic.CLICKS, 0), Partition(Topic.ORDERS, 0)


@pytest.mark.anyio
async def test_heartbeats_before_the_start_do_not_count(redis_url: str) -> None:
    async with opened(redis_url) as shop:
        before_ms = now_ms()
        await shop.writer.heartbeat({CLICKS: (None, 0), ORDERS: (None, 0)})
        assert await all_partitions_have_heartbeats(shop.settings, before_ms)
        later_ms = now_ms() + 1
        assert not await all_partitions_have_heartbeats(shop.settings, later_ms)
        await shop.redis.hset(shop.keys.state(shop.keys.shard(CLICKS)), f"seen:{CLICKS}", later_ms)
        assert not await all_partitions_have_heartbeats(shop.settings, later_ms), "one partition has none yet"
        await shop.redis.hset(shop.keys.state(shop.keys.shard(ORDERS)), f"seen:{ORDERS}", later_ms)
        assert await all_partitions_have_heartbeats(shop.settings, later_ms)


@pytest.mark.anyio
async def test_without_redis_there_are_no_heartbeats() -> None:
    assert not await all_partitions_have_heartbeats(Settings(redis_url="redis://127.0.0.1:1/0"), 0)
