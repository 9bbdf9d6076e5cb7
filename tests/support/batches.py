"""Kafka's batches byte for byte, in any codec and with any damage."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cramjam
import zstandard
from aiokafka.codec import lz4_encode, snappy_encode
from aiokafka.record._crecords.cutil import crc32c_cython
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from consumers.unpacking.batch_header import HEADER_BYTES
from consumers.unpacking.codecs import Codec

ATTRIBUTES, LAST_DELTA, CRC, CRC_OF = 22, slice(23, 27), slice(17, 21), slice(21, None)
FIRST_MS = int(time.time() * 1000)
"""Of every batch: brokers delete records older than their topic's retention."""
CONTROL = 0x20

COMPRESS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (Codec.NONE, bytes),
    "gzip": (Codec.GZIP, lambda data: _gzip([data])),
    "snappy": (Codec.SNAPPY, lambda data: bytes(snappy_encode(data))),
    "snappy raw": (Codec.SNAPPY, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "lz4": (Codec.LZ4, lambda data: bytes(lz4_encode(data))),
    "zstd": (Codec.ZSTD, lambda data: zstandard.ZstdCompressor().compress(data)),
    "zstd stream": (Codec.ZSTD, lambda data: _zstd([data])),
}
"""# by name: (Kafka's number of the codec, its compressor)"""


class Message(NamedTuple):
    """One message of a batch."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = FIRST_MS


def varint(number: int) -> bytes:
    """A varint as in Kafka's records."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def records(messages: Iterable[Message], *, offsets: Sequence[int] | None = None) -> bytes:
    """The uncompressed records after a batch's header."""
    return b"".join(record(message, offset) for offset, message in zip(offsets or range(10**9), messages, strict=False))


def record(message: Message, delta: int) -> bytes:
    """A message at an offset of its batch."""
    head, value, headers = _around(message, delta)
    return varint(len(head) + len(value) + len(headers)) + head + value + headers


def _around(message: Message, delta: int) -> tuple[bytes, bytes, bytes]:
    value = message.value
    headers = bytearray(varint(len(message.headers)))
    for name, text in message.headers:
        written = name.encode("utf-8", "surrogateescape")
        headers += varint(len(written)) + written + _field(text)
    head = b"\x00" + varint(message.timestamp - FIRST_MS) + varint(delta) + _field(message.key)
    return head + (varint(-1) if value is None else varint(len(value))), value or b"", bytes(headers)


def _field(text: bytes | None) -> bytes:
    return varint(-1) if text is None else varint(len(text)) + text


def batch(
    payload: bytes, codec: int = 0, *, count: int = 1, base: int = 0, last: int | None = None, attributes: int = 0
) -> bytes:
    """A batch with `payload` after its header. `last`: its last offset."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, FIRST_MS, None, b"", [])
    made = bytearray(builder.build()[:HEADER_BYTES] + payload)
    made[0:8] = base.to_bytes(8, "big")
    made[8:12] = (len(made) - 12).to_bytes(4, "big")
    made[ATTRIBUTES] = codec | attributes
    made[LAST_DELTA] = ((base + count - 1 if last is None else last) - base).to_bytes(4, "big")
    made[57:61] = count.to_bytes(4, "big")
    return signed(made)


def signed(made: bytes | bytearray) -> bytes:
    """The batch with the right checksum."""
    made = bytearray(made)
    made[CRC] = crc32c_cython(bytes(made[CRC_OF])).to_bytes(4, "big")
    return bytes(made)


def compressed(messages: Sequence[Message], codec: str, *, base: int = 0) -> bytes:
    """A batch of messages in a codec of `COMPRESS`."""
    number, compress = COMPRESS[codec]
    return batch(compress(records(messages)), number, count=len(messages), base=base)


def bomb(codec: str, size: int, before: Sequence[Message] = (), after: Sequence[Message] = (), base: int = 0) -> bytes:
    """A batch with one message of `size` zeros between others, built without holding it in memory."""
    block = bytes(2**20)
    large = Message(b"", b"bomb")
    head, _, headers = _around(large, len(before))
    head = head[:-1] + varint(size)
    chunks = [records(before), varint(len(head) + size + len(headers)) + head]
    rest = headers + records(after, offsets=range(len(before) + 1, len(before) + 1 + len(after)))

    def payload() -> Iterable[bytes]:
        yield from chunks
        for left in range(size, 0, -len(block)):
            yield block[:left]
        yield rest

    number, _ = COMPRESS[codec]
    pack = {Codec.GZIP: _gzip, Codec.ZSTD: _zstd, Codec.LZ4: _lz4, Codec.SNAPPY: _snappy}[Codec(number)]
    return batch(pack(payload()), number, count=len(before) + 1 + len(after), base=base)


def _gzip(chunks: Iterable[bytes]) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(map(packing.compress, chunks)) + packing.flush()


def _zstd(chunks: Iterable[bytes]) -> bytes:
    packing = zstandard.ZstdCompressor().compressobj()
    return b"".join(map(packing.compress, chunks)) + packing.flush()


def _lz4(chunks: Iterable[bytes]) -> bytes:
    """A frame of independent blocks of up to 4 MiB, as Kafka clients write it."""
    frame = bytearray(lz4_encode(b""))[:4] + b"\x60\x70\x73"
    for chunk in chunks:
        for at in range(0, len(chunk), 2**22):
            packed = bytes(cramjam.lz4.compress_block(chunk[at : at + 2**22], store_size=False))
            frame += len(packed).to_bytes(4, "little") + packed
    return bytes(frame) + bytes(4)


def _snappy(chunks: Iterable[bytes]) -> bytes:
    """Xerial's blocks of up to 1 MiB."""
    out = bytearray(b"\x82SNAPPY\x00" + (1).to_bytes(4, "big") * 2)
    for chunk in chunks:
        packed = bytes(cramjam.snappy.compress_raw(chunk))
        out += len(packed).to_bytes(4, "big") + packed
    return bytes(out)
