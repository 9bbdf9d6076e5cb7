"""Folds a batch of events into a stock ledger."""

from __future__ import annotations

import numpy as np

from streams.fold.columns import Columns
from streams.panes.arrays import Ints, unique_inverse
from streams.panes.dictionary import Numbering
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.stock.ledger import EMPTY_LEDGER, Ledger, min_entries, pair_codes, sum_entries

SALES_STEP_MS = 1000
"""Resolution of sales: the as-of moves in whole seconds."""


def ledger_of_orders(events: Columns, rows: RowIndex) -> Ledger:
    """Units that orders reserve and release, and units paid under a promotion."""
    lines = events.lines
    sign = events.is_type("order_cancelled").astype(np.int64) - events.is_type("order_created")
    paid = events.is_type("order_paid") & (events.row_of(Scope.PROMOTION) >= 0)
    relevant = (sign != 0) | paid
    if not relevant.any():
        return EMPTY_LEDGER
    of_sku = np.flatnonzero(relevant[lines.event] & rows.mask(Scope.SKU)[lines.row])
    event, units = lines.event[of_sku], lines.units[of_sku]
    sku = _numbers(lines.row[of_sku], rows, rows.stock.skus)
    moved, sold = np.flatnonzero(sign[event]), np.flatnonzero(paid[event])
    moves = sum_entries(pair_codes(sku[moved], -1), events.ts[event[moved]], sign[event[moved]] * units[moved])
    if not len(sold):
        return Ledger(moves)
    seller = event[sold]
    promotion = _numbers(events.row_of(Scope.PROMOTION)[seller], rows, rows.stock.promotions)
    sales = sum_entries(pair_codes(sku[sold], promotion), events.ts[seller], units[sold]).rounded(SALES_STEP_MS)
    return Ledger(moves, sales=sales)


def ledger_of_logistics(events: Columns, rows: RowIndex) -> Ledger:
    """Counts, receipts and adjustments of warehouses."""
    levels, received, adjusted = map(events.is_type, ("stock_level", "stock_received", "stock_adjusted"))
    relevant = np.flatnonzero(levels | received | adjusted)
    if not len(relevant):
        return EMPTY_LEDGER
    numbers = events.numbers
    pairs = pair_codes(
        _numbers(events.row_of(Scope.SKU)[relevant], rows, rows.stock.skus), numbers["stock_warehouse"][relevant]
    )
    amounts = np.where(received, numbers["qty"], numbers["delta"])[relevant]
    level, ts = levels[relevant], events.ts[relevant]
    return Ledger(
        sum_entries(pairs[~level], ts[~level], amounts[~level]),
        min_entries(pairs[level], ts[level], numbers["on_hand"][relevant][level]),
    )


def _numbers(row: Ints, rows: RowIndex, numbering: Numbering) -> Ints:
    """The ledger's numbers of the values of rows."""
    used, place = unique_inverse(row, len(rows))
    return np.array([numbering[rows.labels[one][1]] for one in used.tolist()], np.int64)[place]
