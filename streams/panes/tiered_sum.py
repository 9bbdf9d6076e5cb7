"""A sum of parts that are added one by one, each of which is merged few times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class TieredSum(Generic[T]):
    """A sum kept in parts: the last `fan_in` parts become one while they are of like size.

    Of n additions O(log n) parts remain, and each number is merged O(log n) times. A greater `fan_in` merges less
    often and leaves more parts.
    """

    def __init__(self, merge: Callable[[Sequence[T]], T], size_of: Callable[[T], int], fan_in: int = 8) -> None:
        self.parts: list[T] = []
        self.size = 0
        """Size of all parts."""
        self._merge = merge
        self._size_of = size_of
        self._fan_in = fan_in

    def add(self, part: T) -> None:
        """Add a part."""
        self.parts.append(part)
        self.size += self._size_of(part)
        while len(self.parts) >= self._fan_in and self._are_alike(self.parts[-self._fan_in :]):
            self._merge_last(self._fan_in)

    def merged(self) -> T:
        """The sum of all parts, which are merged into one."""
        if len(self.parts) != 1:
            self._merge_last(len(self.parts))
        return self.parts[0]

    def _are_alike(self, parts: Sequence[T]) -> bool:
        return self._size_of(parts[0]) <= self._fan_in * self._size_of(parts[-1])

    def _merge_last(self, count: int) -> None:
        first = len(self.parts) - count
        part = self._merge(self.parts[first:])
        self.size += self._size_of(part) - sum(map(self._size_of, self.parts[first:]))
        self.parts[first:] = [part]
