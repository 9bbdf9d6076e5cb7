"""Joining facts with records gives the orders' entries, however many are joined at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.cells import Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.rows import RowIndex
from streams.shipping.delta import delta_of
from streams.shipping.expansion import change
from streams.shipping.facts import (
    NO_FACTS,
    Creation,
    Fact,
    OrderFacts,
    OrderLabels,
    PartialRefund,
    Payment,
    facts_with,
    merge,
    repeated_events,
)
from streams.shipping.join import join, repeat_cells
from streams.shipping.order_facts import FactsByOrder
from streams.shipping.record import decode, encode, key_of, keys_of
from tests.streams.shipping.orders import LIMITS
from tests.streams.shipping.plain import plain

_words = st.sampled_from(("", "a", "b"))
_labels = st.builds(OrderLabels, _words, _words, _words, live_room=_words)
_times, _ids = st.integers(0, 90_000), st.sampled_from(("e-1", "e-2"))
payments = st.builds(Payment, _times, _ids, _labels, st.integers(0, 9), st.integers(1, 2))
creations = st.builds(Creation, _times, _ids, _labels)
refunds = st.builds(lambda ts, size: OrderFacts(refunds=(PartialRefund(ts, 1, size),)), _times, st.integers(0, 9))
single_facts = payments | creations | refunds
known = (
    st.none()
    | single_facts.map(facts_with)
    | st.builds(lambda paid, created: OrderFacts(paid, created=created), payments, creations)
)


@settings(deadline=None)
@given(st.lists(single_facts, max_size=6), st.lists(known, min_size=6, max_size=6))
def test_joining_many_orders_equals_joining_each(facts: list[Fact], known: list[OrderFacts | None]) -> None:
    rows, keys = RowIndex(), keys_of([f"o-{i}" for i in range(len(facts))])
    records = {key: None if held is None else encode(held) for key, held in zip(keys, known, strict=False)}
    joined = join(FactsByOrder(dict(zip(keys, facts, strict=True))), records, LIMITS, rows)
    entries, repeats, after = [], [], {}
    for key, fact, held in zip(keys, facts, known, strict=False):
        before = held or NO_FACTS
        after[key] = merge(before, facts_with(fact))
        entries += change(before, after[key], LIMITS)
        repeats += repeated_events(before, facts_with(fact))
    assert plain(joined.delta, rows) == plain(delta_of(entries, rows), rows)
    assert cells(joined.repeats, rows) == cells(repeat_cells(repeats, rows), rows)
    written = {change.key: change for change in joined.changes}
    for key, held in zip(keys, known, strict=False):
        assert (key in written) == (after[key] != (held or NO_FACTS))
        if key in written:
            assert written[key].before == records[key]
            assert decode(written[key].after) == after[key]


def cells(held: Cells, rows: RowIndex) -> dict[tuple[int, object, int], int]:
    places = zip(held.panes.tolist(), held.rows.tolist(), held.counters.tolist(), strict=True)
    named = ((pane, rows.labels[row], counter) for pane, row, counter in places)
    return dict(zip(named, held.amounts.tolist(), strict=True))


def test_repeats_count_by_their_own_time_and_labels() -> None:
    rows = RowIndex()
    first, again = (
        Payment(5_000, "e-1", OrderLabels("east"), 9, 1),
        Payment(7_999, "e-2", OrderLabels("west", member="true", campaign="spring"), 9, 1),
    )
    for held, late in ((first, again), (again, first)):  # whichever is known first, the later one is the repeat
        key = key_of("o-1")
        joined = join(FactsByOrder({key: late}), {key: encode(OrderFacts(held))}, LIMITS, rows)
        counter = COUNTER_IDS["repeat_payments"]
        places = [("all", ""), ("region", "west"), ("member", "true"), ("campaign", "spring")]
        assert cells(joined.repeats, rows) == {(7, place, counter): 1 for place in places}


def test_two_orders_have_different_record_keys() -> None:
    assert len(set(keys_of([f"o-{i}" for i in range(10_000)]))) == 10_000
    assert all(len(key_of(f"o-{i}")) == 12 for i in range(10))


PLACES = ["000092c90c4dbc98a2e786d4", "00014bd9571f3c717b8bea1a", "00010d088a9365ae78134525"]


def test_record_keys_equal_those_of_earlier_versions() -> None:
    places = [key_of(order_id).hex() for order_id in ("o-1", "Bestellung-\u00e4", "x" * 128)]
    assert places == PLACES
