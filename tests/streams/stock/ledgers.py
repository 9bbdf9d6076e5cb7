"""Random stock events, and their ledger, independent of the product's fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from streams.panes.arrays import Ints
from streams.panes.rows import StockNames
from streams.stock.ledger import Ledger, min_entries, pair_codes, sum_entries
from tests.support.oracle_labels import without_bad_labels

Event = dict[str, Any]

SKUS = ("a", "b", "c")
WAREHOUSES = ("east", "west")
PROMOTIONS = ("spring", "autumn")

times = (
    st.integers(1, 40).map(lambda i: i * 500) | st.integers(1, 20_000) | st.integers(1, 40).map(lambda i: 60_000 * i)
)
"""Epoch ms: often equal, often adjacent, sometimes hours apart."""


def _logistics(kind: str, field: str, amounts: st.SearchStrategy[int]) -> st.SearchStrategy[Event]:
    return st.builds(
        lambda ts, sku, warehouse, amount: {"type": kind, "ts": ts, "sku": sku, "warehouse": warehouse, field: amount},
        times,
        st.sampled_from(SKUS),
        st.sampled_from(WAREHOUSES),
        amounts,
    )


_lines = st.lists(
    st.builds(lambda sku, qty: {"sku": sku, "qty": qty}, st.sampled_from(SKUS), st.integers(1, 5)),
    min_size=1,
    max_size=3,
)
orders = st.builds(
    lambda kind, ts, items, promotion: {"type": kind, "ts": ts, "items": items, "promotion_id": promotion},
    st.sampled_from(["order_created", "order_created", "order_cancelled", "order_paid", "order_refunded"]),
    times,
    _lines,
    st.sampled_from([None, *PROMOTIONS]),
)
logistics = (
    _logistics("stock_level", "on_hand", st.integers(0, 12))
    | _logistics("stock_received", "qty", st.integers(1, 9))
    | _logistics("stock_adjusted", "delta", st.integers(-6, 6))
)
events = st.lists(orders | logistics, max_size=30)


def ledger_of(happened: Sequence[Event], names: StockNames) -> Ledger:
    """The ledger of stock events."""
    moves, levels, sales = [], [], []
    for event in map(without_bad_labels, happened):
        kind, ts = event["type"], event["ts"]
        if kind.startswith("stock"):
            entry = (names.skus[event["sku"]], names.warehouses[event["warehouse"]], ts)
            if kind == "stock_level":
                levels.append((*entry, event["on_hand"]))
            else:
                moves.append((*entry, event["qty"] if kind == "stock_received" else event["delta"]))
        for item in event.get("items", ()):
            sku, qty = names.skus[item["sku"]], item["qty"]
            if kind in ("order_created", "order_cancelled"):
                moves.append((sku, -1, ts, -qty if kind == "order_created" else qty))
            if kind == "order_paid" and event.get("promotion_id"):
                sales.append((sku, names.promotions[event["promotion_id"]], ts - ts % 1000, qty))
    return Ledger(sum_entries(*_columns(moves)), min_entries(*_columns(levels)), sum_entries(*_columns(sales)))


def _columns(found: Sequence[tuple[int, int, int, int]]) -> tuple[Ints, Ints, Ints]:
    sku, other, ts, amount = np.array(found, np.int64).reshape(-1, 4).T
    return pair_codes(sku, other), ts, amount


def numbered() -> StockNames:
    """Names with assigned numbers."""
    names = StockNames()
    for sku in SKUS:
        names.skus[sku]
    for warehouse in WAREHOUSES:
        names.warehouses[warehouse]
    for promotion in PROMOTIONS:
        names.promotions[promotion]
    return names
