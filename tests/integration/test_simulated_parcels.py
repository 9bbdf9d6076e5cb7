"""Shipping KPIs of a simulated sale equal those that DuckDB computes, whatever the order of the topics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streams.simulate.config import Funnel
from tests.streams.shop import LOGISTICS_0, ORDERS_0, ask, listed, opened
from tests.streams.simulate.played import START_MS, play, small

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.anyio

LIMIT_MS = 40_000
"""About 19 simulated hours in a run of 300 s that covers six days of parcels: some orders wait longer."""

_FIRST = """
    CREATE OR REPLACE TEMP TABLE lives AS
    WITH known AS (
        SELECT *, list_sum([i.qty for i in items]) AS units,
            list_sum([i.qty * i.unit_price for i in items]) - coalesce(discount, 0) + coalesce(shipping_fee, 0)
                AS amount
        FROM events WHERE ts < $as_of
    ),
    ranked AS (SELECT *, row_number() OVER (PARTITION BY order_id, type ORDER BY ts, event_id) AS place FROM known),
    firsts AS (SELECT * FROM ranked WHERE place = 1),
    lost AS (
        SELECT order_id, sum(refund_amount) FILTER (type = 'order_refunded') AS refunded,
            sum(units) FILTER (type = 'order_cancelled') AS cancelled
        FROM known GROUP BY order_id
    )
    SELECT order_id,
        min(ts) FILTER (type = 'order_paid') AS paid,
        any_value(refunded) >= any_value(amount) FILTER (type = 'order_paid')
            OR any_value(cancelled) >= any_value(units) FILTER (type = 'order_paid') AS over,
        CASE WHEN over THEN 1 END AS off,
        any_value(refunded) > 0 AND NOT coalesce(over, FALSE) AS refunded_in_part,
        any_value(cancelled) > 0 AND NOT coalesce(over, FALSE) AS cancelled_in_part,
        min(ts) FILTER (type = 'shipment_dispatched') AS shipped,
        min(ts) FILTER (type = 'shipment_delivered') AS delivered,
        min(ts) FILTER (type = 'return_received') AS returned,
        coalesce(any_value(promised_ts) FILTER (type = 'shipment_delivered'),
                 any_value(promised_ts) FILTER (type = 'shipment_dispatched')) AS promise,
        CASE WHEN count(*) FILTER (type = 'order_paid') > 0 THEN any_value(region) FILTER (type = 'order_paid')
             ELSE coalesce(any_value(region) FILTER (type = 'shipment_delivered'),
                           any_value(region) FILTER (type = 'shipment_dispatched')) END AS region,
        any_value(channel) FILTER (type = 'order_paid') AS channel
    FROM firsts JOIN lost USING (order_id) GROUP BY order_id
"""
_ASK = """
    SELECT
        count(*) FILTER (paid IS NOT NULL AND shipped IS NULL AND off IS NULL) AS unshipped_orders,
        count(*) FILTER (paid < $as_of - $limit AND shipped IS NULL AND off IS NULL) AS overdue_shipments,
        (count(*) FILTER (
            paid + $limit >= $start AND paid + $limit < $end AND off IS NULL AND shipped - paid <= $limit
        ))
          / nullif(count(*) FILTER (paid + $limit >= $start AND paid + $limit < $end AND off IS NULL), 0)
          AS ship_within_48h_rate,
        (count(*) FILTER (delivered >= $start AND delivered < $end AND delivered <= promise))
          / nullif(count(*) FILTER (delivered >= $start AND delivered < $end AND promise IS NOT NULL), 0)
          AS on_time_delivery_rate,
        avg(shipped - paid) FILTER (shipped >= $start AND shipped < $end AND shipped >= paid) / 3600000 AS ship_hours,
        avg(delivered - shipped) FILTER (delivered >= $start AND delivered < $end AND delivered >= shipped) / 3600000
          AS delivery_hours,
        (count(*) FILTER (returned >= $start AND returned < $end))
          / nullif(count(*) FILTER (delivered >= $start AND delivered < $end), 0) AS return_rate
    FROM lives WHERE $value = '' OR {scope} = $value
