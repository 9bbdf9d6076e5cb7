"""Rows of crossings: dimensions whose values are those of other dimensions, joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from streams.panes.arrays import Ints

if TYPE_CHECKING:
    from streams.panes.rows import RowIndex

_SHIFT = 24
"""Bits of a code for the last row: more than rows have."""


class CrossRows:
    """The rows of one crossing by the rows of its parts, assigned if new. Thread-safe."""

    def __init__(self, rows: RowIndex, name: str, parts: int) -> None:
        self._numbers = [_PairNumbers() for _ in range(parts - 2)]
        self._rows = _RowByCode(rows, name, self._numbers)

    def of(self, parts: Sequence[Ints]) -> Ints:
        """The row of each event from its rows in the parts; -1 where one is -1."""
        given = np.logical_and.reduce([rows >= 0 for rows in parts])
        codes = parts[0][given]
        for i, rows in enumerate(parts[1:]):
            codes = codes << _SHIFT | rows[given]
            last: dict[int, int] = self._rows if i == len(self._numbers) else self._numbers[i]
            codes = np.fromiter(map(last.__getitem__, codes.tolist()), np.int64, len(codes))
        crossed = np.full(len(given), -1)
        crossed[given] = codes
        return crossed


class _PairNumbers(dict[int, int]):
    """Numbers for codes of the first parts, so that a code fits 64 bits."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self.codes: list[int] = []
        """# <number>: code"""

    def __missing__(self, code: int) -> int:
        with self._lock:
            if code not in self:
                self.codes.append(code)
                self[code] = len(self.codes) - 1
        return self[code]


class _RowByCode(dict[int, int]):
    """Rows by the codes of all parts."""

    def __init__(self, rows: RowIndex, name: str, numbers: Sequence[_PairNumbers]) -> None:
        super().__init__()
        self._rows, self._name, self._numbers = rows, name, numbers

    def __missing__(self, code: int) -> int:
        parts = [code & (1 << _SHIFT) - 1]
        first = code >> _SHIFT
        for numbers in reversed(self._numbers):
            first = numbers.codes[first]
            parts.append(first & (1 << _SHIFT) - 1)
            first >>= _SHIFT
        parts.append(first)
        labels = (self._rows.labels[part][1] for part in reversed(parts))
        row = self[code] = self._rows.row(self._name, crossed_value(labels))
        return row


def crossed_value(values: Iterable[str]) -> str:
    r"""The value of a crossing: `a|b`, a `|` in a part written `\|`."""
    return "|".join(value.replace("|", r"\|") for value in values)
