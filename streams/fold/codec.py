"""Encoding of a `PaneDelta` in Redis: each string once, integers packed, then compressed.

The first byte flags compression (zstd). The rest is a MessagePack array: version, scope ids, values, then the columns,
each a list of integers or packed (`streams.panes.packing`). Rows are renumbered from 0, since row numbers are local to
a process; shipping and the stock ledger have lists of names of their own.
"""

from __future__ import annotations

import msgspec
import numpy as np
import zstandard

from streams.fold.delta import PaneDelta
from streams.panes.arrays import NO_INTS, Ints, places, unique_inverse
from streams.panes.cells import Cells
from streams.panes.keys import pane_keys
from streams.panes.packing import Column, pack, pack_delta_encoded, unpack, unpack_uint32
from streams.panes.rows import Numbering, RowIndex, StockNames
from streams.panes.sketches import RANK_BITS, RegisterEntries, Sketches
from streams.shipping.delta import NO_SHIPPING, RetroactiveCorrections, ShippingDelta
from streams.stock.ledger import EMPTY_LEDGER, Ledger, min_entries, pair_codes, sum_entries


class ShippingWire(msgspec.Struct, array_like=True):
    """A delta whose rows and panes are indexes into its own lists; sums, corrections and waiting orders
    concatenated."""

    scopes: bytes
    """Scope id of each row."""
    values: list[str]
    """Value of each row, parallel."""
    pane_steps: Column
    """Distinct panes, delta-encoded."""
    sizes: tuple[int, int]
    """Numbers of sums and of corrections."""
    panes: Column
    rows: Column
    counters: Column
    amounts: Column
    delays: Column
    """Of each correction: seconds from its pane until it is valid."""


def shipping_to_wire(delta: ShippingDelta, rows: RowIndex) -> ShippingWire | None:
    """Encode a delta, its rows numbered by `rows`; None if empty."""
    if not delta:
        return None
    parts = (delta.sums, delta.corrections.cells, delta.waiting)
    whole = Cells(np.concatenate([part.keys for part in parts]), np.concatenate([part.amounts for part in parts]))
    used, row_of = unique_inverse(whole.rows, len(rows))
    panes, pane_of = places(whole.panes)
    return ShippingWire(
        *rows.written(used.tolist()),
        pack(np.diff(panes, prepend=0)),
        (len(delta.sums.keys), len(delta.corrections)),
        pack(pane_of),
        pack(row_of),
        pack(whole.counters),
        pack(whole.amounts),
        pack(delta.corrections.valid_s - delta.corrections.cells.panes),
    )


def shipping_from_wire(wire: ShippingWire | None, rows: RowIndex) -> ShippingDelta:
    """Decode a delta, numbering its labels by `rows`."""
    if wire is None:
        return NO_SHIPPING
    row_of = rows.read(wire.scopes, wire.values)
    panes = np.cumsum(unpack(wire.pane_steps))[unpack(wire.panes)]
    keys = pane_keys(panes, row_of[unpack(wire.rows)], unpack(wire.counters))
    amounts = unpack(wire.amounts)
    sums, late = wire.sizes[0], wire.sizes[0] + wire.sizes[1]
    valid_s = panes[sums:late] + unpack(wire.delays)
    return ShippingDelta(
        Cells(keys[:sums], amounts[:sums]).sorted(),
        RetroactiveCorrections(keys[sums:late], valid_s, amounts[sums:late]).sorted(),
        Cells(keys[late:], amounts[late:]).sorted(),
    )


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


def ledger_to_wire(ledger: Ledger, names: StockNames) -> LedgerWire | None:
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


def ledger_from_wire(wire: LedgerWire | None, names: StockNames) -> Ledger:
    """Decode a ledger, numbering it by `names`."""
    if wire is None:
        return EMPTY_LEDGER
    skus = _stock_numbers(wire.skus, names.skus)
    warehouses, promotions = (
        np.concatenate(([-1], _stock_numbers(wire_names, numbering)))
        for wire_names, numbering in ((wire.warehouses, names.warehouses), (wire.promotions, names.promotions))
    )
    return Ledger(
        sum_entries(*_columns(wire.moves, skus, warehouses, wire.first_ms)),
        min_entries(*_columns(wire.levels, skus, warehouses, wire.first_ms)),
        sum_entries(*_columns(wire.sales, skus, promotions, wire.first_ms)),
    )


def _stock_numbers(names: list[str], numbering: Numbering) -> Ints:
    return np.fromiter((numbering[name] for name in names), np.int64, len(names))


def _columns(wire: _Entries, skus: Ints, others: Ints, first_ms: int) -> tuple[Ints, Ints, Ints]:
    amounts = unpack(wire.amounts)
    if len(amounts) == 0:
        return NO_INTS, NO_INTS, NO_INTS
    other = others[unpack(wire.others)] if len(wire.others) else np.full(len(amounts), -1)
    return pair_codes(skus[np.cumsum(unpack(wire.skus))], other), unpack(wire.times) + first_ms, amounts


