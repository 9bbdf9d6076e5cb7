"""Up to which moment everything that had arrived in Kafka is counted. Pure: time is passed in."""

from __future__ import annotations

from collections import defaultdict, deque

from consumers.topics import Partition

_MOST_MARKS = 60


class Arrivals:
    """Remembers where each partition ended at some moments, and which of these ends counting has passed."""

    def __init__(self) -> None:
        self._marks: dict[Partition, deque[tuple[int, int]]] = defaultdict(deque)
        """# <(end, when it was the end)>, both ascending"""
        self._passed_ms: dict[Partition, int] = {}

    def note(self, partition: Partition, end: int, at_ms: int) -> None:
        """A partition ended there at a moment. In a long backlog later ends are not remembered."""
        marks = self._marks[partition]
        if marks and (end < marks[-1][0] or at_ms < marks[-1][1]):  # another topic, or another clock
            self.forget(partition)
            marks = self._marks[partition]
        if len(marks) < _MOST_MARKS:
            marks.append((end, at_ms))

    def counted_ms(self, partition: Partition, position: int) -> int | None:
        """Everything that had arrived by then is before a position; None: that is not known."""
        marks = self._marks[partition]
        while marks and marks[0][0] <= position:
            self._passed_ms[partition] = marks.popleft()[1]
        return self._passed_ms.get(partition)

    def forget(self, partition: Partition) -> None:
        """The partition begins anew, or is another worker's."""
        self._marks.pop(partition, None)
        self._passed_ms.pop(partition, None)
