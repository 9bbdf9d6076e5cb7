"""The content of panes as an algebra: `zero`, `merge`, `coarsen`, `between`.

A pane is a step of event time, identified by its start in epoch seconds. A `PaneDelta` combines `Cells` (additive
counters, `streams.panes.cells`), `Sketches` (distinct counts, `streams.panes.sketches`), a `ShippingDelta` (sums over
the lives of orders, `streams.shipping`) and a `Ledger` (stock events, `streams.stock`). It is both what a batch adds
and what a block stores. Merging is associative and commutative, so results do not depend on batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.panes.arrays import is_first
from streams.panes.cells import Cells, merge_cells
from streams.panes.sketches import Sketches, merge_sketches
from streams.shipping.delta import NO_SHIPPING, ShippingDelta, merge_shipping
from streams.stock.ledger import EMPTY_LEDGER, Ledger, merge_ledgers


@dataclass(frozen=True, slots=True)
class PaneDelta:
    """The contribution of events: counters in panes of 1 s, distinct counts in panes of 10 s (of
    dimensions with `coarse_distincts`: 10 min)."""

    cells: Cells = field(default_factory=Cells)
    sketches: Sketches = field(default_factory=Sketches)
    shipping: ShippingDelta = field(default_factory=lambda: NO_SHIPPING)
    """`shipping` and `stock` have levels of their own (`streams.store.levels`); the methods below leave them out."""
    stock: Ledger = field(default_factory=lambda: EMPTY_LEDGER)

    def between(self, start_s: int, end_s: int) -> PaneDelta:
        """Content of panes that start in [start_s, end_s)."""
        return PaneDelta(self.cells.between(start_s, end_s), self.sketches.between(start_s, end_s))

    def coarsen(self, counters_step_s: int, distincts_step_s: int) -> PaneDelta:
        """The content in coarser panes."""
        return PaneDelta(self.cells.coarsen(counters_step_s), self.sketches.coarsen(distincts_step_s))

    def cut(self, length_s: int) -> Iterator[tuple[int, PaneDelta]]:
        """Split by aligned spans of `length_s` seconds: (start, content) of each non-empty one, in order."""
        cell_panes, group_panes = self.cells.panes, self.sketches.panes
        aligned = [panes - panes % length_s for panes in (cell_panes, group_panes)]
        starts = np.unique(np.concatenate([ordered[is_first(ordered)] for ordered in aligned]))
        edges = np.concatenate((starts, starts[-1:] + length_s))
        cell_edges = np.searchsorted(cell_panes, edges).tolist()
        group_edges = np.searchsorted(group_panes, edges)
        register_entry_edges = np.concatenate(([0], self.sketches.ends))[group_edges].tolist()
        group_edges = group_edges.tolist()
        keys, amounts = self.cells.keys, self.cells.amounts
        groups, ends, register_entries = self.sketches.groups, self.sketches.ends, self.sketches.register_entries
        for i, start in enumerate(starts.tolist()):
            cell, group, register_entry = (
                slice(at[i], at[i + 1]) for at in (cell_edges, group_edges, register_entry_edges)
            )
            sketches = Sketches(groups[group], ends[group] - register_entry.start, register_entries[register_entry])
            yield start, PaneDelta(Cells(keys[cell], amounts[cell]), sketches)

    def __bool__(self) -> bool:
        return bool(len(self.cells.keys) or len(self.sketches.groups) or self.shipping or self.stock)


ZERO = PaneDelta()


def merge(parts: Sequence[PaneDelta]) -> PaneDelta:
    """The sum of all parts: associative and commutative; `ZERO` is neutral."""
    return PaneDelta(
        merge_cells([part.cells for part in parts]),
        merge_sketches([part.sketches for part in parts]),
        merge_shipping([part.shipping for part in parts]),
        merge_ledgers([part.stock for part in parts]),
    )
