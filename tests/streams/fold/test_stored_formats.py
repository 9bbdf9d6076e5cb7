"""What earlier versions stored is read, and stored bytes do not change where the format does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.fold.codec import decode, encode
from streams.fold.delta import PaneDelta
from streams.panes.cells import Cells
from streams.panes.rows import Numbering, RowIndex
from streams.stock.ledger import LedgerEntries
from tests.streams.fold.stored_contents import Contents, Place, contents
from tests.streams.plain import delta_of, plain

FOLDER = Path(__file__).with_name("stored_formats")
"""Written by the last release of each format, not compressed: `few` with numbers as lists, `many` packed."""
SIZES = {"few": 30, "many": 300}
OLD = [(version, form) for version in (1, 2, 3, 4) for form in SIZES]


def stored(version: int, form: str) -> bytes:
    return (FOLDER / f"format_{version}_{form}.bin").read_bytes()


def read(data: bytes, rows: RowIndex) -> Contents:
    delta = decode(data, rows)
    sums, registers, extremes, histograms = plain(delta, rows)
    assert (extremes, histograms) == ({}, {})
    corrections = delta.shipping.corrections
    valid_s = corrections.valid_s.tolist()
    amounts = corrections.amounts.tolist()
    return Contents(
        {(pane, *label, i): amount for (pane, label, i), amount in sums.items()},
        {(pane, *label, i): ranks for (pane, label, i), ranks in registers.items()},
        _named(delta.shipping.sums, rows),
        {
            ((place, valid)): n
            for place, valid, n in zip(_places(corrections.cells, rows), valid_s, amounts, strict=True)
        },
        _named(delta.shipping.waiting, rows),
        _entries(delta.stock.moves, rows, rows.stock.warehouses),
        _entries(delta.stock.levels, rows, rows.stock.warehouses),
        _entries(delta.stock.sales, rows, rows.stock.promotions),
    )


def _places(cells: Cells, rows: RowIndex) -> list[Place]:
    columns = zip(cells.panes.tolist(), cells.rows.tolist(), cells.counters.tolist(), strict=True)
    return [(pane, *rows.labels[row], counter) for pane, row, counter in columns]


def _named(cells: Cells, rows: RowIndex) -> dict[Place, int]:
    return dict(zip(_places(cells, rows), cells.amounts.tolist(), strict=True))


def _entries(entries: LedgerEntries, rows: RowIndex, others: Numbering) -> dict[tuple[str, str, int], int]:
    columns = (column.tolist() for column in (entries.skus, entries.others, entries.times, entries.amounts))
    return {
        (rows.stock.skus.names[sku], others.names[other] if other >= 0 else "", ms): amount
        for sku, other, ms, amount in zip(*columns, strict=True)
    }


@pytest.mark.parametrize(("version", "form"), OLD)
def test_every_format_is_read(version: int, form: str) -> None:
    data = stored(version, form)
    assert msgspec.msgpack.decode(data[1:])[0] == version
    assert read(data, RowIndex()) == contents(version, SIZES[form])


@pytest.mark.parametrize("form", SIZES)
def test_the_format_of_built_in_numbers_keeps_its_bytes(form: str) -> None:
    rows = RowIndex()
    data = stored(4, form)
    assert encode(decode(data, rows), rows, compress=False) == data


def of_format_5(rows: RowIndex) -> PaneDelta:
    """A delta with every part that format 5 added."""
    numbers = [rows.row("all", ""), *(rows.row("channel", name) for name in ("app", "é"))]
    values = [(1_699_660_800 + 7 * i, numbers[i % 3], 128 + i % 4, 3**i) for i in range(30)]
    negated = [(second, row, i, -value) for second, row, i, value in values]
    return delta_of(values[:5], [(1_699_660_800, numbers[1], 130, 9, 4)], values[:15] + negated[15:], values)


def test_format_5_is_read_and_keeps_its_bytes() -> None:
    data, rows = (FOLDER / "format_5.bin").read_bytes(), RowIndex()
    assert msgspec.msgpack.decode(data[1:])[0] == 5
    assert plain(decode(data, rows), rows) == plain(of_format_5(rows), rows)
    here = RowIndex()
    assert encode(of_format_5(here), here, compress=False) == data
