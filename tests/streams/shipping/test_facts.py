"""Facts are the first event of each kind, in any order of arrival."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.shipping.facts import (
    NO_FACTS,
    Creation,
    OrderFacts,
    OrderLabels,
    PartialRefund,
    Payment,
    Shipment,
    facts_with,
    known_before,
    merge,
    repeated_events,
)

_times = st.integers(0, 5_000)
_words = st.sampled_from(("", "a", "b"))
_ids = st.sampled_from(("e-1", "e-2"))
labels = st.builds(OrderLabels, _words, _words, _words)
payments = st.builds(Payment, _times, _ids, labels, st.integers(0, 9), st.integers(1, 3))
creations = st.builds(Creation, _times, _ids, labels)
shipments = st.builds(Shipment, _times, _ids, st.integers(-1, 9), _words, _words, _words)
_part = st.builds(PartialRefund, _times, st.integers(0, 3), st.integers(0, 9))
parts = st.sets(_part, max_size=4).map(lambda held: tuple(sorted(held)))
facts = st.builds(
    OrderFacts,
    st.none() | payments,
    st.none() | _times,
    st.none() | shipments,
    st.none() | shipments,
    st.none() | _times,
    st.none() | creations,
    parts,
    parts,
)


@given(facts, facts, facts, st.sampled_from((500, 3)))
def test_merging_is_associative_commutative_and_idempotent(
    one: OrderFacts, two: OrderFacts, three: OrderFacts, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.shipping.facts.MAX_PARTS", most)
        one, two, three = (
            held._replace(refunds=held.refunds[:most], cancellations=held.cancellations[:most])
            for held in (one, two, three)
        )
        assert merge(one, merge(two, three)) == merge(merge(one, two), three)
        assert merge(one, two) == merge(two, one)
        assert merge(one, one) == merge(one, NO_FACTS) == merge(NO_FACTS, one) == one


def test_of_two_payments_at_the_same_time_the_smaller_event_id_is_first() -> None:
    later = OrderFacts(Payment(5, "e-10", OrderLabels("east"), 1, 1))
    first = OrderFacts(Payment(5, "e-09", OrderLabels("west"), 1, 1))
    assert merge(later, first) == first


@given(st.lists(payments | creations, max_size=6), st.randoms(use_true_random=False))
def test_all_but_the_first_of_a_kind_are_repeats_in_any_order(events: list[Payment | Creation], chance: Random) -> None:
    events = list({(type(event), event[:2]): event for event in events}.values())
    chance.shuffle(events)
    known, found = NO_FACTS, []
    while events:
        batch, events = events[: (count := chance.randint(1, 3))], events[count:]
        batch_facts = NO_FACTS
        for fact in map(facts_with, batch):
            found += repeated_events(batch_facts, fact)
            batch_facts = merge(batch_facts, fact)
        found += repeated_events(known, batch_facts)
        known = merge(known, batch_facts)
    kept = [fact for fact in (known.paid, known.created) if fact is not None]
    assert sorted(map(repr, found + kept)) == sorted(map(repr, {*found, *kept}))
    for first in kept:
        assert all(first[:2] < event[:2] for event in found if type(event) is type(first))


def test_a_duplicate_event_is_no_repeat() -> None:
    held = OrderFacts(Payment(5, "e-1", OrderLabels(), 1, 1), created=Creation(4, "e-1", OrderLabels()))
    assert repeated_events(held, held) == []


def test_known_before_selects_earlier_facts() -> None:
    held = OrderFacts(Payment(2_999, "e-1", OrderLabels(), 1, 1), called_off_ms=3_000)
    assert known_before(held, 3) == OrderFacts(held.paid)
    assert known_before(held, 2) == NO_FACTS
