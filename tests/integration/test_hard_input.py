"""Repeats, disorder and poison change no answer; what was refused is kept with its reason and can be sent again."""

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
    """How many there are, by topic and reason."""

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
def test_a_mess_gives_the_same_answers(
    broker: Server, redis_server: Server, event_sets: EventSets, name: str, rng: Random
) -> None:
    folder = event_sets[name]
    expected, mess = Expected.read(folder), make_mess(folder, rng)
    counted = recorded_totals(folder) | {f"duplicates,{topic}": n for topic, n in mess.repeats.items()}
    with stack(broker, redis_server, workers=2, timezone=expected.timezone) as shop:
        shop.send(mess.messages)
        shop.until_counted()
        assert shop.totals() == counted | mess.rejected_totals()
        assert dead_letters(broker) == mess.refused
        check(shop.api, expected)

        resent = asyncio.run(replay_dead_letters(broker.bootstrap, DeadLetterFilter()))
        assert sum(resent.sent.values()) == mess.refused.total()
        twice = {name: 2 * count for name, count in mess.rejected_totals().items()}
        eventually(lambda: shop.totals() == counted | twice, within_s=120, what="all are refused again")
        assert dead_letters(broker) == mess.refused + mess.refused
        check(shop.api, expected)


def test_what_is_mended_counts(broker: Server, redis_server: Server, event_sets: EventSets, rng: Random) -> None:
    folder = event_sets.at_hand("taobao")
    expected, mess = Expected.read(folder), make_mess(folder, rng, broken=300)
    with stack(broker, redis_server, timezone=expected.timezone) as shop:
        shop.send(mess.messages)
        shop.until_counted()
        assert list(expected.differences(shop.api)), "what was spoilt is missing"
        shop.send(mess.mended)
        shop.until_counted()
        check(shop.api, expected)
