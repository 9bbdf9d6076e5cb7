"""The ledger of events, from columns as the worker makes them."""

from __future__ import annotations

from random import Random

import pytest

from consumers.topics import Topic
from streams.fold.fold import ledger_of_logistics, ledger_of_orders
from streams.panes.rows import RowIndex
from streams.stock.ledger import Ledger
from tests.streams.fold.test_wire import named
from tests.streams.stock.ledgers import ledger_of
from tests.support.events import Event, columns_of, line, ms, order, paid, shipment, some_events, stock_level


def folded(topic: Topic, events: list[Event]) -> list[list[tuple[str, str | None, int, int]]]:
    rows = RowIndex()
    columns = columns_of(topic, events, rows)
    ledger: Ledger = (ledger_of_orders if topic is Topic.ORDERS else ledger_of_logistics)(columns, rows)
    return named(ledger, rows.stock)


def test_orders_reserve_and_cancellations_release_units() -> None:
    items = [line("a", qty=2), line("b", qty=1), line("a", qty=3)]
    moves, levels, sales = folded(
        Topic.ORDERS,
        [order("order_created", at=1, items=items), order("order_cancelled", at=2, items=items[:1]), paid(at=3)],
    )
    assert moves == [("a", None, ms(1), -5), ("a", None, ms(2), 2), ("b", None, ms(1), -1)]
    assert levels == sales == []


def test_promotion_sales_are_summed_per_second() -> None:
    items = [line("a", qty=2)]
    orders = [paid(at=at, items=items, promotion_id=name) for at, name in ((1.2, "p"), (1.9, "p"), (1, "q"), (1, None))]
    moves, _, sales = folded(Topic.ORDERS, orders)
    assert moves == []
    assert sales == [("a", "p", ms(1), 4), ("a", "q", ms(1), 2)]


def test_folds_counts_receipts_and_adjustments() -> None:
    at = {"at": 1.0, "sku": "a", "warehouse": "w"}
    moves, levels, _ = folded(
        Topic.LOGISTICS,
        [
            stock_level(7, **at),
            stock_level(5, **at),
            shipment("stock_received", qty=4, **at),
            shipment("stock_adjusted", delta=-1, **at),
            shipment(at=2),
        ],
    )
    assert moves == [("a", "w", ms(1), 3)]
    assert levels == [("a", "w", ms(1), 5)]


@pytest.mark.parametrize("topic", [Topic.ORDERS, Topic.LOGISTICS])
@pytest.mark.parametrize("seed", range(3))
def test_random_batches_equal_the_oracle(topic: Topic, seed: int) -> None:
    events = some_events(topic, 3000, Random(seed).randrange(10**6))
    rows = RowIndex()
    assert folded(topic, events) == named(ledger_of(events, rows.stock), rows.stock)


@pytest.mark.parametrize("topic", [Topic.ORDERS, Topic.LOGISTICS])
def test_other_events_are_ignored(topic: Topic) -> None:
    other = [order("payment_failed", promotion_id="p"), paid()] if topic is Topic.ORDERS else [shipment()]
    assert folded(topic, other) == [[], [], []]
