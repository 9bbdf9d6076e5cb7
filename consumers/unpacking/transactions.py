"""Finds the batches of aborted transactions, for isolation level `read_committed`.

https://kafka.apache.org/documentation/#recordbatch and KIP-98.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable

from consumers.unpacking.batch_header import HEADER_BYTES, MAGIC, MAGIC_AT, BatchHeader, read_header
from consumers.unpacking.errors import UnreadableError
from consumers.unpacking.records import parse_records

_MARKER = struct.Struct(">hh")
"""Key of a control record: version and type."""
_ABORT = 0


class AbortedTransactions:
    """The aborted transactions of one partition, as listed in a fetch response. Pass its batches in order."""

    def __init__(self, listed: Iterable[tuple[int, int]] | None) -> None:
        """`listed`: (producer id, first offset)."""
        self._upcoming = deque(sorted(listed or (), key=lambda entry: entry[1]))
        self._producers: set[int] = set()
        """Producers with an open aborted transaction, as of the last batch."""

    def aborted_batch(self, batch: memoryview) -> BatchHeader | None:
        """The header of a valid batch to skip; None for a batch to read."""
        if not (self._upcoming or self._producers) or batch[MAGIC_AT] < MAGIC:
            return None
        header = read_header(batch)
        while self._upcoming and self._upcoming[0][1] <= header.base_offset:
            self._producers.add(self._upcoming.popleft()[0])
        if header.is_control:
            if _is_abort(batch, header):
                self._producers.discard(header.producer_id)
            return None
        return header if header.is_transactional and header.producer_id in self._producers else None


def _is_abort(batch: memoryview, header: BatchHeader) -> bool:
    """Whether a control batch is an abort marker."""
    try:
        records, _ = parse_records(header, batch[HEADER_BYTES:], header.record_count)
    except UnreadableError:
        return False
    key = records[0].key if records else None
    return key is not None and len(key) >= _MARKER.size and _MARKER.unpack_from(key)[1] == _ABORT
