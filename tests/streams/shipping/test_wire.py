"""Shipping deltas round-trip for any row numbers."""

from __future__ import annotations

from hypothesis import given, settings

from streams.fold.codec import decode, encode
from streams.fold.delta import PaneDelta
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.shipping.delta import delta_of, merge_shipping
from streams.shipping.expansion import change
from streams.shipping.facts import NO_FACTS
from tests.streams.shipping.orders import LIMITS, facts_by_order, lives
from tests.streams.shipping.plain import plain
from tests.support.events import Event


@settings(deadline=None)
@given(lives)
def test_a_round_trip_changes_nothing_but_row_numbers(events: list[Event]) -> None:
    here, there = RowIndex(), RowIndex()
    there.row(Scope.SKU, "something else")
    deltas = [delta_of(change(NO_FACTS, fact, LIMITS), here) for _, fact in facts_by_order(events)]
    for delta in (*deltas, merge_shipping(deltas)):
        held = decode(encode(PaneDelta(shipping=delta), here), there).shipping
        assert plain(held, there) == plain(delta, here)


@settings(deadline=None)
@given(lives)
def test_the_parts_of_a_cut_merge_to_the_whole(events: list[Event]) -> None:
    rows = RowIndex()
    whole = merge_shipping([delta_of(change(NO_FACTS, fact, LIMITS), rows) for _, fact in facts_by_order(events)])
    parts = dict(whole.cut(20))
    assert list(parts) == sorted(parts)
    for start, part in parts.items():
        assert part
        assert all(start <= pane < start + 20 for pane, *_ in plain(part, rows))
    assert plain(merge_shipping(list(parts.values())), rows) == plain(whole, rows)
