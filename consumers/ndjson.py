"""Recorded messages in NDJSON files named after their topic (`orders.ndjson.gz`), merged by event time.

Files are streamed. The lines of a file keep their order, so late events stay late. Files are merged by the running
event time of each, which late events do not turn back and a single event time in the far future does not advance.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from consumers.contract.events import STOCK_TYPES
from consumers.errors import SalepulseError, UsageError
from consumers.topics import EVENT_TOPICS, Topic

REPLAYABLE = (Topic.PROMOTIONS, *EVENT_TOPICS)
_ENDINGS = (".ndjson", ".ndjson.gz")
_LOOK_AHEAD = 15
"""Number of following lines that confirm or contradict the time of a line."""
_STRAY_MS = 300_000
"""A time further ahead than this is ignored unless the following lines confirm it."""
_AT_AN_END = 4 * _LOOK_AHEAD
"""Number of lines read at each end of a file."""


class RoutingFields(msgspec.Struct, frozen=True, gc=False):
    """The fields that determine key and due time; unvalidated JSON values."""

    ts: Any = None
    type: Any = None
    user_id: Any = None
    order_id: Any = None
    sku: Any = None
    promotion_id: Any = None


_decoder = msgspec.json.Decoder(RoutingFields)


def parse_routing_fields(line: bytes) -> RoutingFields | None:
    """The routing fields of a JSON object; None for anything else."""
    try:
        return _decoder.decode(line)
    except Exception:  # too deep, not UTF-8, not JSON: decoding reports the reason
        return None


def key_field(topic: Topic, event_type: object) -> str:
    """The name of the field that is the message's Kafka key.

    >>> key_field(Topic.LOGISTICS, "stock_level"), key_field(Topic.LOGISTICS, "return_received")
    ('sku', 'order_id')

    Raises ValueError for topics whose messages are keyed like their originals.
    """
    match topic:
        case Topic.CLICKS:
            return "user_id"
        case Topic.ORDERS:
            return "order_id"
        case Topic.LOGISTICS:
            return "sku" if event_type in STOCK_TYPES else "order_id"
        case Topic.PROMOTIONS:
            return "promotion_id"
    raise ValueError(f"messages of {topic} are keyed like their originals")


def key_from_routing(topic: Topic, routing: RoutingFields | None) -> bytes | None:
    """The Kafka key from routing fields; None if there is none."""
    if routing is None:
        return None
    key = getattr(routing, key_field(topic, routing.type if isinstance(routing.type, str) else None))
    return key.encode("utf-8", "replace") if isinstance(key, str) and key else None


class RecordedMessage(NamedTuple):
    """One recorded message."""

    at_ms: int | None
    """When the message is due: the running event time of its file. None before the first known time: at once."""
    topic: Topic
    key: bytes | None
    """The Kafka key of the contract; None if the line has no key field."""
    value: bytes
    """The line without its line break."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file with the messages of one topic."""

    path: Path
    topic: Topic


def find_recordings(paths: Iterable[Path]) -> list[Recording]:
    """The recordings among the given files and directly in the given folders; ignores other files in a folder.

    Raises UsageError for a missing path, a folder without recordings, and a file not named after a topic.
    """
    recordings: dict[Path, Recording] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist: name NDJSON files, or folders that hold some")
        files = _in_folder(path) if path.is_dir() else [path]
        for file in files:
            recordings[file.resolve()] = Recording(file, _topic_of(file))
    return list(recordings.values())


def read_merged(recordings: Iterable[Recording]) -> Iterator[RecordedMessage]:
    """The lines of all files, promotions first, then by time. Raises SalepulseError for an unreadable file."""
    ordered = sorted(recordings, key=lambda recording: str(recording.path))
    for recording in ordered:
        if recording.topic is Topic.PROMOTIONS:
            yield from (line._replace(at_ms=None) for line in read_recording(recording))
    events = [read_recording(recording) for recording in ordered if recording.topic is not Topic.PROMOTIONS]
    yield from heapq.merge(*events, key=lambda line: -1 if line.at_ms is None else line.at_ms)


