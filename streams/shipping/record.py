"""Keys of orders in Redis, and the encoding of their facts: MessagePack arrays without trailing empty values.

Times are milliseconds after the first fact of the array, promised times after their own event; hexadecimal ids and
UUIDs take half their length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

import msgspec
import numpy as np
from xxhash import xxh3_128_digest

from streams.shipping.facts import (
    UNKNOWN,
    UNKNOWN_MS,
    Creation,
    OrderFacts,
    OrderLabels,
    PartialRefund,
    Parts,
    Payment,
    Shipment,
)

_UUID_LENGTH = 36
_DIGITS = "0123456789abcdef"
_TEXT, _HEX, _UUID = b"t", b"h", b"u"
"""First byte of an id: its encoding."""


class _Fact(msgspec.Struct, array_like=True):
    after_ms: int
    event_id: bytes
    more: int | None = None
    """Promised time of a shipment, ms after it; amount of a payment."""
    labels: list[str] | None = []
    """In the order of the fields; None for a payment with the labels of the creation."""
    units: int = 1
    """Of a payment whose amount is known."""


class _Record(msgspec.Struct, array_like=True):
    first_ms: int
    paid: _Fact | None = None
    dispatched: _Fact | None = None
    delivered: _Fact | None = None
    called_off_after_ms: int | None = None
    returned_after_ms: int | None = None
    created: _Fact | None = None
    refunds: list[int] | None = None
    """Of each part: milliseconds, hash of its id, size."""
    cancellations: list[int] | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def encode(facts: OrderFacts) -> bytes:
    """Encode the facts of an order with at least one; equal facts give equal bytes."""
    paid, called_off_ms, dispatched, delivered, returned_ms, created, refunds, cancellations = facts
    first_ms = next(ts_ms for ts_ms in facts.times_ms if ts_ms is not None)
    fields: list[object] = [
        first_ms,
        paid and _payment(paid, created, first_ms),
        dispatched and _shipment(dispatched, first_ms),
        delivered and _shipment(delivered, first_ms),
        None if called_off_ms is None else called_off_ms - first_ms,
        None if returned_ms is None else returned_ms - first_ms,
        created and _trimmed(created.ts_ms - first_ms, created.event_id, None, _cut(created.labels)),
        _parts(refunds, first_ms) if refunds else None,
        _parts(cancellations, first_ms) if cancellations else None,
    ]
    while fields[-1] is None:
        fields.pop()
    return _encoder.encode(fields)


def encode_creation(created: Creation) -> bytes:
    """`encode` for a creation only: nearly all orders of a rush."""
    ts_ms, event_id, labels = created
    cut_labels = _cut(labels)
    fact = (0, _packed(event_id), None, cut_labels) if cut_labels else (0, _packed(event_id))
    return _encoder.encode((ts_ms, None, None, None, None, None, fact))


def encode_payment(paid: Payment) -> bytes:
    """`encode` for a payment only."""
    return _encoder.encode((paid.ts_ms, _payment(paid, None, paid.ts_ms)))


def decode(record: bytes) -> OrderFacts:
    """Decode a record, also of an earlier version."""
    wire = _decoder.decode(record)
    first_ms, created = wire.first_ms, None
    if (fact := wire.created) is not None:
        created = Creation(fact.after_ms + first_ms, _unpacked(fact.event_id), OrderLabels(*fact.labels or ()))
    return OrderFacts(
        None if wire.paid is None else _paid(wire.paid, created, first_ms),
        None if wire.called_off_after_ms is None else wire.called_off_after_ms + first_ms,
        None if wire.dispatched is None else _shipped(wire.dispatched, first_ms),
        None if wire.delivered is None else _shipped(wire.delivered, first_ms),
        None if wire.returned_after_ms is None else wire.returned_after_ms + first_ms,
        created,
        _read_parts(wire.refunds, first_ms),
        _read_parts(wire.cancellations, first_ms),
    )


def _payment(paid: Payment, created: Creation | None, first_ms: int) -> Sequence[object]:
    ts_ms, event_id, labels, amount, units = paid
    stored_labels = None if created is not None and created.labels == labels else _cut(labels)
    if amount == UNKNOWN:
        return (ts_ms - first_ms, _packed(event_id), None, stored_labels)
    if units == 1:
        return (ts_ms - first_ms, _packed(event_id), amount, stored_labels)
    return (ts_ms - first_ms, _packed(event_id), amount, stored_labels, units)


def _paid(fact: _Fact, created: Creation | None, first_ms: int) -> Payment:
    labels = OrderLabels(*fact.labels or ()) if fact.labels is not None or created is None else created.labels
    amount, units = (UNKNOWN, UNKNOWN) if fact.more is None else (fact.more, fact.units)
    return Payment(fact.after_ms + first_ms, _unpacked(fact.event_id), labels, amount, units)


def _parts(parts: Parts, first_ms: int) -> list[int]:
    return [number for ts_ms, *rest in parts for number in (ts_ms - first_ms, *rest)]


def _read_parts(numbers: list[int] | None, first_ms: int) -> Parts:
    if not numbers:
        return ()
    whole = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    return tuple(PartialRefund(after_ms + first_ms, id_hash, size) for after_ms, id_hash, size in whole)


def _shipment(shipment: Shipment, first_ms: int) -> list[object]:
    promised = None if shipment.promised_ms == UNKNOWN_MS else shipment.promised_ms - shipment.ts_ms
    return _trimmed(shipment.ts_ms - first_ms, shipment.event_id, promised, _cut(shipment[3:]))


def _shipped(fact: _Fact, first_ms: int) -> Shipment:
    ts_ms = fact.after_ms + first_ms
    promised_ms = UNKNOWN_MS if fact.more is None else fact.more + ts_ms
    region, carrier, warehouse = [*(fact.labels or ()), "", "", ""][:3]
    return Shipment(ts_ms, _unpacked(fact.event_id), promised_ms, region, carrier, warehouse)


def _trimmed(after_ms: int, event_id: str, more: int | None, labels: Sequence[str]) -> list[object]:
    fact: list[object] = [after_ms, _packed(event_id), more, labels]
    while len(fact) > 2 and not fact[-1] and fact[-1] != 0:
        fact.pop()
    return fact


@lru_cache(maxsize=1 << 14)
def _cut(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Without trailing empty labels."""
    while labels and not labels[-1]:
        labels = labels[:-1]
    return tuple(labels)


