"""How an order's facts are written in Redis: MessagePack arrays without their empty ends, in as few bytes as they need.

Times are milliseconds after the first fact of the array, the promise after its own event; ids that are hexadecimal or
UUIDs take half their length.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from streams.shipping.facts import UNKNOWN_MS, Facts, Payment, Shipment

_UUID_LENGTH = 36
_DIGITS = "0123456789abcdef"
_TEXT, _HEX, _UUID = b"t", b"h", b"u"
"""First byte of an id: how the rest is to be read."""


class _Fact(msgspec.Struct, array_like=True):
    after_ms: int
    event_id: bytes
    promised_after_ms: int | None = None
    """Of payments always None."""
    labels: list[str] = []
    """In the order of the fields of `Payment` and `Shipment`."""


class _Record(msgspec.Struct, array_like=True):
    first_ms: int
    paid: _Fact | None = None
    dispatched: _Fact | None = None
    delivered: _Fact | None = None
    called_off_after_ms: int | None = None
    returned_after_ms: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def encode(facts: Facts) -> bytes:
    """The record of an order of which something is known; equal facts give equal bytes."""
    paid, called_off_ms, dispatched, delivered, returned_ms = facts
    first_ms = next(ts_ms for ts_ms in facts.times_ms if ts_ms is not None)
    fields: list[object] = [
        first_ms,
        paid and _trimmed(paid.ts_ms - first_ms, _packed(paid.event_id), None, list(paid[2:])),
        dispatched and _shipment(dispatched, first_ms),
        delivered and _shipment(delivered, first_ms),
        None if called_off_ms is None else called_off_ms - first_ms,
        None if returned_ms is None else returned_ms - first_ms,
    ]
    while fields[-1] is None:
        fields.pop()
    return _encoder.encode(fields)


def encode_payment(paid: Payment) -> bytes:
    """`encode` of an order of which only its payment is known."""
    ts_ms, event_id, region, channel, promotion = paid
    labels: tuple[str, ...] = (region, channel, promotion)
    while labels and not labels[-1]:
        labels = labels[:-1]
    fact = (0, _packed(event_id), None, labels) if labels else (0, _packed(event_id))
    return _encoder.encode((ts_ms, fact))


def decode(record: bytes) -> Facts:
    """The facts that `encode` wrote."""
    held = _decoder.decode(record)
    first_ms = held.first_ms
    return Facts(
        None if held.paid is None else _paid(held.paid, first_ms),
        None if held.called_off_after_ms is None else held.called_off_after_ms + first_ms,
        None if held.dispatched is None else _shipped(held.dispatched, first_ms),
        None if held.delivered is None else _shipped(held.delivered, first_ms),
        None if held.returned_after_ms is None else held.returned_after_ms + first_ms,
    )


def _paid(fact: _Fact, first_ms: int) -> Payment:
    return Payment(fact.after_ms + first_ms, _unpacked(fact.event_id), *_labels(fact))


def _shipment(shipment: Shipment, first_ms: int) -> list[object]:
    promised = None if shipment.promised_ms == UNKNOWN_MS else shipment.promised_ms - shipment.ts_ms
    return _trimmed(shipment.ts_ms - first_ms, _packed(shipment.event_id), promised, list(shipment[3:]))


def _shipped(fact: _Fact, first_ms: int) -> Shipment:
    ts_ms = fact.after_ms + first_ms
    promised_ms = UNKNOWN_MS if fact.promised_after_ms is None else fact.promised_after_ms + ts_ms
    return Shipment(ts_ms, _unpacked(fact.event_id), promised_ms, *_labels(fact))


def _trimmed(after_ms: int, event_id: bytes, promised: int | None, labels: list[str]) -> list[object]:
    while labels and not labels[-1]:
        labels.pop()
    fact: list[object] = [after_ms, event_id, promised, labels]
    while len(fact) > 2 and not fact[-1] and fact[-1] != 0:
        fact.pop()
    return fact


def _labels(fact: _Fact) -> tuple[str, str, str]:
    first, second, third = (*fact.labels, "", "", "")[:3]
    return first, second, third


def _packed(event_id: str) -> bytes:
    """The id, in half its length if it can be had back from that."""
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
