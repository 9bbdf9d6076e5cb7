"""Extremes keep the greatest value; minima are negated maxima."""

from __future__ import annotations

import numpy as np

from streams.panes.extremes import NO_EXTREMES, Extremes, extremes_of, merge_extremes
from streams.panes.keys import pane_keys


def extremes(places: list[tuple[int, int, int]], values: list[int]) -> Extremes:
    """From (pane, row, id) and a value of each."""
    panes, rows, ids = np.array(places, np.int64).reshape(-1, 3).T
    return extremes_of(pane_keys(panes, rows, ids), np.array(values, np.int64))


def test_the_greatest_of_each_pane_row_and_measure_is_kept() -> None:
    held = extremes([(60, 2, 1), (60, 1, 1), (60, 2, 1), (0, 2, 1)], [5, -7, 9, 4])
    assert list(zip(held.panes.tolist(), held.rows.tolist(), held.ids.tolist(), held.values.tolist(), strict=True)) == [
        (0, 2, 1, 4),
        (60, 1, 1, -7),
        (60, 2, 1, 9),
    ]


def test_panes_are_of_a_minute_at_least() -> None:
    held = extremes([(60, 1, 0), (120, 1, 0), (3600, 1, 0)], [1, 3, 2])
    assert held.coarsen(1).keys.tolist() == held.keys.tolist()
    assert (held.coarsen(3600).panes.tolist(), held.coarsen(3600).values.tolist()) == ([0, 3600], [3, 2])


def test_a_row_in_one_pane_is_its_extreme_over_all_panes() -> None:
    held = extremes([(60, 1, 0), (120, 1, 0), (60, 2, 0)], [1, 3, 8])
    assert held.of_row(1).in_one_pane().values.tolist() == [3]


def test_nothing_is_neutral() -> None:
    held = extremes([(60, 1, 0)], [1])
    assert merge_extremes([NO_EXTREMES, held, Extremes()]).values.tolist() == [1]
    assert merge_extremes([]) is NO_EXTREMES