def _packed(event_id: str) -> bytes:
    """The id, in half its length if that is reversible."""
    digits = event_id.replace("-", "") if len(event_id) == _UUID_LENGTH else event_id
    if len(digits) % 2 or event_id[0] not in _DIGITS:
        return _TEXT + event_id.encode()
    try:
        packed = bytes.fromhex(digits)
    except ValueError:
        return _TEXT + event_id.encode()
    if packed.hex() == event_id:
        return _HEX + packed
    if len(packed) == 16 and str(UUID(bytes=packed)) == event_id:
        return _UUID + packed
    return _TEXT + event_id.encode()


def _unpacked(event_id: bytes) -> str:
    kind, rest = event_id[:1], event_id[1:]
    if kind == _TEXT:
        return rest.decode()
    return rest.hex() if kind == _HEX else str(UUID(bytes=rest))


BUCKETS = 1 << 17
"""Number of hashes that hold the records: each stays small enough for Redis's compact encoding with millions of
orders."""

RecordKey: TypeAlias = bytes
"""Bucket of an order among `BUCKETS` (4 bytes, big-endian) and its field there (8 bytes)."""


def keys_of(order_ids: Sequence[str]) -> list[RecordKey]:
    """The record keys of orders, from 81 bits of XXH3."""
    if not order_ids:
        return []
    digests = np.frombuffer(b"".join(map(xxh3_128_digest, order_ids)), np.uint8).reshape(-1, 16)[:, :12].copy()
    buckets = digests[:, :4].copy().view(">u4") % BUCKETS
    digests[:, :4] = buckets.astype(">u4").view(np.uint8)
    keys: list[RecordKey] = digests.view("V12")[:, 0].tolist()
    return keys


def key_of(order_id: str) -> RecordKey:
    """The record key of one order."""
    return keys_of([order_id])[0]