"""


class Oracle:
    """SQL over a table of all events."""

    def __init__(self, events: list[dict[str, Any]], folder: Path) -> None:
        path = folder / "events.ndjson"
        names = ("event_id", "type", "ts", "order_id", "region", "channel", "promised_ts")
        names += ("items", "discount", "shipping_fee", "refund_amount")
        path.write_text("\n".join(json.dumps({name: event.get(name) for name in names}) for event in events))
        self._db = duckdb.connect()
        self._db.execute(f"CREATE TABLE events AS SELECT * FROM read_ndjson_auto('{path}', sample_size=-1)")

    def ask(self, start: int, as_of: int, scope: str, value: str) -> Mapping[str, Any]:
        """Every shipping KPI of [start, as_of)."""
        self._db.execute(_FIRST, {"as_of": as_of})
        asked = {"start": start, "end": as_of, "as_of": as_of, "limit": LIMIT_MS, "value": value}
        found = self._db.execute(_ASK.format(scope=scope if value else "region"), asked)
        row = found.fetchone()
        return dict(zip([column[0] for column in found.description], row, strict=True))

    def waiting_in_part(self, as_of: int) -> tuple[int, int]:
        """Waiting orders with a partial refund, and with a partial cancellation."""
        self._db.execute(_FIRST, {"as_of": as_of})
        waits = "paid IS NOT NULL AND shipped IS NULL"
        counts = ", ".join(
            f"count(*) FILTER ({name} AND {waits})" for name in ("refunded_in_part", "cancelled_in_part")
        )
        return self._db.execute(f"SELECT {counts} FROM lives").fetchone()  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_shipping_kpi_equals_duckdbs(redis_url: str, tmp_path: Path, seed: int) -> None:
    funnel = Funnel(partial_refund=0.2, line_cancelled=0.4)
    sale = play(small(duration_s=300.0, rate=300.0, seed=seed, funnel=funnel))
    events = [event for event in sale.sent if "order_id" in event]
    oracle = Oracle([event for event in sale.events if "order_id" in event], tmp_path)
    chance = Random(seed)
    async with opened(redis_url, overdue_after_h=LIMIT_MS / 3_600_000, stale_after_s=1000) as shop:
        waiting = {
            ORDERS_0: [event for event in events if event["type"].startswith(("order_", "payment_"))],
            LOGISTICS_0: [event for event in events if event["type"].startswith(("shipment_", "return_"))],
        }
        while any(waiting.values()):
            partition = chance.choice([partition for partition, held in waiting.items() if held])
            count = chance.choice((1, 50, 400))
            batch, waiting[partition] = waiting[partition][:count], waiting[partition][count:]
            await shop.feed(partition, batch)
            if chance.random() < 0.3:
                await shop.compact(partition)
        view = await shop.view()
        for at_s in (60, 130, 201, 275):
            as_of = START_MS + at_s * 1000
            for window, length_s in (("1m", 60), ("5m", 300)):
                start = as_of - length_s * 1000
                answers = {("all", ""): await ask(view, window, at=as_of)}
                for scope in ("region", "channel"):
                    answers |= {
                        (scope, value): held for value, held in (await listed(view, window, scope, at=as_of)).items()
                    }
                for (scope, value), answer in answers.items():
                    expected = oracle.ask(start, as_of, scope, value)
                    for name, number in expected.items():
                        right = None if number is None else pytest.approx(number, rel=1e-9)
                        assert answer[name] == right, (name, scope, value, window, at_s)
        assert (await ask(view, "5m"))["overdue_shipments"], "orders exceeded the limit"
        assert min(oracle.waiting_in_part(START_MS + 275_000)) > 0, (
            "some orders wait after a partial refund or cancellation"
        )