VERSION = 4
"""Older processes must not read newer formats: merging parts would drop the fields that they do not know."""
_READABLE = (1, 2, 3, VERSION)
"""1 lacks `shipping` and `stock`, 2 lacks delta-encoded columns, 3 lacks the counters of repeats and has order
records without sizes and creations."""

_FEW = 256
"""Below this length, loops are cheaper than arrays."""
_PLAIN, _COMPRESSED = b"\x00", b"\x01"
_LEVEL = 1
"""Compression level of zstd."""


class _DeltaWire(msgspec.Struct, array_like=True):
    version: int
    scopes: bytes
    """Scope id of each row."""
    values: list[str]
    """Value of each row, parallel."""
    panes: Column
    """Distinct pane starts, epoch seconds."""
    cell_panes: Column
    cell_rows: Column
    cell_counters: Column
    cell_amounts: Column
    group_panes: Column
    group_rows: Column
    group_distincts: Column
    group_sizes: Column
    registers: Column
    ranks: Column
    shipping: ShippingWire | None = None
    stock: LedgerWire | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_DeltaWire)


def encode(delta: PaneDelta, rows: RowIndex, *, compress: bool = True) -> bytes:
    """Encode a delta."""
    few = len(delta.cells.keys) + len(delta.sketches.register_entries) < _FEW
    wire = _few(delta, rows) if few else _many(delta, rows)
    wire.shipping, wire.stock = shipping_to_wire(delta.shipping, rows), ledger_to_wire(delta.stock, rows.stock)
    data = _encoder.encode(wire)
    if few and delta.shipping.size + delta.stock.size < _FEW:
        return _PLAIN + data
    return _COMPRESSED + zstandard.compress(data, _LEVEL) if compress else _PLAIN + data


def _few(delta: PaneDelta, rows: RowIndex) -> _DeltaWire:
    cells, sketches = delta.cells, delta.sketches
    cell_rows, group_rows = cells.rows.tolist(), sketches.rows.tolist()
    cell_panes, group_panes = cells.panes.tolist(), sketches.panes.tolist()
    row_of = {row: i for i, row in enumerate(sorted({*cell_rows, *group_rows}))}
    pane_of = {pane: i for i, pane in enumerate(sorted({*cell_panes, *group_panes}))}
    register_entries = sketches.register_entries.tolist()
    return _DeltaWire(
        VERSION,
        *rows.written(list(row_of)),
        list(pane_of),
        [pane_of[pane] for pane in cell_panes],
        [row_of[row] for row in cell_rows],
        cells.counters.tolist(),
        cells.amounts.tolist(),
        [pane_of[pane] for pane in group_panes],
        [row_of[row] for row in group_rows],
        sketches.distincts.tolist(),
        sketches.sizes.tolist(),
        [register_entry >> RANK_BITS for register_entry in register_entries],
        [register_entry & ((1 << RANK_BITS) - 1) for register_entry in register_entries],
    )


def _many(delta: PaneDelta, rows: RowIndex) -> _DeltaWire:
    cells, sketches = delta.cells, delta.sketches
    used, row_of = unique_inverse(np.concatenate((cells.rows, sketches.rows)), len(rows))
    panes, pane_of = places(np.concatenate((cells.panes, sketches.panes)))
    n = len(cells.keys)
    return _DeltaWire(
        VERSION,
        *rows.written(used.tolist()),
        pack(panes),
        pack(pane_of[:n]),
        pack_delta_encoded(row_of[:n]),
        pack(cells.counters),
        pack(cells.amounts),
        pack(pane_of[n:]),
        pack_delta_encoded(row_of[n:]),
        pack(sketches.distincts),
        pack(sketches.sizes),
        pack_delta_encoded(sketches.register_entries >> RANK_BITS),
        pack(sketches.register_entries & ((1 << RANK_BITS) - 1)),
    )


def decode(data: bytes, rows: RowIndex) -> PaneDelta:
    """Decode a delta into rows of `rows`."""
    body = data[1:]
    wire = _decoder.decode(zstandard.decompress(body) if data[:1] == _COMPRESSED else body)
    if wire.version not in _READABLE:
        raise ValueError(
            f"unknown pane format {wire.version}: this version of salepulse reads up to {VERSION}; upgrade it"
        )
    row_of = rows.read(wire.scopes, wire.values)
    panes = unpack(wire.panes)
    keys = pane_keys(panes[unpack(wire.cell_panes)], row_of[unpack(wire.cell_rows)], unpack(wire.cell_counters))
    groups = pane_keys(panes[unpack(wire.group_panes)], row_of[unpack(wire.group_rows)], unpack(wire.group_distincts))
    register_entries: RegisterEntries = unpack_uint32(wire.registers)
    register_entries <<= RANK_BITS
    register_entries |= unpack_uint32(wire.ranks)
    return PaneDelta(
        Cells(keys, unpack(wire.cell_amounts)).sorted(),
        Sketches(groups, np.cumsum(unpack(wire.group_sizes)), register_entries).sorted(),
        shipping_from_wire(wire.shipping, rows),
        ledger_from_wire(wire.stock, rows.stock),
    )
