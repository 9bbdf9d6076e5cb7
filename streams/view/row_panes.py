"""The distinct counts of one row in its latest panes, kept united in steps: 10 s, minutes, ten minutes, hours.

A union cannot be taken apart, so when the start of a window moves on, what is left of it has to be united anew. From
these it is quick: minutes and longer panes are united once, when they are first asked for, and a full pane is whole
registers, of which two are united as fast as memory is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streams.panes.counters import DISTINCTS
from streams.panes.sketch import COUPON_BITS, RANK_BITS, REGISTERS
from streams.panes.sketches import Sketches
from streams.windows import Span, cover

Marks: TypeAlias = npt.NDArray[np.uint32]
"""Coupons of one row: `distinct << 22 | coupon`."""
Registers: TypeAlias = npt.NDArray[np.uint8]
"""Ranks by `distinct << 16 | register`, of one row."""
PaneId: TypeAlias = tuple[int, int]
"""Length and start of a pane, seconds."""

SIZE = len(DISTINCTS) * REGISTERS
STEPS = (10, 60, 600, 3600)
"""Lengths of panes, seconds, finest first."""
BLOCK_STEPS = {10: "s", 600: "m", 3600: "h"}
"""Those that blocks have, and the level that has them."""
_KEPT_S = {10: 1_200, 60: 4_500, 600: 90_000, 3600: 35 * 86_400}
"""Panes of a step are where windows begin for so long, and no longer needed after it."""
_MOST_PARTS = 32
_RANK_MASK = (1 << RANK_BITS) - 1


def marks_of(sketches: Sketches) -> Marks:
    """The marks of all coupons, in their order."""
    return np.repeat((sketches.distincts << COUPON_BITS).astype(np.uint32), sketches.sizes) | sketches.coupons


class Pane:
    """What was marked in one pane: parts, or whole registers where that is smaller."""

    def __init__(self) -> None:
        self._parts: list[Marks] = []
        self._registers: Registers | None = None

    @classmethod
    def of(cls, parts: Iterable[Pane]) -> Pane:
        """The union of some."""
        registers, whole = np.zeros(SIZE, np.uint8), cls()
        for part in parts:
            part.unite_into(registers)
        at = _raised(registers)
        if 4 * len(at) < SIZE:
            whole._parts = [(at << RANK_BITS | registers[at]).astype(np.uint32)]
        else:
            whole._registers = registers
        return whole

    def add(self, marks: Marks) -> None:
        """Unite with some."""
        if self._registers is not None:
            raise_to(self._registers, marks)
            return
        self._parts.append(marks)
        if len(self._parts) > _MOST_PARTS:
            united = Pane.of([self])
            self._parts, self._registers = united._parts, united._registers

    def unite_into(self, registers: Registers) -> None:
        """Raise registers to what is marked here."""
        if self._registers is not None:
            np.maximum(registers, self._registers, out=registers)
        for marks in self._parts:
            raise_to(registers, marks)

    @property
    def size(self) -> int:
        """Bytes."""
        return SIZE if self._registers is not None else sum(part.nbytes for part in self._parts)


def raise_to(registers: Registers, marks: Marks) -> None:
    """Raise registers to the ranks of marks."""
    np.maximum.at(registers, marks >> RANK_BITS, (marks & _RANK_MASK).astype(np.uint8))


class RowPanes:
    """The panes of one row. What is polled is fed to it; what was before must be read from blocks."""

    def __init__(self, steps: Sequence[int], fed_from_s: int) -> None:
        """`steps`: lengths of its panes. What falls in panes from `fed_from_s` on is fed, so that absent is empty."""
        self._steps = tuple(steps)
        self._fed_from_s = fed_from_s
        self._panes: dict[PaneId, Pane] = {}

    def feed(self, start_s: int, marks: Marks) -> None:
        """Take in what was polled for a pane of the finest step, as far as it is here."""
        finest = self._steps[0]
        if start_s >= self._fed_from_s:
            self._panes.setdefault((finest, start_s), Pane()).add(marks)
        elif (pane := self._panes.get((finest, start_s))) is not None:
            pane.add(marks)
        for step in self._steps[1:]:
            if (pane := self._panes.get((step, start_s - start_s % step))) is not None:
                pane.add(marks)

    def missing(self, span: Span, longest: int) -> Iterator[PaneId]:
        """What must be read before a span can be united from panes no longer than so: panes that blocks have."""
        for step, start in self._cover(span, longest):
            if not self._has(step, start):
                if step in BLOCK_STEPS:
                    yield step, start
                else:
                    yield from (finer for finer in self._finer(step, start) if not self._has(*finer))

    def lacks(self, pane_id: PaneId) -> bool:
        """Whether a pane has to be read."""
        return not self._has(*pane_id)

    def begin(self, pane_id: PaneId) -> Pane:
        """A pane that is lacking, to which all that blocks hold of it is added now."""
        pane = self._panes[pane_id] = Pane()
        return pane

    def unite(self, span: Span, longest: int, registers: Registers) -> None:
        """Raise registers to what is marked in a span of which nothing is missing."""
        for pane_id in self._cover(span, longest):
            if (pane := self._panes.get(pane_id)) is not None:
                pane.unite_into(registers)

    def forget(self, end_s: int, longest_s: int) -> int:
        """Drop what no window needs that ends at `end_s` or later and is no longer than so; the bytes that stay."""
        oldest_s = {step: end_s - min(longest_s + 2 * step, _KEPT_S[step]) for step in self._steps}
        self._fed_from_s = max(self._fed_from_s, oldest_s[self._steps[0]])  # before it, absent is no longer empty
        size = 0
        for (step, start), pane in list(self._panes.items()):
            if start < oldest_s[step]:
                del self._panes[step, start]
            else:
                size += pane.size
        return size

    def _cover(self, span: Span, longest: int) -> Iterator[PaneId]:
        steps = [step for step in self._steps if step <= longest]
        for place, part in cover(span, steps):
            for start in range(part.start_s, part.end_s, steps[place]):
                yield steps[place], start

    def _has(self, step: int, start: int) -> bool:
        """Whether a pane is here; united from finer ones where they all are."""
        if (step, start) in self._panes:
            return True
        if step == self._steps[0]:
            return start >= self._fed_from_s
        if not all(self._has(*finer) for finer in self._finer(step, start)):
            return False
        finer = (self._panes.get(pane_id) for pane_id in self._finer(step, start))
        self._panes[step, start] = Pane.of([pane for pane in finer if pane is not None])
        return True

    def _finer(self, step: int, start: int) -> Iterator[PaneId]:
        finer = self._steps[self._steps.index(step) - 1]
        return ((finer, at) for at in range(start, start + step, finer))


def _raised(registers: Registers) -> npt.NDArray[np.int64]:
    """Places of those that are not 0; of booleans numpy finds them ten times as fast."""
    return np.flatnonzero(registers != 0)


def histogram(registers: Registers) -> npt.NDArray[np.int64]:
    """How many registers of each distinct count have each rank: [distinct, rank]."""
    at = _raised(registers)
    counts = np.bincount(at // REGISTERS << RANK_BITS | registers[at], minlength=len(DISTINCTS) << RANK_BITS)
    by_rank: npt.NDArray[np.int64] = counts.reshape(len(DISTINCTS), 1 << RANK_BITS)
    by_rank[:, 0] = REGISTERS - by_rank.sum(axis=1)
    return by_rank
