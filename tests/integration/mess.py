"""A recorded shop as producers really send it: with repeats, disorder and broken messages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from consumers.contract.rejection import RejectionReason
from consumers.kafka.producer import OutgoingMessage
from consumers.ndjson import RecordedMessage, find_recordings, read_merged
from consumers.topics import EVENT_TOPICS, Topic
from tests.support.poison import poison

MINUTE_MS = 60_000


@dataclass
class Mess:
    """Messages in the order of sending, and the changes made to them."""

    messages: list[OutgoingMessage] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)
    """By topic."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Messages to be rejected, by topic and reason."""
    negative: Counter[str] = field(default_factory=Counter)
    """Rejected messages with a negative amount, by channel and coupon."""
    corrected: list[OutgoingMessage] = field(default_factory=list)
    """The valid messages in place of which broken ones were sent."""

    def rejected_totals(self) -> dict[str, int]:
        """The expected totals of rejected messages."""
        negative = {f"negative_amounts,{priced}": count for priced, count in self.negative.items()}
        return {f"rejected,{topic},{reason}": n for (topic, reason), n in self.rejected.items()} | negative


def make_mess(folder: Path, rng: Random, *, broken: int = 0) -> Mess:
    """A recording with one event in ten repeated within five minutes (a third of those with another `ts`), shuffled
    within a minute, and one invalid message in a hundred.

    `broken`: number of its events to spoil; the valid ones are in `corrected`.
    """
    mess = Mess()
    lines = [line for line in read_merged(find_recordings([folder])) if line.topic is not Topic.PROMOTIONS]
    spoilt = set(rng.sample(range(len(lines)), broken))
    timed: list[tuple[float, OutgoingMessage]] = []
    for i, line in enumerate(lines):
        assert line.at_ms is not None
        at_ms, message = line.at_ms + rng.uniform(0, MINUTE_MS), OutgoingMessage(line.topic, line.key, line.value)
        if i in spoilt:
            mess.corrected.append(message)
            mess.rejected[line.topic.value, "missing_field"] += 1
            timed.append((at_ms, message._replace(value=_without_ts(line.value))))
            continue
        timed.append((at_ms, message))
        if rng.random() < 0.1:
            mess.repeats[line.topic.value] += 1
            timed.append((at_ms + rng.uniform(0, 5 * MINUTE_MS), message._replace(value=_again(line, rng))))
    timed += _poison(mess, rng, lines)
    mess.messages = [
        *(
            OutgoingMessage(line.topic, line.key, line.value)
            for line in read_merged(find_recordings([_promotions(folder)]))
        ),
        *(message for _, message in sorted(timed, key=lambda timed: timed[0])),
    ]
    return mess


def _poison(mess: Mess, rng: Random, lines: list[RecordedMessage]) -> Iterator[tuple[float, OutgoingMessage]]:
    for topic in EVENT_TOPICS:
        places = [line for line in lines if line.topic is topic]
        for value, reason in poison(rng, topic, len(places) // 100):
            place = rng.choice(places)
            assert place.at_ms is not None
            mess.rejected[topic.value, reason.value] += 1
            if reason is RejectionReason.NEGATIVE_AMOUNT:
                order = json.loads(value)
                mess.negative[json.dumps([order.get("channel", ""), order.get("coupon", "")])] += 1
            yield place.at_ms, OutgoingMessage(topic, place.key, value)


def _again(line: RecordedMessage, rng: Random) -> bytes:
    if rng.random() < 2 / 3:
        return line.value
    event = json.loads(line.value)
    return json.dumps({**event, "ts": event["ts"] + rng.randrange(-MINUTE_MS, MINUTE_MS)}).encode()


def _without_ts(value: bytes) -> bytes:
    return json.dumps({name: given for name, given in json.loads(value).items() if name != "ts"}).encode()


def _promotions(folder: Path) -> Path:
    return folder / "promotions.ndjson.gz"
