"""Random lives of orders, and shipping answers computed from deltas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from consumers.topics import Topic
from streams.fold.columns import read_columns
from streams.model.kpis import SHIPPING_KPIS
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.shipping.counters import N_SHIPPING_COUNTERS, SHIPPING_SUM_NAMES, ShippingCounter
from streams.shipping.delta import ShippingDelta
from streams.shipping.expansion import ShippingLimits
from streams.shipping.facts import OrderFacts, facts_with
from tests.support.events import T0, Event, line, order, shipment, wire

LIMITS = ShippingLimits(overdue_ms=10_000, horizon_s=40)
ORDER_KINDS = ("order_created", "order_paid", "order_paid", "order_cancelled", "order_refunded")
SHIPMENT_KINDS = ("shipment_dispatched", "shipment_delivered", "shipment_delayed", "return_received")

_labels = st.sampled_from((None, "a", "b"))
_prices = st.sampled_from((0, 1, 2))
_refunds = st.sampled_from((0, 1, 2, 3))
"""Refunds of orders that cost 0 to 12: some reach the amount at once, some in parts, some never."""
_lines = st.builds(lambda qty, price: line(qty=qty, unit_price=price), st.integers(1, 3), _prices)
_items = st.lists(_lines, min_size=1, max_size=2)
_at = st.integers(0, 240).map(lambda quarter: quarter / 4)


@st.composite
def _lives(draw: Any) -> list[Event]:
    """Events of up to four orders, each id once, in any order."""
    made: list[Event] = []
    for number in range(draw(st.integers(1, 4))):
        for i in range(draw(st.integers(1, 6))):
            kind = draw(st.sampled_from((*ORDER_KINDS, *SHIPMENT_KINDS)))
            fields: dict[str, Any] = {
                "order_id": f"o-{number}",
                "event_id": f"e-{draw(st.integers(0, 9))}-{number}-{i}",
            }
            fields["region"] = draw(_labels)
            if kind in ORDER_KINDS:
                fields |= {"channel": draw(_labels), "promotion_id": draw(_labels), "items": draw(_items)}
                fields |= {"refund_amount": draw(_refunds)} if kind == "order_refunded" else {}
                event = order(kind, at=draw(_at), **fields)
            else:
                promised = draw(st.none() | _at)
                fields |= {"carrier": draw(_labels), "warehouse": draw(_labels)}
                fields |= {} if promised is None else {"promised_ts": T0 * 1000 + round(promised * 1000)}
                event = shipment(kind, at=draw(_at), **fields)
            made.append({name: value for name, value in event.items() if value is not None})
    shuffled: list[Event] = draw(st.permutations(made))
    return shuffled


lives = _lives()


def facts_by_order(events: Sequence[Event]) -> list[tuple[str, OrderFacts]]:
    """Facts by order."""
    found: list[tuple[str, OrderFacts]] = []
    for topic, kinds in ((Topic.ORDERS, ORDER_KINDS), (Topic.LOGISTICS, SHIPMENT_KINDS)):
        values = [wire(event) for event in events if event["type"] in kinds]
        columns, rejected = read_columns(topic, values, RowIndex())
        assert not rejected
        held = columns.order_facts
        found += zip(held.orders, map(facts_with, held.facts), strict=True)
    return found


def answer(
    delta: ShippingDelta, rows: RowIndex, start_s: int, end_s: int, as_of_s: int, scope: Scope, value: str
) -> Mapping[str, int | float | None]:
    """The KPIs of one value, computed from every cell."""
    row = rows.find(scope, value)
    windowed, from_now_on, waiting = [0] * N_SHIPPING_COUNTERS, [0] * N_SHIPPING_COUNTERS, 0

    def plain(cells: Any) -> Iterable[tuple[int, int, int, int]]:
        arrays = (cells.panes, cells.rows, cells.counters, cells.amounts)
        return zip(*(array.tolist() for array in arrays), strict=True)

    for pane, of_row, counter, amount in plain(delta.sums):
        if of_row == row:
            windowed[counter] += amount * (start_s <= pane < end_s)
            from_now_on[counter] += amount * (pane >= as_of_s)
    for (pane, of_row, counter, amount), valid_s in zip(
        plain(delta.corrections.cells), delta.corrections.valid_s.tolist(), strict=True
    ):
        assert valid_s > pane, "a correction is valid after its pane"
        if of_row == row:
            windowed[counter] += amount * (start_s <= pane < end_s and valid_s < as_of_s)
    for pane, of_row, counter, amount in plain(delta.waiting):
        assert counter == ShippingCounter.WAITING
        waiting += amount * (of_row == row and pane >= as_of_s - LIMITS.horizon_s)
    windowed[ShippingCounter.UNSHIPPED] = waiting - from_now_on[ShippingCounter.UNSHIPPED]
    windowed[ShippingCounter.OVERDUE] = waiting - from_now_on[ShippingCounter.OVERDUE]
    sums = dict(zip(SHIPPING_SUM_NAMES, windowed, strict=True))
    return {kpi.name: kpi.compute(sums) for kpi in SHIPPING_KPIS}
