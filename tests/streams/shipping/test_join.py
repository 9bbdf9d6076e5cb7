"""Joining what a batch tells with records gives what its orders add, however many are joined at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.rows import Rows
from streams.shipping.delta import delta_of
from streams.shipping.expansion import change
from streams.shipping.facts import NOTHING, Facts, Payment
from streams.shipping.join import RecordKey, join, key_of
from streams.shipping.record import decode, encode
from tests.streams.shipping.orders import LIMITS
from tests.streams.shipping.plain import plain

_words = st.sampled_from(("", "a", "b"))
payments = st.builds(Payment, st.integers(0, 90_000), st.sampled_from(("e-1", "e-2")), _words, _words, _words)


def keyed(found: list[Facts]) -> dict[RecordKey, Facts]:
    return {key_of(f"o-{i}"): facts for i, facts in enumerate(found)}


@settings(deadline=None)
@given(st.lists(payments, max_size=6), st.lists(st.none() | payments, min_size=6, max_size=6))
def test_many_payments_at_once_are_what_each_by_itself_is(told: list[Payment], known: list[Payment | None]) -> None:
    rows, facts = Rows(), keyed([Facts(paid) for paid in told])
    records = {key: None if held is None else encode(Facts(held)) for key, held in zip(facts, known, strict=False)}
    joined = join(facts, records, LIMITS, rows)
    entries = []
    for paid, held in zip(told, known, strict=False):
        first = paid if held is None else min(paid, held)
        entries += change(NOTHING if held is None else Facts(held), Facts(first), LIMITS)
    assert plain(joined.delta, rows) == plain(delta_of(entries, rows), rows)
    for key, before, after in joined.changes:
        assert before == records[key]
        assert before != after
        assert decode(after) == Facts(min(facts[key].paid, (before and decode(before).paid) or facts[key].paid))  # type: ignore[type-var]


def test_two_orders_are_in_two_places() -> None:
    assert len({key_of(f"o-{i}") for i in range(10_000)}) == 10_000
    assert all(len(key_of(f"o-{i}")) == 12 for i in range(10))
