"""Repeats, disorder and invalid messages change no answer; rejected messages are kept with their reason and can be
replayed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from consumers.dead_letters.letters import DeadLetterFilter
from consumers.dead_letters.reading import read_dead_letters, replay_dead_letters
from tests.integration.mess import make_mess
from tests.support.event_sets import EventSets
from tests.support.expected import Expected, check, recorded_totals
from tests.support.servers import Server
from tests.support.stack import stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow


def dead_letters(broker: Server) -> Counter[tuple[str, str]]:
    """Dead letters by topic and reason."""

    async def read() -> Counter[tuple[str, str]]:
        return Counter([(letter.topic, letter.reason) async for letter in read_dead_letters(broker.bootstrap)])

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("broker", "name"),
    [
        ("embedded", "olist"),
        ("embedded", "shipped"),
        pytest.param("apache", "taobao", marks=pytest.mark.kafka),
    ],
    indirect=["broker"],
)
def test_repeats_disorder_and_invalid_messages_give_the_same_answers(
    broker: Server, redis_server: Server, event_sets: EventSets, name: str, rng: Random
) -> None:
    folder = event_sets[name]
    expected, mess = Expected.read(folder), make_mess(folder, rng)
    counted = recorded_totals(folder) | {f"duplicates,{topic}": n for topic, n in mess.repeats.items()}
    with stack(broker, redis_server, workers=2, timezone=expected.timezone) as shop:
        shop.send(mess.messages)
        shop.until_counted()
        assert shop.totals() == counted | mess.rejected_totals()
        assert dead_letters(broker) == mess.rejected
        check(shop.api, expected)

        resent = asyncio.run(replay_dead_letters(broker.bootstrap, DeadLetterFilter()))
        assert sum(resent.sent.values()) == mess.rejected.total()
        twice = {name: 2 * count for name, count in mess.rejected_totals().items()}
        eventually(lambda: shop.totals() == counted | twice, within_s=120, what="all are rejected again")
        assert dead_letters(broker) == mess.rejected + mess.rejected
        check(shop.api, expected)


def test_corrected_messages_are_counted(
    broker: Server, redis_server: Server, event_sets: EventSets, rng: Random
) -> None:
    folder = event_sets.at_hand("taobao")
    expected, mess = Expected.read(folder), make_mess(folder, rng, broken=300)
    with stack(broker, redis_server, timezone=expected.timezone) as shop:
        shop.send(mess.messages)
        shop.until_counted()
        assert list(expected.differences(shop.api)), "the spoilt events are missing"
        shop.send(mess.corrected)
        shop.until_counted()
        check(shop.api, expected)
