"""Looking through the dead letters, and sending some of them again.

Nothing is remembered about what was sent again: a replay leaves the dead letters as they are, so it can be repeated,
and `event_id` keeps an event from being counted twice. A message that is still refused becomes a new dead letter with
an offset of its own. To leave out what was dealt with, choose by time (`since_ms`) or by id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.dead_letters import (
    REPLAYED_HEADER,
    DeadLetter,
    Message,
    Selection,
    all_confirmed,
    from_message,
    whole_message_producer,
)
from consumers.errors import SalepulseError, kafka_errors
from consumers.metadata import partition_count
from consumers.topics import Topic

_QUIET_MS = 500
_SILENT_S = 30
_REPLAY_TURN_BYTES = 8 * 2**20


async def read_dead_letters(bootstrap: str, selection: Selection | None = None) -> AsyncIterator[DeadLetter]:
    """The dead letters that were there when this was called, each once, oldest first within a key.

    Raises SalepulseError without a broker, where the topic is missing, or if the broker goes silent.
    """
    selection = selection or Selection()
    seen: set[tuple[str, int, int, int | None]] = set()
    async for record in _read_to_end(bootstrap, Topic.DEAD_LETTERS):
        letter = from_message(Message(record.key, record.value, record.headers))
        if letter is not None and letter.identity not in seen:
            seen.add(letter.identity)
            if selection.has(letter):
                yield letter


async def replay_dead_letters(
    bootstrap: str, selection: Selection, on_progress: Callable[[int], None] | None = None
) -> dict[str, int]:
    """Send the selected dead letters to their topics again: original key and bytes, with a header that names the
    dead letter. Returns how many went to each topic, once the broker has confirmed them.
    """
    sent: dict[str, int] = {}
    with kafka_errors(bootstrap):
        producer = whole_message_producer(bootstrap)
        try:
            await producer.start()
            answers: list[asyncio.Future[Any]] = []
            held = 0
            async for letter in read_dead_letters(bootstrap, selection):
                await partition_count(producer.client, letter.topic, bootstrap)
                answers.append(await _send_again(producer, letter))
                sent[letter.topic] = sent.get(letter.topic, 0) + 1
                held += len(letter.value or b"") + 1_000
                if held > _REPLAY_TURN_BYTES:
                    await all_confirmed(answers)
                    answers, held = [], 0
                    if on_progress:
                        on_progress(sum(sent.values()))
            await all_confirmed(answers)
        finally:
            await producer.stop()
    return sent


async def _send_again(producer: Any, letter: DeadLetter) -> asyncio.Future[Any]:
    value = b"" if letter.key is None and letter.value is None else letter.value
    headers = [(REPLAYED_HEADER, letter.id.encode())]
    answer: asyncio.Future[Any] = await producer.send(letter.topic, value, letter.key, headers=headers)
    return answer


async def _read_to_end(bootstrap: str, topic: Topic) -> AsyncIterator[Any]:
    """Every record that the topic held when this was called."""
    with kafka_errors(bootstrap):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=2**22,
        )
        try:
            await consumer.start()
            count = await partition_count(consumer._client, topic.value, bootstrap)
            partitions = [TopicPartition(topic.value, n) for n in range(count)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            began_ms, heard = time.time() * 1000, time.monotonic()
            # The embedded broker names the start of the last batch as the end, so go on until nothing more comes;
            # and leave out what was written since, or reading a busy topic would never be done.
            while True:
                batches = await consumer.getmany(timeout_ms=_QUIET_MS)
                for records in batches.values():
                    heard = time.monotonic()
                    for record in records:
                        if record.offset < ends[TopicPartition(topic.value, record.partition)] or (
                            record.timestamp <= began_ms
                        ):
                            yield record
                if not _anything_old(batches, began_ms) and await _reached(consumer, ends):
                    return
                if time.monotonic() - heard > _SILENT_S:
                    raise SalepulseError(
                        f"{bootstrap} gave nothing of topic {topic} for {_SILENT_S} s, though there is more: "
                        "see whether the broker is well, then try again",
                        retriable=True,
                    )
        finally:
            await consumer.stop()


def _anything_old(batches: dict[Any, list[Any]], began_ms: float) -> bool:
    return any(record.timestamp <= began_ms for records in batches.values() for record in records)


async def _reached(consumer: Any, ends: dict[Any, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
