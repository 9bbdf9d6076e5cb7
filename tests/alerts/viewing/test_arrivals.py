"""Events that arrived since the last evaluation."""

from __future__ import annotations

import numpy as np

from alerts.detection.panes import CellPanes, ScopeValue
from alerts.viewing.arrivals import EARLY_S, LATE_S, ArrivalReader, span_to_read
from streams.model.windows import Span
from streams.panes.cells import Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys

ALL, SOURCE = ("all", ""), ("source", "orders/oms-1")
NAMES = ("orders_created",)
START_S = 1_762_776_000


def read(span: Span, counted: dict[tuple[int, int], int], *labels: ScopeValue) -> CellPanes:
    """Orders by (second from the start, row)."""
    wider = span_to_read(span)
    places = np.array(sorted(counted), np.int64).reshape(-1, 2)
    keys = pane_keys(START_S + places[:, 0], places[:, 1], np.int64(COUNTER_IDS["orders_created"]))
    amounts = np.array([counted[second, row] for second, row in places.tolist()], np.int64)
    cells = Cells(keys, amounts).between(wider.start_s, wider.end_s)
    return CellPanes(wider.start_s, wider.end_s, labels or (ALL, SOURCE), cells)


def test_late_early_and_new_events_are_distinguished() -> None:
    reader, rows = ArrivalReader(), np.array([0, 1, -1])
    one, two = Span(START_S, START_S + 10), Span(START_S + 10, START_S + 12)
    first = reader.take(one, read(one, {(3, 0): 5, (10, 0): 1}))
    assert first.corrections(NAMES, rows).tolist() == [0, 0, 0]
    assert first.arrivals(NAMES, rows).tolist() == [5, 0, 0], "unknown: those of the range"
    second = reader.take(two, read(two, {(3, 0): 6, (4, 1): 2, (10, 0): 4, (11, 1): 1, (70, 1): 7}))
    assert (second.start_s, second.end_s) == (two.start_s, two.end_s)
    assert second.counts(NAMES, rows, two.start_s, two.end_s).tolist() == [4, 1, 0]
    assert second.corrections(NAMES, rows).tolist() == [1, 2, 0]
    assert second.early(NAMES, rows).tolist() == [0, 7, 0]
    assert second.arrivals(NAMES, rows).tolist() == [4, 10, 0], "one of the new events was there before"


def test_a_repeated_evaluation_finds_the_same_late_events() -> None:
    reader, rows = ArrivalReader(), np.array([0])
    one, two = Span(START_S, START_S + 10), Span(START_S + 10, START_S + 12)
    reader.take(one, read(one, {(3, 0): 5}))
    for _ in range(2):
        assert reader.take(two, read(two, {(3, 0): 6})).corrections(NAMES, rows).tolist() == [1]


def test_after_a_gap_or_a_renumbering_of_rows_arrivals_are_unknown() -> None:
    reader, rows = ArrivalReader(), np.array([0])
    one, two, later = Span(START_S, START_S + 10), Span(START_S + 10, START_S + 12), Span(START_S + 20, START_S + 30)
    reader.take(one, read(one, {(3, 0): 5}))
    assert reader.take(later, read(later, {(3, 0): 6})).arrived is None
    reader.take(one, read(one, {(3, 0): 5}))
    assert reader.take(two, read(two, {(3, 0): 6}, SOURCE, ALL)).arrived is None
    reader.take(one, read(one, {(3, 0): 5}))
    grown = reader.take(two, read(two, {(3, 0): 6}, ALL, SOURCE, ("channel", "app")))
    assert grown.corrections(NAMES, rows).tolist() == [1], "a new row changes no other"


def test_only_the_last_two_minutes_are_compared() -> None:
    reader, rows = ArrivalReader(), np.array([0])
    one, two = Span(START_S, START_S + 200), Span(START_S + 200, START_S + 210)
    counted = {(200 - LATE_S - 1, 0): 1, (200 - LATE_S, 0): 1, (209 + EARLY_S, 0): 1, (210 + EARLY_S, 0): 1}
    reader.take(one, read(one, {}))
    panes = reader.take(two, read(two, counted))
    assert panes.corrections(NAMES, rows).tolist() == [1]
    assert panes.early(NAMES, rows).tolist() == [1]
