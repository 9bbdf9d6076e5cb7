"""For any bytes: good records are returned, large ones truncated, and the rest is one skipped range."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
from collections.abc import Sequence

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.rejection import RejectionReason
from consumers.unpacking import batch as batch_module
from consumers.unpacking.batch import PIECE_BYTES, BatchPiece, OffsetRange, pieces, split_batches, unreadable_batch
from consumers.unpacking.codecs import Codec
from consumers.unpacking.record import TRUNCATION_BYTES, CorruptBatchError, Record, SkippedRecords
from tests.support.batches import (
    COMPRESS,
    CONTROL,
    FIRST_MS,
    Message,
    batch,
    bomb,
    compressed,
    record,
    records,
    signed,
    varint,
)

CODECS = sorted(COMPRESS)
BOMB_BYTES = 100 * 2**20
MESSAGES = [
    Message(b'{"n":%d}' % n, b"k%d" % n, [("h", b"1"), ("h", None)] if n % 3 else [], FIRST_MS + n) for n in range(200)
]


def read(raw: bytes, start: int = 0, end: int | None = None) -> list[BatchPiece]:
    return list(pieces(memoryview(raw), OffsetRange(start, end)))


def found(read: Sequence[BatchPiece]) -> list[Record]:
    return [record for piece in read for record in piece.records]


def skipped(read: Sequence[BatchPiece]) -> list[SkippedRecords]:
    return [one for piece in read for one in piece.skipped]


def as_messages(found: Sequence[Record]) -> list[Message]:
    return [Message(one.value, one.key, list(one.headers), one.timestamp or 0) for one in found]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("start", [100, 150])
def test_records_of_every_codec_are_read(codec: str, start: int) -> None:
    whole = read(compressed(MESSAGES, codec, base=100), start)
    assert as_messages(found(whole)) == MESSAGES[start - 100 :]
    assert [one.offset for one in found(whole)] == list(range(start, 300))
    assert whole[-1].end_offset == 300
    assert skipped(whole) == []


@pytest.mark.parametrize("codec", CODECS)
def test_a_large_batch_is_read_in_pieces(codec: str) -> None:
    messages = [Message(b"%d" % n * 200 * (n % 7)) for n in range(20_000)]
    assert sum(len(message.value or b"") for message in messages) > 3 * PIECE_BYTES
    whole = read(compressed(messages, codec))
    assert [one.value for one in found(whole)] == [message.value for message in messages]
    assert max(piece.size for piece in whole) <= PIECE_BYTES
    nexts = [piece.end_offset for piece in whole]
    assert nexts == sorted(nexts)
    assert nexts[-1] == len(messages)


@pytest.mark.parametrize("codec", [name for name in CODECS if name not in ("none", "snappy raw", "zstd stream")])
def test_a_decompression_bomb_is_truncated_and_other_records_are_kept(codec: str) -> None:
    """Measures Python's memory; that of the codecs is measured on a worker."""
    raw = bomb(codec, BOMB_BYTES, MESSAGES[:5], MESSAGES[5:10], base=40)
    tracemalloc.start()
    try:
        whole = read(raw, 40)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * PIECE_BYTES
    assert [one.offset for one in found(whole)] == [40, 41, 42, 43, 44, 46, 47, 48, 49, 50]
    assert as_messages(found(whole)) == MESSAGES[:10]
    (cut,) = skipped(whole)
    assert (cut.first_offset, cut.last_offset, cut.reason, cut.key) == (45, 45, RejectionReason.TOO_LARGE, b"bomb")
    assert cut.value == bytes(TRUNCATION_BYTES)
    assert cut.truncation is not None
    assert (cut.truncation.size, cut.truncation.sha256) == (BOMB_BYTES, hashlib.sha256(bytes(BOMB_BYTES)).hexdigest())
    assert whole[-1].end_offset == 51


def test_a_large_snappy_block_is_decompressed_in_pieces() -> None:
    values = [bytes([n]) * 3_000_000 + b"%d" % n for n in range(9)]
    whole = read(compressed([Message(value) for value in values], "snappy raw"))
    assert [one.value for one in found(whole)] == values
    plain = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(200_000))  # mostly literals
    assert found(read(compressed([Message(plain)], "snappy raw")))[0].value == plain


