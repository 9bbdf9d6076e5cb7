"""Events that have not arrived yet, kept in buckets of arrival time: one bucket a slice."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from streams.simulate.columns import EventColumns, Ints, concat


class PendingEvents:
    """Holds rows until their slice. Memory follows what is under way, not what was ever made."""

    def __init__(self, ends: Ints) -> None:
        """`ends`: each slice's end, epoch ms, ascending."""
        self._ends = ends
        self._buckets: defaultdict[int, list[EventColumns]] = defaultdict(list)

    def add(self, rows: EventColumns) -> None:
        """Keeps rows; all must arrive before the last end."""
        bucket = np.searchsorted(self._ends, rows.arrival, side="right")
        order = np.argsort(bucket, kind="stable")
        rows, bucket = rows.take(order), bucket[order]
        cuts = np.flatnonzero(np.diff(bucket)) + 1
        begins, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(rows)]
        if len(rows):
            for begin, end, index in zip(begins, ends, bucket[begins].tolist(), strict=True):
                self._buckets[index].append(rows.take(slice(begin, end)))

    def pop(self, index: int) -> EventColumns:
        """The rows that arrive before the end of a slice, in order of arrival; those of one ms as they were added."""
        rows = concat(self._buckets.pop(index, []))
        return rows.take(np.argsort(rows.arrival, kind="stable"))

    def __len__(self) -> int:
        return sum(len(rows) for bucket in self._buckets.values() for rows in bucket)
