"""Orders that were created or paid more than once: what each event but the order's first adds to the panes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.panes.cells import NO_CELLS, Cells, cell_keys, counted
from streams.panes.counters import COUNTER_IDS
from streams.panes.rows import Rows
from streams.panes.scopes import Scope
from streams.shipping.facts import Creation, Payment

_SCOPES = (
    Scope.REGION,
    Scope.CHANNEL,
    Scope.PROMOTION,
    Scope.MEMBER,
    Scope.VARIANT,
    Scope.CAMPAIGN,
    Scope.LIVE_ROOM,
)
"""The scopes of the fields of `OrderLabels`."""


def cells_of(repeats: Sequence[Payment | Creation], rows: Rows) -> Cells:
    """One of `repeat_payments` or `repeat_creations` for each: in the pane of its own time, by its own labels."""
    panes: list[int] = []
    row_of: list[int] = []
    counters: list[int] = []
    for event in repeats:
        name = "repeat_payments" if isinstance(event, Payment) else "repeat_creations"
        found = [rows.row(Scope.ALL, "")]
        found += [rows.row(scope, value) for scope, value in zip(_SCOPES, event.labels, strict=True) if value]
        panes += [event.ts_ms // 1000] * len(found)
        row_of += found
        counters += [COUNTER_IDS[name]] * len(found)
    if not panes:
        return NO_CELLS
    return counted(cell_keys(*(np.array(numbers, np.int64) for numbers in (panes, row_of, counters))))
