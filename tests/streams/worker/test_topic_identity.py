"""Topic metadata is requested once for all partitions, and late enough."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest
from aiokafka.errors import KafkaConnectionError

from consumers.kafka.metadata import TopicMetadata
from consumers.topics import Partition, Topic
from streams.clock import MACHINE, now_ms
from streams.worker import position_tracker
from streams.worker.position_tracker import TopicIdentity
from tests.streams.worker.topics import Topics

pytestmark = pytest.mark.anyio

PARTITIONS = [Partition(Topic.CLICKS, number) for number in range(8)]


class SlowTopics(Topics):
    """A broker that answers requests sequentially, each after `takes_s`, even those that timed out."""

    takes_s = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.fails = False
        self.ids = {Topic.CLICKS: "a"}
        self._line = asyncio.Lock()

    async def fetch_topic_metadata(self, topics: Collection[Topic]) -> Mapping[Topic, TopicMetadata]:
        self.asked += 1
        return await asyncio.shield(asyncio.create_task(self._answer(topics)))

    async def _answer(self, topics: Collection[Topic]) -> Mapping[Topic, TopicMetadata]:
        async with self._line:
            metadata = await super().fetch_topic_metadata(topics)
            await asyncio.sleep(self.takes_s)
            if self.fails:
                raise KafkaConnectionError
            return metadata

    def fetched(self) -> None:
        """A fetch response for all partitions, after a gap larger than the tolerated one, which is 0 ms here."""
        for partition in PARTITIONS:
            self.heard[partition] = max(now_ms(), (self.heard.get(partition) or 0) + 1)


@pytest.fixture
async def topics(monkeypatch: pytest.MonkeyPatch) -> SlowTopics:
    monkeypatch.setattr(position_tracker, "_GAP_MS", 0)
    monkeypatch.setattr(position_tracker, "_PATIENCE_S", 0.6)
    return SlowTopics()


async def test_one_request_serves_all_partitions_of_a_slow_broker(topics: SlowTopics) -> None:
    """With one request per partition, the last would wait for 0.8 s, and longer each time."""
    asking = TopicIdentity(topics, MACHINE)
    for _ in range(5):
        topics.fetched()
        assert await asyncio.gather(*(asking.of(partition) for partition in PARTITIONS)) == ["a"] * len(PARTITIONS)
    assert topics.asked <= 2 * 5


async def test_a_response_to_a_request_before_the_fetch_is_not_trusted(topics: SlowTopics) -> None:
    asking = TopicIdentity(topics, MACHINE)
    before = asyncio.create_task(asking.refresh())
    await asyncio.sleep(topics.takes_s / 2)
    topics.ids[Topic.CLICKS] = "b"
    topics.fetched()
    assert await asking.of(PARTITIONS[0]) == "b"
    assert before.done()


async def test_a_failed_request_is_retried(topics: SlowTopics) -> None:
    asking, topics.fails = TopicIdentity(topics, MACHINE), True
    topics.fetched()
    with pytest.raises(KafkaConnectionError):
        await asking.of(PARTITIONS[0])
    early = asyncio.create_task(asking.refresh())
    await asyncio.sleep(topics.takes_s / 2)
    topics.fetched()
    late = asyncio.create_task(asking.of(PARTITIONS[0]))
    with pytest.raises(KafkaConnectionError):
        await early
    topics.fails = False
    assert await late == "a"


async def test_a_caller_times_out_but_the_response_serves_others(topics: SlowTopics) -> None:
    asking, topics.takes_s = TopicIdentity(topics, MACHINE), 0.8
    topics.fetched()
    with pytest.raises(TimeoutError):
        await asking.of(PARTITIONS[0])
    assert await asking.of(PARTITIONS[0]) == "a"
    assert topics.asked == 1
