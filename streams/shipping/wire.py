"""Encoding of a `ShippingDelta` as part of a `PaneDelta`: labels once, then columns (`streams.panes.packing`)."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.panes.arrays import places, unique_inverse
from streams.panes.cells import Cells, cell_keys
from streams.panes.packing import Column, pack, unpack
from streams.panes.rows import RowIndex
from streams.shipping.corrections import RetroactiveCorrections
from streams.shipping.delta import NO_SHIPPING, ShippingDelta


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


def to_wire(delta: ShippingDelta, rows: RowIndex) -> ShippingWire | None:
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


def from_wire(wire: ShippingWire | None, rows: RowIndex) -> ShippingDelta:
    """Decode a delta, numbering its labels by `rows`."""
    if wire is None:
        return NO_SHIPPING
    row_of = rows.read(wire.scopes, wire.values)
    panes = np.cumsum(unpack(wire.pane_steps))[unpack(wire.panes)]
    keys = cell_keys(panes, row_of[unpack(wire.rows)], unpack(wire.counters))
    amounts = unpack(wire.amounts)
    sums, late = wire.sizes[0], wire.sizes[0] + wire.sizes[1]
    valid_s = panes[sums:late] + unpack(wire.delays)
    return ShippingDelta(
        Cells(keys[:sums], amounts[:sums]).sorted(),
        RetroactiveCorrections(keys[sums:late], valid_s, amounts[sums:late]).sorted(),
        Cells(keys[late:], amounts[late:]).sorted(),
    )