def read_recording(recording: Recording) -> Iterator[RecordedMessage]:
    """The non-blank lines of one file in their order; `at_ms` never decreases.

    A line without a readable `ts` is due right after the line before it. So is one whose `ts` is more than 5 minutes
    ahead, if the lines after it return to the earlier time.
    """
    yield from _due(_with_ts(recording.topic, _lines(recording.path)))


def span_ms(recording: Recording) -> tuple[int, int] | None:
    """When the first and the last line are due, read from both ends of the file; None if no line has a time.

    A last line more than 5 minutes ahead of the lines before it is ignored.
    """
    lines = _lines(recording.path)
    first = list(islice(lines, _AT_AN_END))
    last = [*first, *deque(lines, maxlen=_AT_AN_END)][-_AT_AN_END:]
    starts, ends = (
        [line.at_ms for line in _due(_with_ts(recording.topic, part)) if line.at_ms is not None]
        for part in (first, last)
    )
    if not starts or not ends:
        return None
    if len(ends) > 1 and ends[-1] - ends[-2] > max(_STRAY_MS, ends[-2] - starts[0]):
        ends.pop()
    return starts[0], ends[-1]


def _due(lines: Iterable[tuple[int | None, RecordedMessage]]) -> Iterator[RecordedMessage]:
    """The lines, each with its due time."""
    ahead: deque[tuple[int | None, RecordedMessage]] = deque()
    now_ms: int | None = None
    for ts, line in lines:
        ahead.append((ts, line))
        if len(ahead) > _LOOK_AHEAD:
            now_ms = _advance(now_ms, ahead)
            yield ahead.popleft()[1]._replace(at_ms=now_ms)
    while ahead:
        now_ms = _advance(now_ms, ahead)
        yield ahead.popleft()[1]._replace(at_ms=now_ms)


def _advance(now_ms: int | None, ahead: deque[tuple[int | None, RecordedMessage]]) -> int | None:
    """The running time once the first of these lines is due."""
    ts = ahead[0][0]
    if ts is None or (now_ms is not None and ts <= now_ms):
        return now_ms
    if now_ms is None or ts > now_ms + _STRAY_MS:
        following = sorted(later for later, _ in ahead if later is not None)
        if following[len(following) // 2] < ts - _STRAY_MS:
            return now_ms
    return ts


def _with_ts(topic: Topic, values: Iterable[bytes]) -> Iterator[tuple[int | None, RecordedMessage]]:
    for value in values:
        routing = parse_routing_fields(value)
        ts = None if routing is None else routing.ts
        key = key_from_routing(topic, routing)
        yield (ts if type(ts) is int else None), RecordedMessage(None, topic, key, value)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                if stripped := line.rstrip(b"\r\n"):
                    yield stripped
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SalepulseError(f"{path} is damaged ({error}): the rest cannot be read, copy the file again") from error
    except OSError as error:
        raise SalepulseError(f"{path} cannot be read: {error.strerror or error}") from error


def holds_recordings(folder: Path) -> bool:
    """Whether a folder holds NDJSON files itself."""
    return any(file.name.endswith(_ENDINGS) for file in folder.iterdir())


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.name.endswith(_ENDINGS))
    if not files:
        raise UsageError(f"{folder} holds no NDJSON files: name them after their topic, such as orders.ndjson.gz")
    for file in files:
        if (packed := file.with_name(file.name + ".gz")) in files:
            raise UsageError(f"{file} and {packed} both exist: keep one, or name the one to replay")
    return files


def _topic_of(file: Path) -> Topic:
    for ending in _ENDINGS:
        name = file.name.removesuffix(ending)
        if name != file.name and name in REPLAYABLE:
            return Topic(name)
    names = ", ".join(f"{topic}.ndjson" for topic in REPLAYABLE)
    raise UsageError(f"{file} is not named after a topic: name it one of {names}, or the same with .gz")
