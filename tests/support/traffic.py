"""Live traffic of a shop, and a witness that compares every live answer with the truth.

with Traffic(broker.bootstrap) as traffic, Witness(shop.api, traffic) as witness:
    ...fault...
    assert not witness.wrong(after_s=fault_s + 15)
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from confluent_kafka import KafkaError, Message, Producer

from consumers.topics import Topic
from tests.support.answers import HttpApi
from tests.support.events import line
from tests.support.wait import eventually

COUNTERS = {Topic.ORDERS: "orders_paid", Topic.CLICKS: "page_views"}
"""The counter of each topic's events, one per event."""
_SECOND = 1000


class Traffic:
    """Writes current events to `orders` and `clicks` at a constant rate, and records them.

    Refused events are retried for minutes under their id. Events of a partition stay in order.
    """

    def __init__(self, bootstrap: str, per_s: int = 40) -> None:
        self._bootstrap = bootstrap
        self._producer = self._new_producer()
        self._pause_s = 1 / per_s
        self._lock = threading.Lock()
        self._times_ms: dict[Topic, list[int]] = {topic: [] for topic in COUNTERS}
        self._failed: list[str] = []
        self._ended = threading.Event()
        self._still: set[Topic] = set()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def stop(self) -> None:
        """Stop, and wait until the broker has all events."""
        self._ended.set()
        self._thread.join()
        left = self._producer.flush(120)
        assert not left, f"{left} events were not written"
        assert not self._failed, self._failed[:3]

    def pause(self, topic: Topic) -> None:
        """Stop writing to a topic; all earlier events are written."""
        with self._lock:
            self._still.add(topic)
        assert not self._producer.flush(60)

    def resume(self, topic: Topic) -> None:
        """Write to the topic again, as it is on the broker now."""
        with self._lock:
            assert not self._producer.flush(60)
            self._producer = self._new_producer()
            self._still.discard(topic)

    def written(self, topic: Topic) -> int:
        """The number of events written."""
        with self._lock:
            return len(self._times_ms[topic])

    def within(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """The expected counters of [start_ms, end_ms), which must be in the past."""
        with self._lock:
            return {
                COUNTERS[topic]: bisect_left(times, end_ms) - bisect_left(times, start_ms)
                for topic, times in self._times_ms.items()
            }

    def _new_producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "partitioner": "murmur2_random",
                "topic.metadata.refresh.interval.ms": 1000,
                "acks": "all",
                "max.in.flight.requests.per.connection": 1,
                "message.timeout.ms": 300_000,
                "retry.backoff.max.ms": 500,
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(self._pause_s):
            number += 1
            with self._lock:
                now_ms = time.time_ns() // 1_000_000
                for topic in COUNTERS:
                    if topic not in self._still:
                        key, event = _event(topic, number, now_ms)
                        self._times_ms[topic].append(now_ms)
                        self._producer.produce(topic.value, json.dumps(event), key, on_delivery=self._delivered)
                self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(str(error))


def _event(topic: Topic, number: int, ts: int) -> tuple[str, dict[str, Any]]:
    about = {"event_id": f"{topic}-{ts}-{number}", "ts": ts, "user_id": f"u-{number % 500}"}
    if topic is Topic.CLICKS:
        return about["user_id"], {**about, "type": "page_view", "session_id": "v-1"}
    return f"o-{ts}-{number}", {**about, "type": "order_paid", "order_id": f"o-{ts}-{number}", "items": [line()]}


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """A sample of the answer for the last minute."""

    at_s: float
    """By `time.monotonic`."""
    live: bool
    as_of_ms: int | None = None
    actual: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    """From `/readyz`, queried just after."""

    @property
    def right(self) -> bool:
        return self.actual == self.expected


class Witness:
    """Samples answers several times a second."""

    def __init__(self, api: HttpApi, traffic: Traffic) -> None:
        self._url = api.url
        self._traffic = traffic
        self._ended = threading.Event()
        self.seen: list[AnswerSample] = []
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def wrong(self, after_s: float = 0) -> list[AnswerSample]:
        """Live answers that were wrong, since a time."""
        return [one for one in list(self.seen) if one.live and not one.right and one.at_s >= after_s]

    def not_live(self, after_s: float = 0) -> list[AnswerSample]:
        """Samples without a live answer."""
        return [one for one in list(self.seen) if not one.live and one.at_s >= after_s]

    def reasons(self, after_s: float = 0) -> str:
        """All reasons in `/readyz` for these."""
        return "\n".join(sorted({reason for one in self.not_live(after_s) for reason in one.reasons}))

    def until_live(self, within_s: float = 90) -> AnswerSample:
        """Wait for a current answer that is live and right."""
        began_s = time.monotonic()

        def found() -> AnswerSample | None:
            return next((one for one in reversed(self.seen) if one.at_s > began_s and one.live and one.right), None)

        try:
            one = eventually(found, within_s=within_s, what="an answer is live and right")
        except AssertionError as error:
            error.add_note(f"last seen: {self.seen[-2:]}")
            raise
        assert one is not None
        return one

    def until_not_live(self, within_s: float = 20) -> AnswerSample:
        """Wait for an answer that is not live."""
        began_s = time.monotonic()
        eventually(lambda: bool(self.not_live(began_s)), within_s=within_s, what="an answer is not live")
        return self.not_live(began_s)[0]

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not self._ended.wait(0.25):
                self.seen += self._look(client)

    def _look(self, client: httpx.Client) -> Iterator[AnswerSample]:
        at_s = time.monotonic()
        try:
            answer = client.get("/api/v1/kpis", params={"window": "1m"})
            ready = client.get("/readyz")
        except httpx.TransportError:
            return
        reasons = tuple(ready.json().get("reasons", ()))
        if answer.status_code != httpx.codes.OK:
            yield AnswerSample(at_s, False, reasons=reasons)
            return
        actual = answer.json()
        as_of_ms, values = actual["as_of"], actual["values"]
        yield AnswerSample(
            at_s,
            actual["live"],
            as_of_ms,
            {name: values[name] for name in COUNTERS.values()},
            self._traffic.within(as_of_ms - 60 * _SECOND, as_of_ms),
            tuple(actual["stale"]),
            reasons,
        )
