"""One kind of content of one block in memory: what was read, and what was applied since, added up when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import chain

from consumers.topics import Partition
from streams.panes.cells import COUNTER_BITS, ROW_BITS, Cells
from streams.panes.delta import PaneDelta, merge
from streams.panes.sketches import DISTINCT_BITS, Sketches
from streams.shipping.delta import ShippingDelta
from streams.store.levels import Holds, Level

_FAN_IN = 8


class Content(Enum):
    """What blocks of a level hold, as far as it is asked for apart."""

    CELLS = "cells"
    SKETCHES = "sketches"
    SHIPPING = "shipping"

    def of(self, delta: PaneDelta, start_s: int, end_s: int) -> PaneDelta:
        """This content of a delta, in panes that start in [start_s, end_s)."""
        if self is Content.CELLS:
            return PaneDelta(cells=delta.cells.between(start_s, end_s))
        if self is Content.SKETCHES:
            return PaneDelta(sketches=delta.sketches.between(start_s, end_s))
        held = delta.shipping
        return PaneDelta(
            shipping=ShippingDelta(
                held.legs.between(start_s, end_s),
                held.amendments.between(start_s, end_s),
                held.waiting.between(start_s, end_s),
            )
        )


CONTENTS: Mapping[Holds, tuple[Content, ...]] = {
    Holds.PANES: (Content.CELLS, Content.SKETCHES),
    Holds.LEGS: (Content.SHIPPING,),
    Holds.WAITING: (Content.SHIPPING,),
    Holds.STOCK: (),
    Holds.STOCK_SALES: (),
}
"""By what a level holds; the journal of stock is read past this."""


class Pile:
    """The sum of its parts. Adding costs nothing: who asks has it added up."""

    def __init__(
        self, content: Content, level: Level, start_s: int, stored: Iterable[PaneDelta], rolled: Mapping[Partition, int]
    ) -> None:
        self.rolled = rolled
        """Up to which position of each partition it was complete when it was read."""
        self._content = content
        self._level = level
        self._start_s = start_s
        self._stored = [part for delta in stored if (part := self._share(delta))]
        self._tiers: list[list[PaneDelta]] = []
        self._fresh: list[PaneDelta] = []
        self.size = sum(map(_bytes, self._stored))
        """Bytes of what is added up."""

    @property
    def waiting(self) -> int:
        """How many deltas are not added up yet."""
        return len(self._fresh)

    def add(self, delta: PaneDelta) -> None:
        """Add what was applied, of which any part may lie in the block."""
        self._fresh.append(delta)

    def parts(self) -> Iterator[PaneDelta]:
        """What it is the sum of, in panes of its level or finer ones."""
        if self._fresh:
            fresh, self._fresh = [part for delta in self._fresh if (part := self._share(delta))], []
            if self._content is Content.SKETCHES:  # to unite them costs more than to look at each
                self._stored += fresh
            else:
                self._take(self._level.coarsen(merge(fresh)))
            self.size = sum(map(_bytes, chain(self._stored, *self._tiers)))
        return chain(self._stored, *self._tiers)

    def _share(self, delta: PaneDelta) -> PaneDelta:
        return self._content.of(delta, self._start_s, self._start_s + self._level.block_s)

    def _take(self, part: PaneDelta) -> None:
        """Eight parts of a tier become one of the next, so that each number is merged few times."""
        tier = 0
        while part:
            if tier == len(self._tiers):
                self._tiers.append([])
            self._tiers[tier].append(part)
            if len(self._tiers[tier]) < _FAN_IN:
                return
            part = merge(self._tiers[tier])
            self._tiers[tier] = []
            tier += 1


def touched(level: Level, delta: PaneDelta) -> range:
    """Starts of the blocks of a level that a delta may add to."""
    spans: list[tuple[int, int]] = []
    if level.holds is Holds.PANES:
        # Events count where they add to distinct counts, which may be named after an earlier moment.
        spans = [_cells_span(delta.cells)] if len(delta.cells.keys) else [_sketches_span(delta.sketches)]
    elif level.holds is Holds.LEGS:
        spans = [_cells_span(delta.shipping.legs), _cells_span(delta.shipping.amendments.cells)]
    elif level.holds is Holds.WAITING:
        spans = [_cells_span(delta.shipping.waiting)]
    spans = [span for span in spans if span != _NOWHERE]
    if not spans:
        return range(0)
    first, last = min(first for first, _ in spans), max(last for _, last in spans)
    return range(level.block(first), last + 1, level.block_s)


_NOWHERE = (0, -1)


def _cells_span(cells: Cells) -> tuple[int, int]:
    """Starts of the first and the last pane."""
    keys, bits = cells.keys, ROW_BITS + COUNTER_BITS
    return (int(keys[0]) >> bits, int(keys[-1]) >> bits) if len(keys) else _NOWHERE


def _sketches_span(sketches: Sketches) -> tuple[int, int]:
    groups, bits = sketches.groups, ROW_BITS + DISTINCT_BITS
    return (int(groups[0]) >> bits, int(groups[-1]) >> bits) if len(groups) else _NOWHERE


def _bytes(delta: PaneDelta) -> int:
    cells, sketches = delta.cells, delta.sketches
    counted = cells.keys.nbytes + cells.amounts.nbytes
    return counted + sketches.groups.nbytes + sketches.ends.nbytes + sketches.coupons.nbytes + 24 * delta.shipping.size
