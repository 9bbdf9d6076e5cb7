"""Ledgers round-trip between processes with different numbers."""

from __future__ import annotations

import msgspec
from hypothesis import given

from streams.fold.codec import LedgerWire, ledger_from_wire, ledger_to_wire
from streams.panes.rows import Numbering, StockNames
from streams.stock.ledger import Ledger, LedgerEntries, merge_ledgers
from tests.streams.stock.ledgers import Event, events, ledger_of, numbered

Named = list[tuple[str, str | None, int, int]]


def named(ledger: Ledger, names: StockNames) -> list[Named]:
    """The ledger with names instead of numbers."""

    def words(entries: LedgerEntries, others: Numbering) -> Named:
        rows = zip(
            entries.skus.tolist(),
            entries.others.tolist(),
            entries.times.tolist(),
            entries.amounts.tolist(),
            strict=True,
        )
        return sorted(
            ((names.skus.names[sku], others.names[other] if other >= 0 else None, at, n) for sku, other, at, n in rows),
            key=str,
        )

    return [
        words(ledger.moves, names.warehouses),
        words(ledger.levels, names.warehouses),
        words(ledger.sales, names.promotions),
    ]


def elsewhere() -> StockNames:
    """Another process, with other names first and some of ours in another order."""
    names = StockNames()
    for sku in ("z", "c", "a"):
        names.skus[sku]
    for warehouse in ("west", "north"):
        names.warehouses[warehouse]
    return names


@given(events)
def test_a_round_trip_changes_only_numbers(happened: list[Event]) -> None:
    here, there = numbered(), elsewhere()
    ledger = ledger_of(happened, here)
    data = msgspec.msgpack.encode(ledger_to_wire(ledger, here))
    read = ledger_from_wire(msgspec.msgpack.decode(data, type=LedgerWire | None), there)
    assert named(read, there) == named(ledger, here)
    assert named(merge_ledgers([read]), there) == named(read, there)
    for entries in (read.moves, read.levels, read.sales):
        keys = list(zip(entries.pairs.tolist(), entries.times.tolist(), strict=True))
        assert keys == sorted(set(keys))


def test_an_empty_ledger_is_none() -> None:
    assert ledger_to_wire(Ledger(), StockNames()) is None
    assert not ledger_from_wire(None, StockNames())
