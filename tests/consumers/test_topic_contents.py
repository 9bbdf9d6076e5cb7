"""Detection of foreign messages in the topics that salepulse writes to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from consumers.dead_letters.letters import DeadLetter, to_record
from consumers.topic_contents import describe_foreign_messages
from consumers.topics import Topic
from tests.support.events import promotion

DEBEZIUM = b'{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":1},"op":"c"}}'


def record(value: bytes | None, key: bytes | None = b"k", headers: Any = ()) -> Any:
    return SimpleNamespace(key=key, value=value, headers=headers)


def dead_letter(**changes: Any) -> Any:
    letter = DeadLetter("orders", 0, 7, b"o-1", b"{}", "bad_json", "no JSON", 1_700_000_000_000, **changes)
    message = to_record(letter)
    return record(message.value, message.key, message.headers)


def dead_letter_of_the_first_version() -> Any:
    facts = {"topic": "orders", "partition": "0", "offset": "7", "reason": "x", "detail": "", "rejected-at-ms": "1"}
    return record(b"{}", headers=[(f"salepulse-{name}", text.encode()) for name, text in facts.items()])


@pytest.mark.parametrize(
    ("topic", "ours"),
    [
        (Topic.DEAD_LETTERS, dead_letter()),
        (Topic.DEAD_LETTERS, dead_letter(headers=[("trace", b"1")], timestamp_ms=5)),
        (Topic.DEAD_LETTERS, dead_letter_of_the_first_version()),
        (Topic.PROMOTIONS, record(promotion("d11").model_dump_json(exclude_none=True).encode(), b"d11")),
        (Topic.PROMOTIONS, record(None, b"d11")),
        (Topic.PROMOTIONS, record(b'{"promotion_id":"d11","starts_at":"tomorrow"}', b"d11")),
        (Topic.ALERTS, record(b'{"id":"f-1-fired","at":1,"change":"fired","alert":{"fingerprint":"f"}}')),
        (Topic.ALERTS, record(b'{"at_ms":1,"what":"fired","alert":{"rule":"order-drop"}}')),
    ],
)
def test_messages_of_this_and_earlier_versions_are_recognised(topic: Topic, ours: Any) -> None:
    assert describe_foreign_messages(topic, [ours]) == ""
    assert describe_foreign_messages(topic, [ours, record(DEBEZIUM)]) == "", "half of them"
    assert describe_foreign_messages(topic, []) == ""
    found = describe_foreign_messages(topic, [ours, record(DEBEZIUM), record(DEBEZIUM)])
    assert found.startswith("2 of its 3 oldest messages are not salepulse's (such as: the message is a Debezium")


@pytest.mark.parametrize(
    ("value", "looks"),
    [
        (b"\xef\xbb\xbf{}", "the message begins with a byte-order mark"),
        (b'{"error":"timeout"}', """'{"error":"timeout"}'"""),
        (b"x" * 100, f"'{'x' * 60}'..."),
        (b"[1]", "'[1]'"),
        (b"", "no value"),
        (b"[" * 100_000, f"'{'[' * 60}'..."),
    ],
)
def test_messages_of_other_systems_are_described(value: bytes, looks: str) -> None:
    for topic in (Topic.DEAD_LETTERS, Topic.ALERTS, Topic.PROMOTIONS):
        assert looks in describe_foreign_messages(topic, [record(value)])
