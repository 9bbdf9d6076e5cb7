"""Recordings are found by name, merged by time between files, keep their order within one, and are keyed."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from consumers.contract.events import EVENT_TYPES
from consumers.errors import SalepulseError, UsageError
from consumers.ndjson import (
    find_recordings,
    key_from_routing,
    parse_routing_fields,
    read_merged,
    read_recording,
    span_ms,
)
from consumers.topics import Topic
from tests.support.poison import GOOD, encode, nested, with_raw


def record(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


HOUR_MS = 3_600_000


def at(ts: int, note: str = "") -> str:
    return f'{{"ts":{ts},"user_id":"u","order_id":"o","note":"{note}"}}'


def merged(*paths: Path) -> list[tuple[Topic, bytes]]:
    return [(line.topic, line.value) for line in read_merged(find_recordings(paths))]


def times(path: Path) -> list[int | None]:
    return [line.at_ms for line in read_recording(find_recordings([path])[0])]


def test_plain_and_gzip_files_of_a_folder_are_merged_by_time(tmp_path: Path) -> None:
    record(tmp_path, "clicks.ndjson", at(1), at(4), at(6))
    record(tmp_path, "orders.ndjson.gz", at(2), at(5))
    record(tmp_path, "incidents.json", "[]")
    assert merged(tmp_path) == [
        (Topic.CLICKS, at(1).encode()),
        (Topic.ORDERS, at(2).encode()),
        (Topic.CLICKS, at(4).encode()),
        (Topic.ORDERS, at(5).encode()),
        (Topic.CLICKS, at(6).encode()),
    ]


def test_promotions_come_first(tmp_path: Path) -> None:
    record(tmp_path, "clicks.ndjson", at(1))
    record(tmp_path, "promotions.ndjson", '{"promotion_id":"d11","starts_at":9}')
    lines = list(read_merged(find_recordings([tmp_path])))
    assert [(line.topic, line.key) for line in lines] == [(Topic.PROMOTIONS, b"d11"), (Topic.CLICKS, b"u")]


def test_a_late_line_keeps_its_place(tmp_path: Path) -> None:
    record(tmp_path, "clicks.ndjson", at(10), at(2, "late"), at(12))
    record(tmp_path, "orders.ndjson", at(9), at(11))
    assert [value for _, value in merged(tmp_path)] == [
        line.encode() for line in (at(9), at(10), at(2, "late"), at(11), at(12))
    ]


def test_a_stray_time_in_the_far_future_does_not_hold_up_its_file(tmp_path: Path) -> None:
    stray = at(10**12, "stray")
    record(tmp_path, "clicks.ndjson", at(1), stray, at(3), at(5), at(7))
    record(tmp_path, "orders.ndjson", at(2), at(4), at(6))
    assert [value for _, value in merged(tmp_path)] == [
        line.encode() for line in (at(1), stray, at(2), at(3), at(4), at(5), at(6), at(7))
    ]


def test_a_quiet_hour_is_not_a_stray_time(tmp_path: Path) -> None:
    path = record(tmp_path, "clicks.ndjson", at(0), at(3_600_000), at(3_600_001), at(3_600_002))
    assert times(path) == [0, 3_600_000, 3_600_001, 3_600_002]


def test_a_line_without_a_time_is_due_with_the_line_before(tmp_path: Path) -> None:
    path = record(tmp_path, "clicks.ndjson", "no json", at(5), '{"ts":"6"}', '{"ts":true}', "[]", at(7))
    assert times(path) == [None, 5, 5, 5, 5, 7]


def test_lines_are_sent_unchanged_and_blank_ones_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "clicks.ndjson"
    path.write_bytes(b'{"ts":1}\r\n\n  {"ts": 2}  \n\xff\n{"ts":3}')
    values = [line.value for line in read_recording(find_recordings([path])[0])]
    assert values == [b'{"ts":1}', b'  {"ts": 2}  ', b"\xff", b'{"ts":3}']


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = record(tmp_path, "clicks.ndjson", at(1))
    assert len(find_recordings([tmp_path, path, path])) == 1


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        ([], "nowhere", "does not exist"),
        ([], ".", "holds no NDJSON files"),
        (["sales.ndjson"], ".", "not named after a topic: name it one of promotions.ndjson, clicks.ndjson"),
        (["dead-letters.ndjson"], ".", "not named after a topic"),
        (["clicks.csv"], "clicks.csv", "not named after a topic"),
        (["clicks.ndjson", "clicks.ndjson.gz"], ".", "both exist"),
    ],
)
def test_paths_that_cannot_be_replayed_raise_an_error(
    tmp_path: Path, names: list[str], asked: str, message: str
) -> None:
    for name in names:
        record(tmp_path, name, at(1))
    with pytest.raises(UsageError, match=message):
        find_recordings([tmp_path / asked])


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: b"no gzip", lambda data: data + b"junk"])
def test_a_damaged_file_is_named_in_the_error(tmp_path: Path, spoil: object) -> None:
    path = record(tmp_path, "clicks.ndjson.gz", *[at(i) for i in range(1000)])
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(SalepulseError, match=r"clicks\.ndjson\.gz is damaged"):
        merged(path)


@pytest.mark.parametrize(
    ("lines", "span"),
    [
        ([at(5)], (5, 5)),
        ([at(5), at(9)], (5, 9)),
        ([at(ts) for ts in range(100)], (0, 99)),
        ([*(at(ts) for ts in range(100)), at(9_999_999_999_999)], (0, 99)),
        ([*(at(ts * HOUR_MS) for ts in range(9)), at(12 * HOUR_MS)], (0, 12 * HOUR_MS)),
        (["no JSON", "{}"], None),
        ([], None),
    ],
    ids=["one", "two", "many", "a stray time at the end", "hours apart", "without times", "empty"],
)
def test_the_span_is_read_from_both_ends(tmp_path: Path, lines: list[str], span: tuple[int, int] | None) -> None:
    record(tmp_path, "orders.ndjson", *lines)
    assert span_ms(find_recordings([tmp_path])[0]) == span


EVENT = {"user_id": "u", "order_id": "o", "sku": "s", "promotion_id": "p"}


@pytest.mark.parametrize(
    ("topic", "event_type", "key"),
    [
        (Topic.CLICKS, "page_view", b"u"),
        (Topic.ORDERS, "order_paid", b"o"),
        (Topic.LOGISTICS, "stock_level", b"s"),
        (Topic.LOGISTICS, "stock_received", b"s"),
        (Topic.LOGISTICS, "stock_adjusted", b"s"),
        (Topic.LOGISTICS, "shipment_dispatched", b"o"),
        (Topic.LOGISTICS, "return_received", b"o"),
        (Topic.PROMOTIONS, None, b"p"),
    ],
)
def test_keys_follow_the_contract(topic: Topic, event_type: str | None, key: bytes) -> None:
    event = {**EVENT, "type": event_type}
    assert key_from_routing(topic, parse_routing_fields(encode(event))) == key


def test_every_logistics_type_has_a_key() -> None:
    assert {
        key_from_routing(Topic.LOGISTICS, parse_routing_fields(encode({**EVENT, "type": name})))
        for name in EVENT_TYPES[Topic.LOGISTICS]
    } == {
        b"s",
        b"o",
    }


@pytest.mark.parametrize(
    "line", [b"", b"no json", b"[]", b"\xff", nested(200_000), b'{"user_id":5}', b'{"user_id":null}', b'{"user_id":""}']
)
def test_a_line_without_a_key_field_has_no_key(line: bytes) -> None:
    assert key_from_routing(Topic.CLICKS, parse_routing_fields(line)) is None


def test_a_type_that_is_not_a_string_does_not_prevent_a_key() -> None:
    line = with_raw(Topic.LOGISTICS, "type", b'["x"]')
    assert key_from_routing(Topic.LOGISTICS, parse_routing_fields(line)) is None
    keyed = encode({**GOOD[Topic.LOGISTICS], "type": ["x"], "order_id": "o-1"})
    assert key_from_routing(Topic.LOGISTICS, parse_routing_fields(keyed)) == b"o-1"
