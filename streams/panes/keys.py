"""Keys of the numbers in panes, which are the same for every kind of number.

A key is `pane << 31 | row << 8 | id`: the pane's start in epoch seconds, the row of the value (`RowIndex`), and the id
of the measure. Keys sort by pane, then by row. Stored panes hold the three separately.
"""

from __future__ import annotations

import numpy as np

from streams.panes.arrays import Ints, is_first

ID_BITS = 8
ROW_BITS = 23
PANE_SHIFT = ROW_BITS + ID_BITS

N_IDS = 1 << ID_BITS
MAX_ROWS = 1 << ROW_BITS
END_S = (1 << 63 - PANE_SHIFT) - 1
"""No pane starts at or after this second, in the year 2106."""

_ID_MASK = N_IDS - 1
_ROW_MASK = MAX_ROWS - 1
_IN_PANE = (1 << PANE_SHIFT) - 1


def pane_keys(panes: Ints, rows: Ints, ids: Ints | np.int64 | int) -> Ints:
    """Keys of panes before `END_S`."""
    return panes << PANE_SHIFT | rows << ID_BITS | ids


def panes_of(keys: Ints) -> Ints:
    """Start of the pane of each key, epoch seconds."""
    return keys >> PANE_SHIFT


def rows_of(keys: Ints) -> Ints:
    """Row of each key."""
    return keys >> ID_BITS & _ROW_MASK


def ids_of(keys: Ints) -> Ints:
    """Id of each key."""
    return keys & _ID_MASK


def key_range(keys: Ints, start_s: int, end_s: int) -> tuple[int, int]:
    """The indexes [first, last) of sorted keys whose panes start in [start_s, end_s)."""
    first, last = np.searchsorted(keys, [min(start_s, END_S) << PANE_SHIFT, min(end_s, END_S) << PANE_SHIFT]).tolist()
    return first, last


def coarse_keys(keys: Ints, step_s: int) -> Ints:
    """The keys of the panes of `step_s` seconds that contain these panes."""
    return keys - (panes_of(keys) % step_s << PANE_SHIFT)


def keys_in_one_pane(keys: Ints) -> Ints:
    """The same keys in pane 0."""
    return keys & _IN_PANE


def combined(keys: Ints, amounts: Ints, combine: np.ufunc) -> tuple[Ints, Ints]:
    """Sorted distinct keys from keys in any order, and the amounts of each combined by `combine`."""
    if np.all(keys[1:] > keys[:-1]):
        return keys, amounts
    order = np.argsort(keys, kind="stable")  # a stable sort merges the parts, which are sorted runs
    keys, amounts = keys[order], amounts[order]
    firsts = np.flatnonzero(is_first(keys))
    return keys[firsts], combine.reduceat(amounts, firsts)


def pane_span(keys: Ints) -> tuple[int, int]:
    """Starts of the first and of the last pane of sorted keys, of which there is one at least."""
    return int(keys[0]) >> PANE_SHIFT, int(keys[-1]) >> PANE_SHIFT
