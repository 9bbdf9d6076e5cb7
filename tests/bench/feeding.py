"""Writes current events at a steady rate, in its own process.

    with feeding(ground, rate=30_000, seconds=30) as feed:   # events are made ready
        feed.go()
        ...
        fed = feed.done()

Event time is the moment an event is handed to the Kafka client. The same 300,000 events of the workload are sent over
and over, each time with other `event_id` and `order_id`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consumers.kafka.producer import KeyedProducer, OutgoingMessage, partition_for_key
from consumers.topics import EVENT_TOPICS, Topic
from streams.local.embedded.guard import guarded
from tests.bench.ground import PARTITIONS, REPOSITORY, BenchError, Ground
from tests.bench.workload import events

TICK_S = 0.01
MADE = 300_000
_ID, _TS, _ORDER = b'{"event_id":"', b'"ts":', b'"order_id":"'
_TS_DIGITS = 13
PLACES = [(topic, number) for topic in EVENT_TOPICS for number in range(PARTITIONS)]
"""Topic partitions, in the order of the columns of `Fed.ends`."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What was sent."""

    types: dict[str, int]
    """# <"events,topic,type">: messages, those before `go` included"""
    at_ms: list[int]
    """Event time of each tick after `go`."""
    ends: list[list[int]]
    """For each tick: the offset after its last message in each of `PLACES`; the first row is what was there before."""

    @property
    def total(self) -> int:
        return sum(self.types.values())

    def counts(self) -> list[int]:
        """How many were there after each tick, all partitions together."""
        return [sum(ends) for ends in self.ends[1:]]


class Feed:
    """The process that feeds."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def go(self) -> None:
        """Begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    @property
    def over(self) -> bool:
        return self._process.poll() is not None

    def done(self) -> Fed:
        """Wait for the end."""
        if self._process.wait(600):
            raise BenchError("the process that writes events failed; see its output above")
        return Fed(**json.loads(self._log.read_text()))

    def made(self) -> int:
        """Wait until all is ready; how many messages were sent already."""
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if words[:1] != ["ready"]:
            raise BenchError("the process that writes events failed; see its output above")
        return int(words[1])


@contextlib.contextmanager
def feeding(ground: Ground, *, rate: int, seconds: float, backfill_s: int = 0) -> Iterator[Feed]:
    """A feeder that waits for `go`. `backfill_s`: before that it sends at once what so many past seconds would have."""
    log = ground.folder / "fed.json"
    log.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "tests.bench.feeding", ground.broker.bootstrap, str(log)]
    argv += [f"--rate={rate}", f"--seconds={seconds}", f"--backfill={backfill_s}"]
    process = subprocess.Popen(
        guarded(argv), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield Feed(process, log)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


# In the process -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """A message with holes: ids and time come when it is sent."""

    topic: Topic
    key: bytes
    place: int
    type: str
    parts: tuple[bytes, ...]

    def at(self, tag: bytes, ts: bytes) -> OutgoingMessage:
        parts = self.parts
        if len(parts) == 2:
            return OutgoingMessage(self.topic, self.key, b"".join((_ID, tag, parts[0], ts, parts[1])))
        return OutgoingMessage(self.topic, self.key, b"".join((_ID, tag, parts[0], ts, parts[1], tag, parts[2])))


def _make(message: OutgoingMessage) -> _Made:
    assert message.key is not None
    assert message.value is not None
    before, _, after = message.value.removeprefix(_ID).partition(_TS)
    kind = before.partition(b'"type":"')[2].partition(b'"')[0].decode()
    place = PLACES.index((message.topic, partition_for_key(message.key, PARTITIONS)))
    parts = [before + _TS, after[_TS_DIGITS:]]
    if message.topic is Topic.ORDERS:
        between, _, rest = parts[1].partition(_ORDER)
        parts[1:] = [between + _ORDER, rest]
    return _Made(message.topic, message.key, place, kind, tuple(parts))


class _Feeder:
    def __init__(self, producer: KeyedProducer) -> None:
        self.types: Counter[str] = Counter()
        self.at_ms: list[int] = []
        self.ends: list[list[int]] = []
        self._made = [_make(message) for block in events(MADE) for message in block]
        self._producer = producer
        self._held = [0] * len(PLACES)
        self._next = 0

    async def send(self, count: int, ts_ms: int) -> None:
        ts, messages = b"%d" % ts_ms, []
        for _ in range(count):
            again, at = divmod(self._next, MADE)
            made = self._made[at]
            messages.append(made.at(b"%d-" % again, ts))
            self._held[made.place] += 1
            self._next += 1
        await self._producer.put(messages)

    async def backfill(self, rate: int, seconds: int) -> None:
        start_ms = int(time.time() - seconds) * 1000
        for step in range(seconds * 10):
            await self.send(rate // 10, start_ms + step * 100)
            await asyncio.sleep(0)
        await self._producer.flush()

    async def run(self, rate: int, seconds: float) -> None:
        self.ends.append(list(self._held))
        began, sent, count = time.monotonic(), 0, int(rate * seconds)
        while sent < count:
            due = min(count, int((time.monotonic() - began) * rate)) - sent
            if due > 0:
                now_ms = int(time.time() * 1000)
                await self.send(due, now_ms)
                await self._producer.flush()
                sent += due
                self.at_ms.append(now_ms)
                self.ends.append(list(self._held))
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - began) % TICK_S))

    def fed(self) -> dict[str, object]:
        for i, made in enumerate(self._made):
            if times := self._next // MADE + (i < self._next % MADE):
                self.types[f"events,{made.topic},{made.type}"] += times
        return {"types": self.types, "at_ms": self.at_ms, "ends": self.ends}


async def _main(options: argparse.Namespace) -> None:
    async with KeyedProducer(options.bootstrap) as producer:
        feeder = _Feeder(producer)
        if options.backfill:
            await feeder.backfill(options.rate, options.backfill)
        sys.stdout.write(f"ready {feeder._next}\n")
        sys.stdout.flush()
        if not await asyncio.to_thread(sys.stdin.readline):
            return
        await feeder.run(options.rate, options.seconds)
        await producer.flush()
        options.log.write_text(json.dumps(feeder.fed()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("log", type=Path)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--backfill", type=int, default=0)
    asyncio.run(_main(parser.parse_args()))