@pytest.mark.parametrize("size", [PIECE_BYTES + 1, 2**24 - 100, 2**24 + 1])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_record_of_up_to_16_mib_is_kept_whole(codec: str, size: int) -> None:
    value = b"ab" * (size // 2)
    headers = [("trace", b"7"), ("trace", b"8")]
    whole = read(compressed([MESSAGES[0], Message(value, b"key", headers, FIRST_MS + 5), MESSAGES[1]], codec))
    if size < 2**24:
        assert found(whole)[1].value == value
        assert len(found(whole)) == 3
    else:
        (cut,) = skipped(whole)
        assert (cut.key, cut.headers, cut.timestamp) == (b"key", headers, FIRST_MS + 5)
        assert cut.value == value[:TRUNCATION_BYTES]
        assert cut.truncation is not None
        assert cut.truncation.sha256 == hashlib.sha256(value).hexdigest()
        assert [one.offset for one in found(whole)] == [0, 2]


def test_large_keys_and_headers_count_towards_the_limit() -> None:
    large = b"k" * (2**24 + 7)
    for message in (
        Message(b"v", large),
        Message(b"v", b"k", [("h", large)]),
        Message(b"v", b"k", [("h", b"")] * 2_000_000),
    ):
        (cut,) = skipped(whole := read(compressed([message, MESSAGES[0]], "gzip")))
        assert cut.value == b"v"
        assert len(cut.key or b"") <= TRUNCATION_BYTES
        assert list(cut.headers) == []
        assert as_messages(found(whole)) == MESSAGES[:1]


def test_many_short_headers_count_with_the_memory_they_take() -> None:
    messages = [Message(b"v", b"k", [("h", b"")] * 1_000)] * 100
    assert sum(piece.size for piece in read(compressed(messages, "gzip"))) > 100 * 1_000 * 100


def test_an_invalid_header_name_does_not_lose_the_batch() -> None:
    message = Message(b"v", b"k", [("bad\udcff", b"1")])
    whole = read(compressed([MESSAGES[0], message, MESSAGES[1]], "none"))
    assert [one.value for one in found(whole)] == [MESSAGES[0].value, b"v", MESSAGES[1].value]
    assert list(found(whole)[1].headers) == [("bad\\xff", b"1")]


def test_transaction_markers_and_empty_compacted_batches_are_skipped() -> None:
    assert [piece.end_offset for piece in read(batch(b"", attributes=CONTROL, base=5), 5)] == [6]
    emptied = bytearray(batch(b"", base=5, count=3))
    emptied[57:61] = bytes(4)
    assert [(piece.end_offset, piece.records) for piece in read(signed(emptied), 5)] == [(8, [])]


# Damage -------------------------------------------------------------------------------------------------


def single_unreadable_batch(raw: bytes, start: int = 0) -> tuple[list[bytes | None], int, int, str]:
    """The records read before, and the range that was skipped."""
    whole = read(raw, start)
    (loss,) = skipped(whole)
    assert loss.reason is RejectionReason.UNREADABLE_BATCH
    assert loss.value == raw
    assert whole[-1].end_offset == loss.last_offset + 1
    return [one.value for one in found(whole)], loss.first_offset, loss.last_offset, loss.detail


@pytest.mark.parametrize("number", [5, 6, 7])
def test_an_unknown_codec_skips_the_batch(number: int) -> None:
    raw = batch(records(MESSAGES), number, count=len(MESSAGES), base=10)
    assert single_unreadable_batch(raw, 10) == ([], 10, 209, f"compression codec {number} is unknown")


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "none"])
def test_a_payload_of_another_codec_skips_the_batch(codec: str) -> None:
    number, compress = COMPRESS[codec]
    good = compress(records(MESSAGES))
    for harmed in (b"", b"\x00" * 40, b"no codec's bytes" * 9, good[:10], good[: len(good) // 2], good[::-1]):
        _, first, last, detail = single_unreadable_batch(batch(harmed, number, count=len(MESSAGES), base=10), 10)
        assert last == 209
        assert first >= 10
        assert detail


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_incomplete_records_are_skipped_and_earlier_ones_are_kept(codec: str) -> None:
    number, compress = COMPRESS[codec]
    payload = records(MESSAGES[:3]) + record(MESSAGES[3], 3)[:-2]
    assert single_unreadable_batch(batch(compress(payload), number, count=200))[:3] == (
        [m.value for m in MESSAGES[:3]],
        3,
        199,
    )
    none_left = batch(compress(records(MESSAGES[:3])), number, count=200)
    assert single_unreadable_batch(none_left)[:3] == ([m.value for m in MESSAGES[:3]], 3, 199)


@pytest.mark.parametrize(
    "bad",
    [
        varint(-5) + b"x" * 20,
        b"\xff" * 12,
        varint(2**40),
        varint(12) + b"\x00" + varint(0) + varint(3) + varint(2**30) + b"x" * 5,
        varint(12) + b"\x00" + varint(0) + varint(2**40) + b"x" * 5,
        varint(12) + b"\x00" + varint(0) + varint(1) + varint(-1) * 2 + varint(0) + b"x" * 6,  # an earlier offset
        varint(2**25) + b"\x00" + varint(0) + varint(3) + varint(2**30),
        varint(2**25) + b"\x00" + varint(0) + varint(2**35),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_an_invalid_record_skips_the_rest_of_the_batch(bad: bytes, large: bool) -> None:
    filling = [Message(b"f" * 2**20)] * 5 if large else []  # more than one piece
    payload = records([*MESSAGES[:3], *filling]) + bad
    values, first, last, _ = single_unreadable_batch(batch(payload, count=99))
    assert (values[:3], first, last) == ([m.value for m in MESSAGES[:3]], 3 + len(filling), 98)


def test_a_batch_with_a_wrong_checksum_raises_corrupt_batch_error() -> None:
    raw = bytearray(compressed(MESSAGES, "gzip", base=10))
    raw[80] ^= 1
    with pytest.raises(CorruptBatchError):
        read(bytes(raw), 10)
    loss = unreadable_batch(memoryview(raw), OffsetRange(30, 1_000), "its checksum is wrong")
    assert (loss.first_offset, loss.last_offset, loss.value) == (30, 209, bytes(raw))


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (slice(0, 8), struct.pack(">q", 2**40)),
        (slice(0, 8), struct.pack(">q", -9)),
        (slice(8, 12), struct.pack(">i", -1)),
        (slice(8, 12), struct.pack(">i", 5)),
        (slice(8, 12), struct.pack(">i", 2**30)),
        (slice(16, 17), b"\x03"),
        (slice(16, 17), b"\x00"),
        (slice(16, 17), b"\xff"),
        (slice(23, 27), struct.pack(">i", -1)),
        (slice(23, 27), struct.pack(">i", 2**31 - 1)),
    ],
)
def test_wrong_headers_move_the_position_neither_back_nor_beyond_the_end(at: slice, written: bytes) -> None:
    raw = bytearray(compressed(MESSAGES, "none", base=10))
    raw[at] = written
    for harmed in (bytes(raw), signed(raw)):
        for whole in split_batches(harmed + compressed(MESSAGES, "none", base=210)):
            try:
                end = list(pieces(whole, OffsetRange(10, 410)))[-1].end_offset
            except CorruptBatchError:
                end = unreadable_batch(whole, OffsetRange(10, 410), "").last_offset + 1
            assert 10 < end <= 410 or harmed[23:27] == written != struct.pack(">i", -1)
            break


def test_a_batch_that_exceeds_the_uncompressed_limit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_UNPACKED_BYTES", 2 * PIECE_BYTES)
    messages = [Message(b"x" * 2**20)] * 30
    values, first, last, detail = single_unreadable_batch(compressed(messages, "zstd"))
    assert "unpacks to more than" in detail
    assert (len(values), last) == (first, 29)
    assert 8 <= first < 16


@given(data=st.data(), codec=st.sampled_from(CODECS))
def test_damage_to_any_byte_raises_no_other_error_and_never_moves_back(data: st.DataObject, codec: str) -> None:
    """The checksum is recomputed to test the checks after it."""
    raw = bytearray(compressed(MESSAGES[:20], codec, base=10))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(21, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 30))
    harmed = bytearray(raw[: len(raw) - cut])
    harmed[8:12] = struct.pack(">i", len(harmed) - 12)
    at = 10
    for piece in read(signed(harmed), at):
        assert all(at <= one.first_offset <= one.last_offset < piece.end_offset for one in piece.skipped)
        assert at <= piece.end_offset <= 2**31
        at = piece.end_offset
    assert at > 10


# Batches in a fetch ------------------------------------------------------------------------------------


def test_the_last_batch_of_a_fetch_may_be_incomplete() -> None:
    first, second = compressed(MESSAGES, "none"), compressed(MESSAGES, "gzip", base=200)
    assert [bytes(one) for one in split_batches(first + second)] == [first, second]
    assert [bytes(one) for one in split_batches(first + second[:-1])] == [first]
    assert [bytes(one) for one in split_batches(first + second[:7])] == [first]
    assert [bytes(one) for one in split_batches(first[:-1])] == [first[:-1]], (
        "a single incomplete batch must be reported"
    )
    assert list(split_batches(b"")) == []


# Before version 2 -------------------------------------------------------------------------------------


def old(magic: int, codec: int, values: Sequence[bytes], base: int = 0) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 30)
    for n, value in enumerate(values):
        builder.append(n, FIRST_MS, b"k", value)
    made = bytearray(builder.build())
    if codec:
        made[0:8] = (base + len(values) - 1).to_bytes(8, "big")
    return bytes(made)


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.GZIP, Codec.SNAPPY])
def test_records_of_legacy_formats_are_read(magic: int, codec: Codec) -> None:
    values = [b"%d" % n * 50 for n in range(9)]
    whole = [piece for one in split_batches(old(magic, codec, values)) for piece in pieces(one, OffsetRange(0))]
    assert [one.value for one in found(whole)] == values
    assert whole[-1].end_offset == 9


def test_unreadable_legacy_messages_are_skipped() -> None:
    raw = old(1, Codec.GZIP, [bytes(2**20)] * 40)
    values, first, last, detail = single_unreadable_batch(raw)
    assert (values, first, last) == ([], 0, 39)
    assert "unpacks to more than" in detail
    harmed = bytearray(old(1, Codec.GZIP, [b"v"] * 9))
    harmed[-1] ^= 1
    with pytest.raises(CorruptBatchError):
        read(bytes(harmed))
