"""The seconds that sequential and silence rules work on: of all that was counted, the rows of their scopes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from alerts.detection.panes import CellPanes, Label
from alerts.detectors.arrays import Bools, Ints
from alerts.rules.detect import Sequential, Silence
from alerts.rules.rule import Each, Rules
from consumers.topics import Topic
from streams.panes.cells import Cells, cell_keys
from streams.panes.rows import Rows
from streams.panes.scopes import Dimension, Scope, WrittenBy
from streams.view.numbers import Seconds


def scopes_of(rules: Rules) -> frozenset[Each]:
    """The scopes whose seconds rules ask for; always the whole shop's."""
    asking = (rule for rule in rules.rules if rule.enabled and isinstance(rule.detect, Sequential | Silence))
    return frozenset({Each.ALL}.union(*(rule.for_each for rule in asking)))


@dataclass(slots=True)
class Chosen:
    """Rows that are looked at, numbered anew without those that are not: there may be a million of these."""

    scopes: frozenset[Each]
    not_in_as_of: frozenset[str] = frozenset()
    """Topics whose sources are not looked at: their seconds are never complete."""
    labels: tuple[Label, ...] = ()
    """# [new row]"""
    _rows: Rows | None = None
    _place_of: Ints | None = None
    """# [row]: new row, -1 where it is not looked at"""

    def panes(self, found: Seconds) -> CellPanes:
        """The seconds, without what is not looked at."""
        place_of = self._numbered(found.rows)
        cells = found.cells
        places = place_of[cells.rows]
        kept = places >= 0
        # New numbers are in the order of the old ones, so keys stay sorted.
        keys = cell_keys(cells.panes[kept], places[kept], cells.counters[kept])
        return CellPanes(found.span.start_s, found.span.end_s, self.labels, Cells(keys, cells.amounts[kept]))

    def _numbered(self, rows: Rows) -> Ints:
        size = len(rows)
        if self._rows is rows and self._place_of is not None and len(self._place_of) >= size:
            return self._place_of
        mask: Bools = np.zeros(size, np.bool_)
        for scope in self.scopes:
            mask |= rows.mask(dimension_of(scope))[:size]
        if self.not_in_as_of:
            written = np.flatnonzero(rows.mask(WrittenBy.SOURCE)[:size])
            topics = [rows.labels[row][1].partition("/")[0] for row in written.tolist()]
            mask[written[np.isin(topics, list(self.not_in_as_of))]] = False
        chosen = np.flatnonzero(mask)
        self._place_of = np.full(size, -1)
        self._place_of[chosen] = np.arange(len(chosen))
        self.labels = tuple(_label(*rows.labels[row]) for row in chosen.tolist())
        self._rows = rows
        return self._place_of


def dimension_of(scope: Each) -> Dimension:
    """What the view calls it."""
    return WrittenBy.SOURCE if scope is Each.SOURCE else Scope(scope.value)


def _label(dimension: Dimension, value: str) -> Label:
    return dimension.value, value  # plain text: memories are written down


def chosen_for(rules: Rules, before: Collection[Chosen] = (), not_in_as_of: Collection[Topic] = ()) -> Chosen:
    """What these rules look at; what was chosen before for the same scopes is gone on with."""
    scopes = scopes_of(rules)
    return next((one for one in before if one.scopes == scopes), None) or Chosen(
        scopes, frozenset(topic.value for topic in not_in_as_of)
    )
