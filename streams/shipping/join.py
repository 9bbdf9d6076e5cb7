"""Joining what a batch tells with what is known of its orders: new records, and what their change adds to the panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from xxhash import xxh3_128_digest

from streams.panes.rows import Rows
from streams.shipping.delta import NO_SHIPPING, ShippingDelta, delta_of, delta_of_payments, merge_shipping
from streams.shipping.expansion import Entry, Limits, change
from streams.shipping.facts import NOTHING, Facts, Payment, merge
from streams.shipping.record import decode, encode, encode_payment

BUCKETS = 1 << 17
"""Records are spread over so many hashes: each small enough for Redis to pack while a shop remembers some millions."""


RecordKey: TypeAlias = bytes
"""Where an order's record is: its hash among `BUCKETS` (4 bytes, big-endian), and its field there (8 bytes)."""


class RecordChange(NamedTuple):
    """A record that is to be written, should it still be what was read."""

    key: RecordKey
    before: bytes | None
    """None: there was none."""
    after: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """What a batch changes of its orders."""

    delta: ShippingDelta = NO_SHIPPING
    changes: Sequence[RecordChange] = ()


def key_of(order_id: str) -> RecordKey:
    """Where the record of an order is, by 81 bits of XXH3."""
    digest = xxh3_128_digest(order_id.encode())
    return (int.from_bytes(digest[:4], "big") % BUCKETS).to_bytes(4, "big") + digest[4:12]


def join(
    told: Mapping[RecordKey, Facts], records: Mapping[RecordKey, bytes | None], limits: Limits, rows: Rows
) -> Joined:
    """What becomes of the records of these orders, all of which were read. What tells nothing new changes nothing."""
    changes: list[RecordChange] = []
    entries: list[tuple[int, Entry]] = []
    payments: list[Payment] = []
    for key, facts in told.items():
        record = records[key]
        if record is None and (paid := facts.paid) is not None and facts.count(None) == len(facts) - 1:
            changes.append(RecordChange(key, None, encode_payment(paid)))
            payments.append(paid)
            continue
        before = NOTHING if record is None else decode(record)
        after = merge(before, facts)
        if after != before:
            changes.append(RecordChange(key, record, encode(after)))
            entries += change(before, after, limits)
    delta = merge_shipping([delta_of(entries, rows), delta_of_payments(payments, limits, rows)])
    return Joined(delta, changes) if changes else Joined()
