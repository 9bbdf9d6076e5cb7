"""Entries of orders give the dictionary's numbers at every as-of, for any order of events."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.shipping.counters import COUNTERS_PER_ROW, ShippingCounter
from streams.shipping.delta import ShippingDelta, delta_of, merge_shipping
from streams.shipping.expansion import Entry, Labels, change, expand
from streams.shipping.facts import NO_FACTS, UNKNOWN, OrderFacts, OrderLabels, PartialRefund, Payment, Shipment, merge
from tests.streams.shipping.orders import LIMITS, answer, facts_by_order, lives
from tests.support.events import T0, Event
from tests.support.shipping_oracle import ShippingOracle


def joined(batches: list[list[tuple[str, OrderFacts]]], rows: RowIndex) -> list[ShippingDelta]:
    """The delta of each batch, with a record per order as in the store."""
    records: dict[str, OrderFacts] = {}
    deltas = []
    for batch in batches:
        changes: list[tuple[int, Entry]] = []
        for order_id, fact in batch:
            before = records.get(order_id, NO_FACTS)
            records[order_id] = merge(before, fact)
            changes += change(before, records[order_id], LIMITS)
        deltas.append(delta_of(changes, rows))
    return deltas


def split(facts: list[tuple[str, OrderFacts]], chance: Random) -> list[list[tuple[str, OrderFacts]]]:
    """In any order, with duplicates, in batches of any size."""
    facts = facts + chance.sample(facts, len(facts) // 2)
    chance.shuffle(facts)
    batches: list[list[tuple[str, OrderFacts]]] = [[]]
    for fact in facts:
        if chance.random() < 0.5:
            batches.append([])
        batches[-1].append(fact)
    return batches


@settings(max_examples=150, deadline=None)
@given(lives, st.randoms(use_true_random=False), st.data())
def test_every_answer_at_every_as_of_equals_the_oracles(events: list[Event], chance: Random, data: Any) -> None:
    rows = RowIndex()
    whole = merge_shipping(joined(split(facts_by_order(events), chance), rows))
    oracle = ShippingOracle(events, limit_ms=LIMITS.overdue_ms, horizon_ms=LIMITS.horizon_s * 1000)
    for _ in range(12):
        as_of_s = T0 + data.draw(st.integers(0, 110))
        start_s = as_of_s - data.draw(st.integers(0, 70))
        end_s = data.draw(st.sampled_from((as_of_s, max(start_s, as_of_s - 5), start_s)))
        for scope, value in (("all", ""), ("region", "a"), ("channel", "a"), ("promotion", "b")):
            expected = oracle.ask(start_s * 1000, end_s * 1000, as_of_s * 1000, scope, value)
            got = answer(whole, rows, start_s, end_s, as_of_s, Scope(scope), value)
            assert got == expected, (scope, value, start_s - T0, end_s - T0, as_of_s - T0)


@settings(max_examples=100, deadline=None)
@given(lives, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_order_batches_and_repeats_do_not_matter(events: list[Event], chance: Random, other: Random) -> None:
    rows, facts = RowIndex(), facts_by_order(events)
    for order_id, fact in facts:
        delta_of(change(NO_FACTS, fact, LIMITS), rows)  # so that both assign the same row numbers
        assert order_id
    one, two = (merge_shipping(joined(split(facts, how), rows)) for how in (chance, other))
    for name in ("sums", "waiting"):
        assert np.array_equal(getattr(one, name).keys, getattr(two, name).keys)
        assert np.array_equal(getattr(one, name).amounts, getattr(two, name).amounts)
    for name in ("keys", "valid_s", "amounts"):
        assert np.array_equal(getattr(one.corrections, name), getattr(two.corrections, name))


def paid(at: float, amount: int = 100, units: int = 2) -> Payment:
    return Payment(round(at * 1000), "e-1", OrderLabels("east"), amount, units)


def parts(*held: tuple[float, int]) -> tuple[PartialRefund, ...]:
    """Refunds or cancellations: when, and how much."""
    return tuple(PartialRefund(round(at * 1000), i, size) for i, (at, size) in enumerate(held))


def shipped(at: float, promised: float = -0.001, **labels: str) -> Shipment:
    return Shipment(
        round(at * 1000), "e-2", round(promised * 1000), "west", labels.get("carrier", ""), labels.get("warehouse", "")
    )


def summed(facts: OrderFacts) -> dict[tuple[int, int, Labels, ShippingCounter], int]:
    """Entries without histograms; ordinary cells are valid from their own pane on."""
    found: dict[tuple[int, int, Labels, ShippingCounter], int] = {}
    for pane_s, valid_s, labels, counter, amount in expand(facts, LIMITS):
        if counter >= COUNTERS_PER_ROW:
            continue
        key = (pane_s, max(pane_s, valid_s), labels, ShippingCounter(counter))
        found[key] = found.get(key, 0) + amount
    return {key: amount for key, amount in found.items() if amount}


EAST, WEST = Labels("east"), Labels("west")


class TestOneOrder:
    def test_a_paid_order_waits_and_becomes_overdue(self) -> None:
        assert summed(OrderFacts(paid(5))) == {
            (5, 5, EAST, ShippingCounter.WAITING): 1,
            (5, 5, EAST, ShippingCounter.UNSHIPPED): 1,
            (15, 15, EAST, ShippingCounter.OVERDUE): 1,
            (15, 15, EAST, ShippingCounter.DUE): 1,
        }

    def test_an_order_shipped_in_time_leaves_no_overdue_entries(self) -> None:
        assert summed(OrderFacts(paid(5), dispatched=shipped(8, carrier="dhl"))) == {
            (5, 5, EAST, ShippingCounter.UNSHIPPED): 1,
            (8, 8, EAST, ShippingCounter.UNSHIPPED): -1,
            (15, 15, EAST, ShippingCounter.DUE): 1,
            (15, 15, EAST, ShippingCounter.DUE_IN_TIME): 1,
            (8, 8, EAST._replace(carrier="dhl"), ShippingCounter.SHIP_INTERVALS): 1,
            (8, 8, EAST._replace(carrier="dhl"), ShippingCounter.SHIP_MS): 3000,
            (8, 8, EAST._replace(carrier="dhl"), ShippingCounter.SHIPPED_IN_TIME): 1,
        }

    def test_an_order_dispatched_before_its_payment_never_waits(self) -> None:
        assert summed(OrderFacts(paid(5), dispatched=shipped(2))) == {
            (15, 15, EAST, ShippingCounter.DUE): 1,
            (15, 15, EAST, ShippingCounter.DUE_IN_TIME): 1,
        }

    def test_an_order_cancelled_before_it_is_due_is_never_due(self) -> None:
        assert (15, 15, EAST, ShippingCounter.DUE) not in summed(OrderFacts(paid(5), refunds=parts((15, 100))))

    def test_an_order_cancelled_after_it_was_due_is_due_until_then(self) -> None:
        found = summed(OrderFacts(paid(5), cancellations=parts((16, 2)), dispatched=shipped(6)))
        assert {
            key: amount for key, amount in found.items() if key[3] in (ShippingCounter.DUE, ShippingCounter.DUE_IN_TIME)
        } == {
            (15, 15, EAST, ShippingCounter.DUE): 1,
            (15, 15, EAST, ShippingCounter.DUE_IN_TIME): 1,
            (15, 16, EAST, ShippingCounter.DUE): -1,
            (15, 16, EAST, ShippingCounter.DUE_IN_TIME): -1,
        }

    def test_a_partially_refunded_order_still_waits(self) -> None:
        assert summed(OrderFacts(paid(5), refunds=parts((7, 60), (9, 39)))) == summed(OrderFacts(paid(5)))

    def test_a_partially_cancelled_order_still_waits(self) -> None:
        assert summed(OrderFacts(paid(5, units=3), cancellations=parts((7, 1), (9, 1)))) == summed(OrderFacts(paid(5)))

    def test_refunds_and_cancellations_are_not_added(self) -> None:
        half = OrderFacts(paid(5), refunds=parts((7, 50)), cancellations=parts((8, 1)))
        assert summed(half) == summed(OrderFacts(paid(5)))

    def test_an_order_ends_when_its_parts_reach_the_payment(self) -> None:
        whole = OrderFacts(paid(5), refunds=parts((7, 60), (9, 40), (11, 40)))
        assert whole.ended_ms == 9_000
        assert summed(whole)[9, 9, EAST, ShippingCounter.UNSHIPPED] == -1
        assert (15, 15, EAST, ShippingCounter.DUE) not in summed(whole)

    def test_refunds_before_the_payment_count(self) -> None:
        assert summed(OrderFacts(paid(5), refunds=parts((2, 30), (6, 70))))[6, 6, EAST, ShippingCounter.UNSHIPPED] == -1
        assert summed(OrderFacts(paid(5), cancellations=parts((2, 2)))) == {}

    def test_a_free_order_ends_with_its_first_refund(self) -> None:
        assert summed(OrderFacts(paid(5, amount=0)))[5, 5, EAST, ShippingCounter.WAITING] == 1
        assert OrderFacts(paid(5, amount=0), refunds=parts((7, 0), (8, 0))).ended_ms == 7_000

    def test_the_first_part_ends_an_order_of_unknown_size(self) -> None:
        old = paid(5, UNKNOWN, UNKNOWN)
        assert OrderFacts(old, refunds=parts((7, 1), (8, 1))).ended_ms == 7_000
        assert OrderFacts(old, cancellations=parts((7, 1))).ended_ms == 7_000
        assert OrderFacts(paid(5), called_off_ms=7_000).ended_ms == 7_000

    def test_a_payment_after_the_delivery_changes_the_labels_of_the_delivery(self) -> None:
        found = summed(OrderFacts(paid(20), delivered=shipped(9)))
        assert {key: amount for key, amount in found.items() if key[3] is ShippingCounter.DELIVERED} == {
            (9, 9, WEST, ShippingCounter.DELIVERED): 1,
            (9, 20, WEST, ShippingCounter.DELIVERED): -1,
            (9, 20, EAST, ShippingCounter.DELIVERED): 1,
        }

    def test_the_promised_time_is_the_deliverys_or_else_the_dispatchs(self) -> None:
        late = OrderFacts(dispatched=shipped(1, promised=5), delivered=shipped(9))
        assert (9, 9, WEST, ShippingCounter.ON_TIME) not in summed(late)
        assert summed(late)[9, 9, WEST, ShippingCounter.PROMISED] == 1
        own = late._replace(delivered=shipped(9, promised=9))
        assert summed(own)[9, 9, WEST, ShippingCounter.ON_TIME] == 1

    def test_a_dispatch_beyond_the_horizon_ends_no_waiting(self) -> None:
        assert summed(OrderFacts(paid(5), dispatched=shipped(45)))[5, 5, EAST, ShippingCounter.WAITING] == 1
        assert (5, 5, EAST, ShippingCounter.WAITING) not in summed(OrderFacts(paid(5), dispatched=shipped(44)))
