"""Deduplication by event id, in bounded memory: a false "seen" once in about 2^64 / (ids kept) events.

Ids are kept as 64-bit XXH3 hashes in generations of open-addressing hash tables. A whole generation is dropped when its
newest event time has passed the horizon; when the memory is full, the oldest generation is evicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

NO_HASHES: Hashes = np.zeros(0, np.uint64)
_MAX_LOAD_FACTOR = 0.6
_MAX_GENERATION_IDS = int(_MAX_LOAD_FACTOR * (1 << 19))
"""Maximum ids of one generation, unless a single batch has more: a table of 4 MiB. Whole generations are evicted."""
_MAX_GENERATIONS = 16
"""Every lookup probes each generation. The limit matters for batches that span hours."""
_EMPTY = np.uint64(0)


def hash_strings(strings: Sequence[str]) -> Hashes:
    """The XXH3 hash of each string, as UTF-8."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, strings), np.uint64, len(strings))


def hash_ids(ids: Sequence[str]) -> Hashes:
    """The hash of each event id; never 0, which marks an empty slot."""
    return np.maximum(hash_strings(ids), np.uint64(1))


class HashTable:
    """A set of 64-bit hashes with vectorized linear probing; doubles when full."""

    def __init__(self, capacity: int = 1024) -> None:
        self._slots: Hashes = np.zeros(max(1024, 1 << int(capacity / _MAX_LOAD_FACTOR).bit_length()), np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self._slots.nbytes

    def contains(self, hashed: Hashes) -> npt.NDArray[np.bool_]:
        """For each hash, whether it is in the set."""
        mask = np.uint64(len(self._slots) - 1)
        is_known = np.zeros(len(hashed), np.bool_)
        remaining = np.arange(len(hashed))
        slot = hashed & mask
        while len(remaining):
            stored = self._slots[slot]
            wanted = hashed[remaining]
            is_known[remaining[stored == wanted]] = True
            probing = (stored != wanted) & (stored != _EMPTY)
            remaining, slot = remaining[probing], (slot[probing] + np.uint64(1)) & mask
        return is_known

    def add(self, hashed: Hashes) -> None:
        """Add distinct hashes that are not in the set."""
        self._grow(self._count + len(hashed))
        self._insert(hashed)
        self._count += len(hashed)

    def _grow(self, count: int) -> None:
        if count <= len(self._slots) * _MAX_LOAD_FACTOR:
            return
        kept = self._slots[self._slots != _EMPTY]
        self._slots = np.zeros(1 << int(count / _MAX_LOAD_FACTOR).bit_length(), np.uint64)
        self._insert(kept)

    def _insert(self, hashed: Hashes) -> None:
        mask = np.uint64(len(self._slots) - 1)
        slot = hashed & mask
        while len(hashed):
            free = self._slots[slot] == _EMPTY
            # Of several hashes in one slot, the last wins and the others probe on.
            self._slots[slot[free]] = hashed[free]
            unplaced = self._slots[slot] != hashed
            hashed, slot = hashed[unplaced], (slot[unplaced] + np.uint64(1)) & mask


@dataclass(slots=True)
class _Generation:
    oldest_ms: int
    newest_ms: int
    table: HashTable = field(default_factory=HashTable)


class SeenIds:
    """The event ids of one partition."""

    def __init__(self, horizon_ms: int) -> None:
        self.horizon_ms = horizon_ms
        self.evicted_until_ms: int | None = None
        """Event time up to which ids were evicted for lack of memory; None if none were."""
        self._generations: list[_Generation] = []

    def __len__(self) -> int:
        return sum(len(generation.table) for generation in self._generations)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(generation.table.nbytes for generation in self._generations)

    def first_seen(self, hashed: Hashes) -> npt.NDArray[np.bool_]:
        """For each event of a batch, whether its id is new: neither kept nor earlier in the batch."""
        return _is_first(hashed) & ~self.contains(hashed)

    def contains(self, hashed: Hashes) -> npt.NDArray[np.bool_]:
        """For each hash, whether its id is kept."""
        known = np.zeros(len(hashed), np.bool_)
        for generation in self._generations:
            known |= generation.table.contains(hashed)
        return known

    def add(self, hashed: Hashes, oldest_ms: int, newest_ms: int) -> None:
        """Keep ids that `first_seen` reported as new, of events in [oldest_ms, newest_ms]."""
        if not len(hashed):
            return
        newest = self._generations[-1] if self._generations else None
        is_wide = newest is not None and newest.newest_ms - newest.oldest_ms > self.horizon_ms // 4
        is_full = newest is not None and len(newest.table) + len(hashed) > _MAX_GENERATION_IDS
        if newest is None or is_full or (is_wide and len(self._generations) < _MAX_GENERATIONS):
            newest = _Generation(oldest_ms, newest_ms)
            self._generations.append(newest)
        newest.oldest_ms = min(newest.oldest_ms, oldest_ms)
        newest.newest_ms = max(newest.newest_ms, newest_ms)
        newest.table.add(hashed)

    def forget_before(self, as_of_ms: int) -> None:
        """Drop the generations that are older than the horizon before the as-of."""
        limit = as_of_ms - self.horizon_ms
        self._generations = [generation for generation in self._generations if generation.newest_ms >= limit]

    def evict_oldest(self) -> None:
        """Drop the oldest generation to free memory."""
        if self._generations:
            self.evicted_until_ms = self._generations.pop(0).newest_ms


def _is_first(hashed: Hashes) -> npt.NDArray[np.bool_]:
    """For each hash, whether it is the first of its value in the array."""
    ordered = np.sort(hashed)
    if not (ordered[1:] == ordered[:-1]).any():  # the usual case: no duplicates, so no stable sort is needed
        return np.ones(len(hashed), np.bool_)
    first = np.zeros(len(hashed), np.bool_)
    first[np.unique(hashed, return_index=True)[1]] = True
    return first
