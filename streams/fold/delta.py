"""The content of panes as an algebra: `zero`, `merge`, `coarsen`, `between`.

A pane is a step of event time, identified by its start in epoch seconds. A `PaneDelta` combines `Cells` (additive
counters, `streams.panes.cells`), `Sketches` (distinct counts, `streams.panes.sketches`), `Extremes` (minima and
maxima), `Histograms` (for quantiles), a `ShippingDelta` (sums over the lives of orders, `streams.shipping`) and a
`Ledger` (stock events, `streams.stock`). It is both what a batch adds and what a block stores. Merging is associative
and commutative, so results do not depend on batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from streams.panes.arrays import is_first
from streams.panes.cells import Cells, merge_cells
from streams.panes.extremes import NO_EXTREMES, Extremes, merge_extremes
from streams.panes.histograms import NO_HISTOGRAMS, Histograms, merge_histograms
from streams.panes.sketches import Sketches, merge_sketches
from streams.shipping.delta import NO_SHIPPING, ShippingDelta, merge_shipping
from streams.stock.ledger import EMPTY_LEDGER, Ledger, merge_ledgers


@dataclass(frozen=True, slots=True)
class PaneDelta:
    """The contribution of events: counters and histograms in panes of 1 s, distinct counts in panes of 10 s (of
    dimensions with `coarse_distincts`: 10 min), extremes in panes of 60 s."""

    cells: Cells = field(default_factory=Cells)
    sketches: Sketches = field(default_factory=Sketches)
    shipping: ShippingDelta = field(default_factory=lambda: NO_SHIPPING)
    """`shipping` and `stock` have levels of their own (`streams.store.levels`); the methods below leave them out."""
    stock: Ledger = field(default_factory=lambda: EMPTY_LEDGER)
    extremes: Extremes = NO_EXTREMES
    quantiles: Histograms = NO_HISTOGRAMS

    def between(self, start_s: int, end_s: int) -> PaneDelta:
        """Content of panes that start in [start_s, end_s)."""
        return PaneDelta(
            self.cells.between(start_s, end_s),
            self.sketches.between(start_s, end_s),
            extremes=self.extremes.between(start_s, end_s) if self.extremes else NO_EXTREMES,
            quantiles=self.quantiles.between(start_s, end_s) if self.quantiles else NO_HISTOGRAMS,
        )

    def coarsen(self, counters_step_s: int, distincts_step_s: int) -> PaneDelta:
        """The content in coarser panes; extremes and histograms have those of counters, extremes of 60 s at least."""
        return PaneDelta(
            self.cells.coarsen(counters_step_s),
            self.sketches.coarsen(distincts_step_s),
            extremes=self.extremes.coarsen(counters_step_s) if self.extremes else NO_EXTREMES,
            quantiles=self.quantiles.coarsen(counters_step_s) if self.quantiles else NO_HISTOGRAMS,
        )

    def cut(self, length_s: int) -> Iterator[tuple[int, PaneDelta]]:
        """Split by aligned spans of `length_s` seconds: (start, content) of each non-empty one, in order."""
        cell_panes, group_panes = self.cells.panes, self.sketches.panes
        others = [part.panes for part in (self.extremes, self.quantiles) if part]
        aligned = [panes - panes % length_s for panes in (cell_panes, group_panes, *others)]
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
            part = PaneDelta(Cells(keys[cell], amounts[cell]), sketches)
            if others:
                extremes, quantiles = (of.between(start, start + length_s) for of in (self.extremes, self.quantiles))
                part = replace(part, extremes=extremes, quantiles=quantiles)  # type: ignore[arg-type]
            yield start, part

    def __bool__(self) -> bool:
        added = len(self.cells.keys) or len(self.sketches.groups)
        return bool(added or self.shipping or self.stock or self.extremes or self.quantiles)


ZERO = PaneDelta()


def merge(parts: Sequence[PaneDelta]) -> PaneDelta:
    """The sum of all parts: associative and commutative; `ZERO` is neutral."""
    return PaneDelta(
        merge_cells([part.cells for part in parts]),
        merge_sketches([part.sketches for part in parts]),
        merge_shipping([part.shipping for part in parts]),
        merge_ledgers([part.stock for part in parts]),
        merge_extremes([part.extremes for part in parts]),
        merge_histograms([part.quantiles for part in parts]),
    )
