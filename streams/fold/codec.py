"""Encoding of a `PaneDelta` in Redis: each string once, integers packed, then compressed.

The first byte flags compression (zstd). The rest is a MessagePack array: version, scope ids, values, then the columns,
each a list of integers or packed (`streams.panes.packing`). Rows are renumbered from 0, since row numbers are local to
a process.
"""

from __future__ import annotations

import msgspec
import numpy as np
import zstandard

from streams.fold.delta import PaneDelta
from streams.panes.arrays import places, unique_inverse
from streams.panes.cells import Cells, cell_keys
from streams.panes.packing import Column, pack, pack_delta_encoded, unpack, unpack_uint32
from streams.panes.rows import RowIndex
from streams.panes.sketch import RANK_BITS, RegisterEntries
from streams.panes.sketches import Sketches, group_keys
from streams.shipping.wire import ShippingWire, from_wire, to_wire
from streams.stock.wire import LedgerWire
from streams.stock.wire import from_wire as ledger_from_wire
from streams.stock.wire import to_wire as ledger_to_wire

VERSION = 4
"""Older processes must not read newer formats: merging parts would drop what they do not know."""
_READABLE = (1, 2, 3, VERSION)
"""1 lacks `shipping` and `stock`, 2 lacks delta-encoded columns, 3 lacks the counters of repeats and has order
records without sizes and creations."""

_FEW = 256
"""Below this length, loops are cheaper than arrays."""
_PLAIN, _COMPRESSED = b"\x00", b"\x01"
_LEVEL = 1


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
    wire.shipping, wire.stock = to_wire(delta.shipping, rows), ledger_to_wire(delta.stock, rows.stock)
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
    keys = cell_keys(panes[unpack(wire.cell_panes)], row_of[unpack(wire.cell_rows)], unpack(wire.cell_counters))
    groups = group_keys(panes[unpack(wire.group_panes)], row_of[unpack(wire.group_rows)], unpack(wire.group_distincts))
    register_entries: RegisterEntries = unpack_uint32(wire.registers)
    register_entries <<= RANK_BITS
    register_entries |= unpack_uint32(wire.ranks)
    return PaneDelta(
        Cells(keys, unpack(wire.cell_amounts)).sorted(),
        Sketches(groups, np.cumsum(unpack(wire.group_sizes)), register_entries).sorted(),
        from_wire(wire.shipping, rows),
        ledger_from_wire(wire.stock, rows.stock),
    )
