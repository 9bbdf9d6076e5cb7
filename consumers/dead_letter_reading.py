"""Looking through the dead letters, and sending some of them again.

Nothing is remembered about what was sent again: a replay leaves the dead letters as they are, so it can be repeated,
and `event_id` keeps an event from being counted twice. A message that is still refused becomes a new dead letter with
an offset of its own. To leave out what was dealt with, choose by time (`since_ms`) or by id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from consumers.dead_letter_writing import all_confirmed, whole_message_producer
from consumers.dead_letters import REPLAYED_HEADER, DeadLetter, Message, Selection, from_message
from consumers.kafka import Where, kafka_at
from consumers.kafka_errors import kafka_errors
from consumers.metadata import partition_count
from consumers.topic_reading import read_to_end
from consumers.topics import Topic

_REPLAY_TURN_BYTES = 8 * 2**20


async def read_dead_letters(kafka: Where, selection: Selection | None = None) -> AsyncIterator[DeadLetter]:
    """The dead letters that were there when this was called, each once, oldest first within a key.

    Raises SalepulseError without a broker, where the topic is missing, or if the broker goes silent.
    """
    selection = selection or Selection()
    seen: set[tuple[str, int, int, int | None]] = set()
    async for record in read_to_end(kafka, Topic.DEAD_LETTERS):
        letter = from_message(Message(record.key, record.value, record.headers))
        if letter is not None and letter.identity not in seen:
            seen.add(letter.identity)
            if selection.has(letter):
                yield letter


async def replay_dead_letters(
    kafka: Where, selection: Selection, on_progress: Callable[[int], None] | None = None
) -> dict[str, int]:
    """Send the selected dead letters to their topics again: original key and bytes, with a header that names the
    dead letter. Returns how many went to each topic, once the broker has confirmed them.

    They go to what their topic is called now, whatever it was called then.
    """
    names = kafka_at(kafka).topics
    sent: dict[str, int] = {}
    async with kafka_errors(kafka):
        producer = whole_message_producer(kafka)
        try:
            await producer.start()
            answers: list[asyncio.Future[Any]] = []
            held = 0
            async for letter in read_dead_letters(kafka, selection):
                name = names.named(letter.topic)
                await partition_count(producer.client, name, kafka)
                answers.append(await _send_again(producer, name, letter))
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


async def _send_again(producer: Any, topic: str, letter: DeadLetter) -> asyncio.Future[Any]:
    value = b"" if letter.key is None and letter.value is None else letter.value
    headers = [(REPLAYED_HEADER, letter.id.encode())]
    answer: asyncio.Future[Any] = await producer.send(topic, value, letter.key, headers=headers)
    return answer
