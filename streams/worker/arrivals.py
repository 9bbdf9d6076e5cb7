"""The time up to which all records that arrived in Kafka are counted. Pure: time is passed in."""

from __future__ import annotations

from collections import defaultdict, deque

from consumers.topics import Partition

_MOST_MARKS = 60


class Arrivals:
    """Samples the end offset of each partition over time and finds the newest sample that has been counted."""

    def __init__(self) -> None:
        self._marks: dict[Partition, deque[tuple[int, int]]] = defaultdict(deque)
        """# <(end offset, time of the sample)>, both ascending"""
        self._passed_ms: dict[Partition, int] = {}

    def note(self, partition: Partition, end: int, at_ms: int) -> None:
        """Record the end offset of a partition at a time. Long backlogs keep only the oldest samples."""
        marks = self._marks[partition]
        if marks and (end < marks[-1][0] or at_ms < marks[-1][1]):  # the topic was recreated or the clock changed
            self.forget(partition)
            marks = self._marks[partition]
        if len(marks) < _MOST_MARKS:
            marks.append((end, at_ms))

    def counted_ms(self, partition: Partition, position: int) -> int | None:
        """The newest sample time whose records are all before `position`; None if unknown."""
        marks = self._marks[partition]
        while marks and marks[0][0] <= position:
            self._passed_ms[partition] = marks.popleft()[1]
        return self._passed_ms.get(partition)

    def forget(self, partition: Partition) -> None:
        """Drop the samples of a partition that was reset or revoked."""
        self._marks.pop(partition, None)
        self._passed_ms.pop(partition, None)
