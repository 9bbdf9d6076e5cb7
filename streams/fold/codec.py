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
from streams.panes.extremes import NO_EXTREMES, Extremes, extremes_of
from streams.panes.histograms import NO_HISTOGRAMS, Histograms, histograms_of
from streams.panes.keys import pane_keys, panes_of, rows_of
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


VERSION = 5
"""Older processes must not read newer formats: merging parts would drop the fields that they do not know."""
COMPATIBLE_VERSION = 4
"""Written where it can hold the delta, so that older processes can read it."""
_READABLE = (1, 2, 3, COMPATIBLE_VERSION, VERSION)
"""1 lacks `shipping` and `stock`, 2 lacks delta-encoded columns, 3 lacks the counters of repeats and has order
records without sizes and creations; 4 lacks extremes and quantiles, and all ids but the following."""
_COUNTERS_OF_4, _DISTINCTS_OF_4 = 31, 3
_DIMENSIONS_OF_4 = bytes((*range(10), 128, 129, 130, 160))

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


class _ExtremesWire(msgspec.Struct, array_like=True):
    panes: Column
    """Index of each pane in those of the delta."""
    rows: Column
    """Index of each row in those of the delta."""
    ids: Column
    values: Column
    """Zigzag-encoded: 0, -1, 1, -2 are 0, 1, 2, 3."""


class _QuantilesWire(msgspec.Struct, array_like=True):
    panes: Column
    """Index of each pane in those of the delta."""
    rows: Column
    """Index of each row in those of the delta."""
    ids: Column
    sizes: Column
    buckets: Column
    counts: Column


class _DeltaWire5(_DeltaWire, array_like=True):
    extremes: _ExtremesWire | None = None
    quantiles: _QuantilesWire | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_DeltaWire5)


def encode(delta: PaneDelta, rows: RowIndex, *, compress: bool = True) -> bytes:
    """Encode a delta."""
    added = len(delta.extremes.keys) + len(delta.quantiles.counts)
    few = len(delta.cells.keys) + len(delta.sketches.register_entries) + added < _FEW
    wire = _few(delta, rows) if few and not added else _many(delta, rows)
    if wire.version == COMPATIBLE_VERSION and not _fits_4(delta, wire.scopes):
        wire = _version_5(wire)
    wire.shipping, wire.stock = shipping_to_wire(delta.shipping, rows), ledger_to_wire(delta.stock, rows.stock)
    data = _encoder.encode(wire)
    if few and delta.shipping.size + delta.stock.size < _FEW:
        return _PLAIN + data
    return _COMPRESSED + zstandard.compress(data, _LEVEL) if compress else _PLAIN + data


def _fits_4(delta: PaneDelta, scope_ids: bytes) -> bool:
    return (
        not scope_ids.translate(None, _DIMENSIONS_OF_4)
        and delta.cells.counters.max(initial=0) < _COUNTERS_OF_4
        and delta.sketches.distincts.max(initial=0) < _DISTINCTS_OF_4
    )


def _version_5(
    wire: _DeltaWire, extremes: _ExtremesWire | None = None, quantiles: _QuantilesWire | None = None
) -> _DeltaWire5:
    fields = msgspec.structs.asdict(wire) | {"version": VERSION}
    return _DeltaWire5(**fields, extremes=extremes, quantiles=quantiles)


def _few(delta: PaneDelta, rows: RowIndex) -> _DeltaWire:
    cells, sketches = delta.cells, delta.sketches
    cell_rows, group_rows = cells.rows.tolist(), sketches.rows.tolist()
    cell_panes, group_panes = cells.panes.tolist(), sketches.panes.tolist()
    row_of = {row: i for i, row in enumerate(sorted({*cell_rows, *group_rows}))}
    pane_of = {pane: i for i, pane in enumerate(sorted({*cell_panes, *group_panes}))}
    register_entries = sketches.register_entries.tolist()
    return _DeltaWire(
        COMPATIBLE_VERSION,
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
    keys = np.concatenate((cells.keys, sketches.groups, delta.extremes.keys, delta.quantiles.groups))
    used, row_of = unique_inverse(rows_of(keys), len(rows))
    panes, pane_of = places(panes_of(keys))
    n = len(cells.keys)
    end = n + len(sketches.groups)
    wire = _DeltaWire(
        COMPATIBLE_VERSION,
        *rows.written(used.tolist()),
        pack(panes),
        pack(pane_of[:n]),
        pack_delta_encoded(row_of[:n]),
        pack(cells.counters),
        pack(cells.amounts),
        pack(pane_of[n:end]),
        pack_delta_encoded(row_of[n:end]),
        pack(sketches.distincts),
        pack(sketches.sizes),
        pack_delta_encoded(sketches.register_entries >> RANK_BITS),
        pack(sketches.register_entries & ((1 << RANK_BITS) - 1)),
    )
    if end == len(keys):
        return wire
    middle = end + len(delta.extremes.keys)
    extremes = _extremes_to_wire(delta.extremes, pane_of[end:middle], row_of[end:middle])
    return _version_5(wire, extremes, _quantiles_to_wire(delta.quantiles, pane_of[middle:], row_of[middle:]))


def _extremes_to_wire(extremes: Extremes, pane_of: Ints, row_of: Ints) -> _ExtremesWire | None:
    if not extremes:
        return None
    zigzag = extremes.values << 1 ^ extremes.values >> 63
    return _ExtremesWire(pack(pane_of), pack_delta_encoded(row_of), pack(extremes.ids), pack(zigzag))


def _quantiles_to_wire(quantiles: Histograms, pane_of: Ints, row_of: Ints) -> _QuantilesWire | None:
    if not quantiles:
        return None
    return _QuantilesWire(
        pack(pane_of),
        pack_delta_encoded(row_of),
        pack(quantiles.ids),
        pack(quantiles.sizes),
        pack_delta_encoded(quantiles.buckets),
        pack(quantiles.counts),
    )


def _extremes_from_wire(wire: _ExtremesWire | None, panes: Ints, row_of: Ints) -> Extremes:
    if wire is None:
        return NO_EXTREMES
    zigzag = unpack(wire.values)
    keys = pane_keys(panes[unpack(wire.panes)], row_of[unpack(wire.rows)], unpack(wire.ids))
    return extremes_of(keys, zigzag >> 1 ^ -(zigzag & 1))


def _quantiles_from_wire(wire: _QuantilesWire | None, panes: Ints, row_of: Ints) -> Histograms:
    if wire is None:
        return NO_HISTOGRAMS
    groups = pane_keys(panes[unpack(wire.panes)], row_of[unpack(wire.rows)], unpack(wire.ids))
    buckets = unpack(wire.buckets).astype(np.uint16)
    return histograms_of(np.repeat(groups, unpack(wire.sizes)), buckets, unpack(wire.counts))


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
        _extremes_from_wire(wire.extremes, panes, row_of),
        _quantiles_from_wire(wire.quantiles, panes, row_of),
    )
