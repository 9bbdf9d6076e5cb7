"""Keys of order records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from xxhash import xxh3_128_digest

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
