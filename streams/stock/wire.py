"""Encoding of a ledger as part of a `PaneDelta`: names once, then columns (`streams.panes.packing`)."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.panes.arrays import NO_INTS, Ints, unique_inverse
from streams.panes.dictionary import Numbering, StockNames
from streams.panes.packing import Column, pack, unpack
from streams.stock.ledger import EMPTY_LEDGER, Ledger, min_entries, pair_codes, sum_entries


class _Entries(msgspec.Struct, array_like=True):
    skus: Column
    """Index of each entry's SKU, delta-encoded."""
    others: Column
    """Index of its warehouse or promotion; 0 is none."""
    times: Column
    """Milliseconds after the first."""
    amounts: Column


class LedgerWire(msgspec.Struct, array_like=True):
    """A ledger whose numbers are indexes into its own lists."""

    skus: list[str]
    warehouses: list[str]
    """Index 0 stands for none."""
    promotions: list[str]
    first_ms: int
    moves: _Entries
    levels: _Entries
    sales: _Entries


def to_wire(ledger: Ledger, names: StockNames) -> LedgerWire | None:
    """Encode a ledger numbered by `names`; None if empty."""
    if not ledger:
        return None
    parts = (ledger.moves, ledger.levels, ledger.sales)
    skus, sku_of = unique_inverse(np.concatenate([part.skus for part in parts]), len(names.skus.names))
    warehouses, warehouse_of = np.unique(
        np.concatenate(([-1], ledger.moves.others, ledger.levels.others)), return_inverse=True
    )
    promotions, promotion_of = np.unique(np.concatenate(([-1], ledger.sales.others)), return_inverse=True)
    first_ms = int(ledger.times.min())
    moves, levels = len(ledger.moves), len(ledger.levels)
    others = (warehouse_of[1 : moves + 1], warehouse_of[moves + 1 :], promotion_of[1:])
    of_part = np.split(sku_of, [moves, moves + levels])
    wires = [
        _Entries(
            pack(np.diff(sku, prepend=0)),
            pack(other) if other.any() else [],
            pack(part.times - first_ms),
            pack(part.amounts),
        )
        for part, sku, other in zip(parts, of_part, others, strict=True)
    ]
    return LedgerWire(
        [names.skus.names[sku] for sku in skus.tolist()],
        [names.warehouses.names[warehouse] for warehouse in warehouses.tolist()[1:]],
        [names.promotions.names[promotion] for promotion in promotions.tolist()[1:]],
        first_ms,
        *wires,
    )


def from_wire(wire: LedgerWire | None, names: StockNames) -> Ledger:
    """Decode a ledger, numbering it by `names`."""
    if wire is None:
        return EMPTY_LEDGER
    skus = _numbers(wire.skus, names.skus)
    warehouses, promotions = (
        np.concatenate(([-1], _numbers(held, numbering)))
        for held, numbering in ((wire.warehouses, names.warehouses), (wire.promotions, names.promotions))
    )
    return Ledger(
        sum_entries(*_columns(wire.moves, skus, warehouses, wire.first_ms)),
        min_entries(*_columns(wire.levels, skus, warehouses, wire.first_ms)),
        sum_entries(*_columns(wire.sales, skus, promotions, wire.first_ms)),
    )


def _numbers(names: list[str], numbering: Numbering) -> Ints:
    return np.fromiter((numbering[name] for name in names), np.int64, len(names))


def _columns(wire: _Entries, skus: Ints, others: Ints, first_ms: int) -> tuple[Ints, Ints, Ints]:
    amounts = unpack(wire.amounts)
    if len(amounts) == 0:
        return NO_INTS, NO_INTS, NO_INTS
    other = others[unpack(wire.others)] if len(wire.others) else np.full(len(amounts), -1)
    return pair_codes(skus[np.cumsum(unpack(wire.skus))], other), unpack(wire.times) + first_ms, amounts
