"""Rows are numbered by scope and value, in the dimensions of the model and in unknown ones that were stored."""

from __future__ import annotations

from streams.dictionary.file import read_model_file
from streams.fold.codec import decode, encode
from streams.fold.delta import merge
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from tests.streams.plain import delta_of, plain

OWN = """
version: 1
fields: {orders: {bank: label}}
dimensions:
  - {name: bank, field: bank}
  - {name: bank_sku, cross: [bank, sku]}
"""


def own_rows() -> RowIndex:
    read = read_model_file(OWN, exponent=2)
    assert not read.errors
    return RowIndex(read.model)


def test_own_dimensions_have_rows() -> None:
    rows = own_rows()
    assert rows.find("bank", "a") is None
    row = rows.row("bank", "a")
    assert (rows.find("bank", "a"), rows.of("bank"), rows.labels[row]) == (row, [row], ("bank", "a"))
    assert rows.by_scope["bank"][None] == rows.by_scope["bank"][""] == -1


def test_distinct_counts_are_coarse_by_sku_and_in_crossings_with_it() -> None:
    rows = own_rows()
    labels = [("all", ""), ("sku", "s-1"), ("bank", "a"), ("bank_sku", "a|s-1"), ("channel", "app")]
    numbers = [rows.row(*label) for label in labels]
    assert rows.coarse_distincts()[numbers].tolist() == [False, True, False, True, False]


def test_dimensions_of_another_model_are_kept_as_they_were_stored() -> None:
    there, here, again = own_rows(), RowIndex(), own_rows()
    stored = delta_of(
        [(60, there.row("bank", "a"), 0, 1), (60, there.row(Scope.CHANNEL, "app"), 0, 2)],
        [(60, there.row("bank_sku", "a|b"), 0, 7, 3)],
    )
    read = decode(encode(stored, there), here)
    more = delta_of([(60, here.row(Scope.CHANNEL, "app"), 0, 5)], [])
    kept = decode(encode(merge([read, more]), here), again)
    expected = merge([stored, delta_of([(60, there.row(Scope.CHANNEL, "app"), 0, 5)], [])])
    assert plain(kept, again) == plain(expected, there)


def test_rows_of_unknown_dimensions_are_in_no_scope() -> None:
    rows = RowIndex()
    (row,) = rows.read(bytes([250]), ["x"]).tolist()
    assert all(row not in rows.of(scope) for scope in rows.by_scope)
    assert rows.read(bytes([250]), ["x"]).tolist() == [row]
    assert rows.written([row]) == (bytes([250]), ["x"])
