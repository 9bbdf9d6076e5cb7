"""How a `PaneDelta` is written in Redis: strings once, numbers in as few bytes as they need, then compressed.

A first byte says whether the rest is compressed (zstd). The rest is a MessagePack array: version, scope ids, values,
then the columns, each a list of integers or, where there are many, a byte that tells the item type and the items. Rows
are renumbered from 0, since a process's own row numbers mean nothing outside it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from streams.arrays import Ints, compact
from streams.cells import Cells, cell_keys
from streams.panes import PaneDelta
from streams.rows import Rows
from streams.scopes import DIMENSION_IDS, DIMENSIONS
from streams.sketch import RANK_BITS
from streams.sketches import Sketches, group_keys

VERSION = 1

_TYPES = tuple(np.dtype(kind) for kind in ("<u1", "<u2", "<u4", "<i8"))

_FEW = 256
"""With fewer numbers than this, walking them one by one costs less than arrays do."""
_PLAIN, _COMPRESSED = b"\x00", b"\x01"
_LEVEL = 1

_Column = bytes | list[int]
"""The items, one by one or packed: a byte that is the place of their type in `_TYPES`, then the items."""


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


def encode(delta: PaneDelta, rows: Rows, *, compress: bool = True) -> bytes:
    """The delta in bytes."""
    if len(delta.cells.keys) + len(delta.sketches.coupons) < _FEW:
        return _PLAIN + _encoder.encode(_few(delta, rows))
    data = _encoder.encode(_many(delta, rows))
    return _COMPRESSED + zstandard.compress(data, _LEVEL) if compress else _PLAIN + data


def _few(delta: PaneDelta, rows: Rows) -> _Wire:
    cells, sketches = delta.cells, delta.sketches
    cell_rows, group_rows = cells.rows.tolist(), sketches.rows.tolist()
    cell_panes, group_panes = cells.panes.tolist(), sketches.panes.tolist()
    row_of = {row: i for i, row in enumerate(sorted({*cell_rows, *group_rows}))}
    pane_of = {pane: i for i, pane in enumerate(sorted({*cell_panes, *group_panes}))}
    labels = [rows.labels[row] for row in row_of]
    coupons = sketches.coupons.tolist()
    return _Wire(
        VERSION,
        bytes([DIMENSION_IDS[scope] for scope, _ in labels]),
        [value for _, value in labels],
        list(pane_of),
        [pane_of[pane] for pane in cell_panes],
        [row_of[row] for row in cell_rows],
        cells.counters.tolist(),
        cells.amounts.tolist(),
        [pane_of[pane] for pane in group_panes],
        [row_of[row] for row in group_rows],
        sketches.distincts.tolist(),
        sketches.sizes.tolist(),
        [coupon >> RANK_BITS for coupon in coupons],
        [coupon & ((1 << RANK_BITS) - 1) for coupon in coupons],
    )


def _many(delta: PaneDelta, rows: Rows) -> _Wire:
    cells, sketches = delta.cells, delta.sketches
    used, row_of = compact(np.concatenate((cells.rows, sketches.rows)), len(rows))
    panes, pane_of = np.unique(np.concatenate((cells.panes, sketches.panes)), return_inverse=True)
    labels = [rows.labels[row] for row in used.tolist()]
    n = len(cells.keys)
    return _Wire(
        VERSION,
        bytes([DIMENSION_IDS[scope] for scope, _ in labels]),
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


def decode(data: bytes, rows: Rows) -> PaneDelta:
    """The delta that `encode` wrote, its strings numbered by `rows`."""
    body = data[1:]
    wire = _decoder.decode(zstandard.decompress(body) if data[:1] == _COMPRESSED else body)
    if wire.version != VERSION:
        raise ValueError(f"pane format {wire.version} is not known to this version of salepulse (it knows {VERSION})")
    by_scope = {DIMENSION_IDS[scope]: rows.by_scope[scope] for scope in DIMENSIONS}
    row_of = np.array([by_scope[scope][value] for scope, value in zip(wire.scopes, wire.values, strict=True)], np.int64)
    panes = _unpack(wire.panes)
    keys = cell_keys(panes[_unpack(wire.cell_panes)], row_of[_unpack(wire.cell_rows)], _unpack(wire.cell_counters))
    groups = group_keys(
        panes[_unpack(wire.group_panes)], row_of[_unpack(wire.group_rows)], _unpack(wire.group_distincts)
    )
    coupons = (_unpack(wire.registers) << RANK_BITS | _unpack(wire.ranks)).astype(np.uint32)
    return PaneDelta(
        Cells(keys, _unpack(wire.cell_amounts)).sorted(),
        Sketches(groups, np.cumsum(_unpack(wire.group_sizes)), coupons).sorted(),
    )


def _pack(numbers: npt.NDArray[Any]) -> _Column:
    if len(numbers) == 0:
        return []
    low, high = int(numbers.min()), int(numbers.max())
    kind = next(i for i, kind in enumerate(_TYPES) if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return bytes((kind,)) + numbers.astype(_TYPES[kind]).tobytes()


def _unpack(column: _Column) -> Ints:
    if isinstance(column, list):
        return np.array(column, np.int64)
    return np.frombuffer(column, _TYPES[column[0]], offset=1).astype(np.int64)
