"""How a `PaneDelta` is written in Redis: strings once, numbers in as few bytes as they need, then deflated.

Version 1 is a MessagePack array: version, scope ids, values, then for each column its item type and its bytes. Rows are
renumbered from 0, since a process's own row numbers mean nothing outside it.
"""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import numpy.typing as npt

from streams.arrays import Ints, compact
from streams.panes import Cells, PaneDelta, Sketches, cell_keys, group_keys
from streams.scopes import SCOPE_IDS, SCOPES, Rows
from streams.sketch import RANK_BITS

VERSION = 1

_SMALLEST = (np.uint8, np.uint16, np.uint32, np.int64)

_Column = tuple[str, bytes]
"""Item type (numpy's code, little-endian) and the items."""


class _Wire(msgspec.Struct, array_like=True):
    version: int
    scopes: bytes
    """Scope id of each row."""
    values: list[str]
    """Value of each row, parallel."""
    panes: _Column
    """Distinct pane starts, seconds since the epoch."""
    cell_panes: _Column
    cell_rows: _Column
    cell_counters: _Column
    cell_amounts: _Column
    group_panes: _Column
    group_rows: _Column
    group_distincts: _Column
    group_sizes: _Column
    registers: _Column
    ranks: _Column


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(delta: PaneDelta, rows: Rows, *, deflate: int = 1) -> bytes:
    """The delta in bytes; `deflate` is zlib's level, 0 for none."""
    cells, sketches = delta.cells, delta.sketches
    used, row_of = compact(np.concatenate((cells.rows, sketches.rows)), len(rows))
    panes, pane_of = np.unique(np.concatenate((cells.panes, sketches.panes)), return_inverse=True)
    labels = [rows.labels[row] for row in used.tolist()]
    n = len(cells.keys)
    wire = _Wire(
        VERSION,
        bytes([SCOPE_IDS[scope] for scope, _ in labels]),
        [value for _, value in labels],
        _pack(panes),
        _pack(pane_of[:n]),
        _pack(row_of[:n]),
        _pack(cells.counters),
        _pack(cells.amounts),
        _pack(pane_of[n:]),
        _pack(row_of[n:]),
        _pack(sketches.distincts),
        _pack(sketches.sizes),
        _pack(sketches.coupons >> RANK_BITS),
        _pack(sketches.coupons & ((1 << RANK_BITS) - 1)),
    )
    return zlib.compress(_encoder.encode(wire), deflate, wbits=-15)


def decode(data: bytes, rows: Rows) -> PaneDelta:
    """The delta that `encode` wrote, its strings numbered by `rows`."""
    wire = _decoder.decode(zlib.decompress(data, wbits=-15))
    if wire.version != VERSION:
        raise ValueError(f"pane format {wire.version} is not known to this version of salepulse (it knows {VERSION})")
    by_scope = [rows.by_scope[scope] for scope in SCOPES]
    row_of = np.array([by_scope[scope][value] for scope, value in zip(wire.scopes, wire.values, strict=True)], np.int64)
    panes = _unpack(wire.panes)
    keys = cell_keys(panes[_unpack(wire.cell_panes)], row_of[_unpack(wire.cell_rows)], _unpack(wire.cell_counters))
    groups = group_keys(panes[_unpack(wire.group_panes)], row_of[_unpack(wire.group_rows)], _unpack(wire.group_distincts))
    coupons = (_unpack(wire.registers) << RANK_BITS | _unpack(wire.ranks)).astype(np.uint32)
    return PaneDelta(
        Cells(keys, _unpack(wire.cell_amounts)).sorted(), Sketches(groups, np.cumsum(_unpack(wire.group_sizes)), coupons).sorted()
    )


def _pack(numbers: npt.NDArray[np.generic]) -> _Column:
    if len(numbers) == 0:
        return "u1", b""
    low, high = int(numbers.min()), int(numbers.max())
    kind = next(kind for kind in _SMALLEST if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return np.dtype(kind).newbyteorder("<").str[1:], numbers.astype(np.dtype(kind).newbyteorder("<")).tobytes()


def _unpack(column: _Column) -> Ints:
    kind, data = column
    return np.frombuffer(data, np.dtype(f"<{kind}")).astype(np.int64)
