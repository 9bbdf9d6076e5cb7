"""The stock at an as-of is that of all events before it, for any order of arrival and any moves of the as-of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.rows import StockNames
from streams.stock.ledger import Ledger, merge_ledgers
from streams.stock.pairs import PairIndex
from streams.stock.stock_levels import StockLevels
from streams.stock.stock_state import StockState
from tests.streams.stock.ledgers import PROMOTIONS, SKUS, WAREHOUSES, Event, events, ledger_of, numbered
from tests.support.stock_oracle import StockOracle

NAMES = numbered()
ALL = np.array([NAMES.skus[sku] for sku in SKUS])
keeps = st.sampled_from([None, None, 5_000, 300_000])


def oracle(happened: list[Event], keep_ms: int | None = None) -> StockOracle:
    orders = [event for event in happened if event["type"].startswith("order")]
    return StockOracle(orders, [event for event in happened if event["type"].startswith("stock")], keep_ms)


def holds(stock: StockLevels, happened: list[Event], at: int, keep_ms: int | None) -> None:
    right = oracle(happened, keep_ms)
    units, known = stock.available(ALL)
    got = [n if k else None for n, k in zip(units.tolist(), known.tolist(), strict=True)]
    assert got == [right.available(sku, at) for sku in SKUS], at
    for sku in SKUS:
        shelves = {WAREHOUSES[warehouse]: held for warehouse, held, _ in stock.shelves(NAMES.skus[sku])}
        assert shelves == right.by_warehouse(sku, at)
    assert set(np.flatnonzero(stock.every()[1]).tolist()) == set(ALL[known].tolist())


def agrees(book: StockState, happened: list[Event], keep_ms: int | None) -> None:
    holds(book.now, happened, book.as_of_ms, keep_ms)
    for promotion in PROMOTIONS:
        right = [oracle(happened).sold(sku, promotion, book.as_of_ms) for sku in SKUS]
        assert book.sold.units(ALL, NAMES.promotions[promotion]).tolist() == right


@given(events, st.lists(st.integers(0, 2_500).map(lambda i: 1000 * i), max_size=6), keeps)
def test_advances_through_ascending_as_ofs(happened: list[Event], stops: list[int], keep_ms: int | None) -> None:
    whole, stock = ledger_of(happened, NAMES), StockLevels(PairIndex(), keep_ms)
    for at in sorted(stops):
        stock.advance(whole.between(stock.as_of_ms, at), at)
        holds(stock, happened, at, keep_ms)


steps = st.lists(
    st.tuples(events.filter(lambda happened: len(happened) < 12), st.integers(0, 2_500).map(lambda i: 1000 * i)),
    max_size=8,
)


@settings(max_examples=150)
@given(steps, keeps, st.sampled_from([0, 60_000, 300_000]), st.sampled_from([5, 1000]))
def test_entries_in_any_order_and_an_as_of_that_moves_both_ways(
    arrivals: list[tuple[list[Event], int]], keep_ms: int | None, lag_ms: int, lag_entries: int
) -> None:
    book, seen, journal = StockState(keep_ms, lag_ms=lag_ms, lag_entries=lag_entries), [], Ledger()
    for happened, at in arrivals:
        seen += happened
        ledger = ledger_of(happened, NAMES)
        journal = merge_ledgers([journal, ledger])
        book.add(ledger)
        floor, before = book.floor_ms, book.as_of_ms
        moved = book.move_to(at)
        assert moved == (at >= floor)
        assert book.as_of_ms == (at if moved else before)
        if book.history_needed_from_ms is not None:
            book.correct(journal.between(book.history_needed_from_ms, 1 << 60).of_skus(book.history_needed_skus))
        assert book.history_needed_from_ms is None
        agrees(book, seen, keep_ms)


def test_a_late_count_after_the_floor_needs_no_history() -> None:
    book = StockState(lag_ms=60_000)
    level = {"type": "stock_level", "sku": "a", "warehouse": "east"}
    book.add(ledger_of([{**level, "ts": 1000, "on_hand": 5}], NAMES))
    book.move_to(600_000)
    book.add(ledger_of([{**level, "ts": 570_000, "on_hand": 9}], NAMES))
    assert book.history_needed_from_ms is None
    assert book.now.available(ALL[:1])[0].tolist() == [9]


def test_a_count_from_before_the_floor_needs_history() -> None:
    book = StockState(lag_ms=60_000)
    level = {"type": "stock_level", "sku": "a", "warehouse": "east"}
    created = {"type": "order_created", "ts": 400_000, "items": [{"sku": "a", "qty": 2}], "promotion_id": None}
    book.add(ledger_of([{**level, "ts": 1000, "on_hand": 5}, created], NAMES))
    book.move_to(600_000)
    late = {**level, "ts": 300_000, "on_hand": 9}
    book.add(ledger_of([late], NAMES))
    assert book.history_needed_from_ms == 300_000
    assert book.history_needed_skus.tolist() == [NAMES.skus["a"]]
    book.correct(ledger_of([late, created], NAMES))
    assert book.history_needed_from_ms is None
    assert book.now.available(ALL[:1])[0].tolist() == [7]


def test_the_number_of_entries_is_bounded() -> None:
    book, names = StockState(lag_ms=3_600_000, lag_entries=50), StockNames()
    for minute in range(60):
        happened = [
            {"type": "order_created", "ts": 60_000 * minute + i, "items": [{"sku": "a", "qty": 1}]} for i in range(10)
        ]
        book.add(ledger_of(happened, names))
        book.move_to(60_000 * (minute + 1))
        assert book._entries <= 50
    assert book.floor_ms == 60_000 * 55


@pytest.mark.parametrize("lag_ms", [0, 60_000])
def test_rejects_an_as_of_before_the_floor(lag_ms: int) -> None:
    book = StockState(lag_ms=lag_ms)
    book.move_to(600_000)
    assert not book.move_to(400_000)
    assert book.as_of_ms == 600_000
