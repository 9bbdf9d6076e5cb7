"""Select the rows of the view that sequential and silence rules read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from alerts.detection.panes import CellPanes, ScopeValue
from alerts.rules.detect import SequentialDetector, ShareDetector, SilenceDetector
from alerts.rules.rule import Rules, RuleScope
from alerts.statistics.arrays import Bools, Ints
from consumers.topics import Topic
from streams.panes.cells import Cells
from streams.panes.keys import pane_keys
from streams.panes.rows import RowIndex
from streams.panes.scopes import Dimension, SourceDimension
from streams.view.numbers import SecondCells


def required_scopes(rules: Rules) -> frozenset[RuleScope]:
    """The scopes of enabled sequential and silence rules, and always the whole shop."""
    counter_rules = (
        rule
        for rule in rules.rules
        if rule.enabled and isinstance(rule.detect, SequentialDetector | SilenceDetector | ShareDetector)
    )
    return frozenset({RuleScope.ALL}.union(*(rule.for_each for rule in counter_rules)))


@dataclass(slots=True)
class SelectedRows:
    """The selected rows, renumbered; the view may have a million."""

    scopes: frozenset[RuleScope]
    not_in_as_of: frozenset[str] = frozenset()
    """Topics whose sources are skipped, because their seconds are never complete."""
    labels: tuple[ScopeValue, ...] = ()
    """# [new row]"""
    _rows: RowIndex | None = None
    _place_of: Ints | None = None
    """# [row]: new row, -1 if not selected"""

    def panes(self, found: SecondCells) -> CellPanes:
        """Return the cells of the selected rows."""
        new_row_of = self._numbered(found.rows)
        cells = found.cells
        new_rows = new_row_of[cells.rows]
        kept = new_rows >= 0
        # The order of rows is kept, so keys stay sorted.
        keys = pane_keys(cells.panes[kept], new_rows[kept], cells.counters[kept])
        return CellPanes(found.span.start_s, found.span.end_s, self.labels, Cells(keys, cells.amounts[kept]))

    def _numbered(self, rows: RowIndex) -> Ints:
        size = len(rows)
        if self._rows is rows and self._place_of is not None and len(self._place_of) >= size:
            return self._place_of
        mask: Bools = np.zeros(size, np.bool_)
        for scope in self.scopes:
            mask |= rows.mask(to_dimension(scope))[:size]
        if self.not_in_as_of:
            written = np.flatnonzero(rows.mask(SourceDimension.SOURCE)[:size])
            topics = [rows.labels[row][1].partition("/")[0] for row in written.tolist()]
            mask[written[np.isin(topics, list(self.not_in_as_of))]] = False
        selected = np.flatnonzero(mask)
        self._place_of = np.full(size, -1)
        self._place_of[selected] = np.arange(len(selected))
        self.labels = tuple(_label(*rows.labels[row]) for row in selected.tolist())
        self._rows = rows
        return self._place_of


def to_dimension(scope: RuleScope) -> Dimension:
    """The dimension of the view for a scope."""
    return SourceDimension.SOURCE if scope is RuleScope.SOURCE else scope.value


def _label(dimension: Dimension, value: str) -> ScopeValue:
    return str(dimension), value  # plain text, because memories are serialized


def select_rows(rules: Rules, before: SelectedRows | None = None, not_in_as_of: Collection[Topic] = ()) -> SelectedRows:
    """Select rows for these rules, reusing the previous selection of the same scopes."""
    scopes = required_scopes(rules)
    if before is not None and before.scopes == scopes:
        return before
    return SelectedRows(scopes, frozenset(topic.value for topic in not_in_as_of))
