"""Facts are the first event of each kind, whatever order they come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.shipping.facts import NOTHING, Facts, Payment, Shipment, known_before, merge

_times = st.integers(0, 5_000)
_words = st.sampled_from(("", "a", "b"))
payments = st.builds(Payment, _times, st.sampled_from(("e-1", "e-2")), _words, _words, _words)
shipments = st.builds(Shipment, _times, st.sampled_from(("e-1", "e-2")), st.integers(-1, 9), _words, _words, _words)
facts = st.builds(
    Facts, st.none() | payments, st.none() | _times, st.none() | shipments, st.none() | shipments, st.none() | _times
)


@given(facts, facts, facts)
def test_merging_is_associative_commutative_and_idempotent(one: Facts, two: Facts, three: Facts) -> None:
    assert merge(one, merge(two, three)) == merge(merge(one, two), three)
    assert merge(one, two) == merge(two, one)
    assert merge(one, one) == merge(one, NOTHING) == merge(NOTHING, one) == one


def test_of_two_payments_at_one_time_the_lesser_event_id_is_first() -> None:
    later = Facts(Payment(5, "e-10", "east", "", ""))
    first = Facts(Payment(5, "e-09", "west", "", ""))
    assert merge(later, first) == first


def test_what_was_known_before_a_moment() -> None:
    held = Facts(Payment(2_999, "e-1", "", "", ""), called_off_ms=3_000)
    assert known_before(held, 3) == Facts(held.paid)
    assert known_before(held, 2) == NOTHING
