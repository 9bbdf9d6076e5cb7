"""A shop that sends every ready format at once gives exactly the answers that an oracle computes from the originals."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from consumers.sources.ready import ready_files
from tests.integration.test_sources import create_own_topics, in_disorder, letters_of, send
from tests.support.expected import Expected, check
from tests.support.generated_shops import APPROXIMATE, answered
from tests.support.oracle import WINDOWS, Oracle
from tests.support.own_formats import OwnMessage
from tests.support.ready_formats import (
    CURRENCY,
    READY_TOPICS,
    START_MS,
    Original,
    ReadyEvent,
    encoded,
    events_of,
    messages,
)
from tests.support.servers import Server
from tests.support.stack import stack

pytestmark = pytest.mark.slow

ORDERS_OF_EACH = 700
_HOUR_MS = 3_600_000
_REFUSED = {b"{": "bad_json", b"\xff": "bad_encoding", b"5": "not_an_object"}
_REFUSED_OF = {
    "shopify.refunds": (b'{"id": 1, "refund_line_items": [], "transactions": [{"kind": "refund"}]}', "missing_field"),
    "segment": (b'{"type": "page", "messageId": "m", "userId": "u", "timestamp": "yesterday"}', "wrong_type"),
    "ga4.events": (b'{"event_name": "page_view", "event_timestamp": -1}', "out_of_range"),
    "snowplow.enriched": (b'{"event": "page_view", "event_id": "e", "user_id": "u"}', "missing_field"),
}


def poison() -> list[tuple[OwnMessage, str]]:
    """Messages that are refused, and the reason."""
    refused = [(topic, value, reason) for topic in READY_TOPICS for value, reason in _REFUSED.items()]
    refused += [(topic, *_REFUSED_OF[topic]) for topic in READY_TOPICS if topic in _REFUSED_OF]
    # A change of Debezium is missed in what is no object.
    other = {("shop.public.outboxevent", b"5"): "missing_field"}
    return [(OwnMessage(topic, b"k", value), other.get((topic, value), reason)) for topic, value, reason in refused]


def expected_answers(events: Sequence[ReadyEvent]) -> Expected:
    """The oracle's answers about all windows, and about every value of the scopes."""
    by_topic: dict[str, list[Mapping[str, Any]]] = {"clicks": [], "orders": [], "logistics": []}
    for event in events:
        by_topic[event.topic].append(event.fields)
    oracle = Oracle(**by_topic, timezone="UTC")
    end_ms = max(event.fields["ts"] for event in events) // 60_000 * 60_000
    moments = {"first day": START_MS + 20 * _HOUR_MS, "end": end_ms}
    asked = [(moment, window, "all") for moment in moments for window in WINDOWS if window != "promotion"]
    scopes = ("channel", "region", "category", "campaign", "member", "sku")
    asked += [(moment, "24h", scope) for moment in moments for scope in scopes]
    queries = [answered(oracle, moment, moments[moment], window, scope) for moment, window, scope in asked]
    return Expected.of(Path("ready"), {"contract": 1, "approximate": APPROXIMATE, "queries": queries})


def unique(originals: Sequence[Original]) -> list[ReadyEvent]:
    """Each event once: messages of a topic repeat what is known."""
    found: dict[tuple[str, str, str], ReadyEvent] = {}
    for original in originals:
        for event in events_of(original):
            key = (original.topic, event.topic, event.fields["event_id"])
            assert found.setdefault(key, event) == event
    return list(found.values())


@pytest.mark.parametrize(
    ("broker_name", "partitions", "workers"),
    [
        ("embedded_broker", 1, 1),
        pytest.param("apache_kafka", 4, 2, marks=pytest.mark.kafka),
    ],
)
def test_every_answer_is_that_of_the_originals_after_a_kill(
    request: pytest.FixtureRequest,
    redis_server: Server,
    tmp_path: Path,
    rng: Random,
    broker_name: str,
    partitions: int,
    workers: int,
) -> None:
    broker: Server = request.getfixturevalue(broker_name)
    originals = list(messages(rng, ORDERS_OF_EACH))
    mapped = [encoded(original, rng) for original in originals if events_of(original)]
    others = [encoded(original, rng) for original in originals if not events_of(original)]
    sent, totals = in_disorder(mapped, poison(), [(message, "none_matches") for message in others], rng)
    counted_events = unique(originals)
    file = tmp_path / "sources.yaml"
    parts = [yaml.safe_load(ready.text)["sources"] for ready in ready_files()]
    file.write_text(yaml.safe_dump({"version": 1, "sources": [source for part in parts for source in part]}))
    asyncio.run(create_own_topics(broker.bootstrap, partitions, READY_TOPICS))
    # Repeats are far apart, so ids are never forgotten.
    remembered = {"dedup_clicks_s": 10**8, "dedup_orders_s": 10**8}
    settings = {"timezone": "UTC", "sources": str(file), "currency": CURRENCY, "batch_records": 500, **remembered}
    with stack(broker, redis_server, partitions=partitions, workers=workers, **settings) as shop:
        send(shop, sent[: len(sent) // 2])
        shop.until_records_counted(len(sent) // 4)
        shop.kill_worker()
        shop.start_worker()
        send(shop, sent[len(sent) // 2 :])
        shop.until_counted()
        counted = shop.totals()
        assert {
            name: count for name, count in counted.items() if not name.startswith(("events", "duplicates"))
        } == totals
        assert {name: count for name, count in counted.items() if name.startswith("events")} == Counter(
            f"events,{event.topic},{event.fields['type']}" for event in counted_events
        )
        check(shop.api, expected_answers(counted_events))
    letters = asyncio.run(letters_of(broker.bootstrap))
    assert Counter((letter.topic, letter.value, letter.reason) for letter in letters) == Counter(
        (str(message.topic), message.value, reason) for message, reason in poison()
    )
