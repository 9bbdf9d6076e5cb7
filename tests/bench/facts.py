"""Expected answers: DuckDB over the JSON sent, by the formulas of the metric dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from consumers.kafka.producer import OutgoingMessage
from consumers.topics import Topic
from streams.clock import now_ms
from streams.model.windows import LENGTH_S, Window
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.settings import Settings
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.reader import PaneReader
from streams.view.query import Item, KpiQuery
from streams.view.rolling import RollingView

CLICKS = {
    "product_view": "product_views",
    "page_view": "page_views",
    "search": "searches",
    "add_to_cart": "cart_adds",
    "favorite": "favorites",
    "checkout_start": "checkouts",
}
ORDERS = {
    "order_created": "orders_created",
    "order_paid": "orders_paid",
    "payment_failed": "payments_failed",
    "order_cancelled": "orders_cancelled",
    "order_refunded": "orders_refunded",
}
FIELDS = {Scope.CHANNEL: "channel", Scope.REGION: "region", Scope.PROMOTION: "promotion_id"}
LINE_FIELDS = {Scope.CATEGORY: "category", Scope.SKU: "sku"}
TOP = 50
TOLERANCE = 0.02
SETTLED_WITHIN_S = 60.0
_AT_A_TIME = 200_000
_TABLES = """
create table clicks (ts bigint, type varchar, user_id varchar, session_id varchar, sku varchar, category varchar,
    channel varchar, region varchar, promotion_id varchar, dwell_ms bigint);
create table orders (event_id varchar, ts bigint, type varchar, user_id varchar, channel varchar, region varchar,
    promotion_id varchar, items struct(sku varchar, category varchar, qty bigint, unit_price bigint)[],
    discount bigint, shipping_fee bigint, refund_amount bigint);
create view amounts as select distinct *, list_sum([i.qty * i.unit_price for i in items])::bigint
    - coalesce(discount, 0) + coalesce(shipping_fee, 0) as amount, list_sum([i.qty for i in items])::bigint as units
    from orders;
"""
Numbers = dict[str, dict[str, Any]]
"""By value of the scope, by name."""


class Facts:
    """Collects messages of topics. Does not deduplicate clicks."""

    def __init__(self, folder: Path, topics: Iterable[Topic] = (Topic.CLICKS, Topic.ORDERS)) -> None:
        self.types: dict[str, int] = {}
        """# <"events,topic,type">: messages"""
        self.newest_ms = 0
        self._topics = tuple(topics)
        self._scratch = folder / "facts.ndjson"
        (folder / "facts.duckdb").unlink(missing_ok=True)
        self._db = duckdb.connect(str(folder / "facts.duckdb"))
        self._db.execute(_TABLES)
        self._waiting: dict[Topic, list[bytes]] = {topic: [] for topic in self._topics}

    def add(self, messages: Iterable[OutgoingMessage]) -> None:
        for topic, _, value in messages:
            if topic in self._waiting and value is not None:
                self._waiting[topic].append(value)
        for topic, lines in self._waiting.items():
            if len(lines) >= _AT_A_TIME:
                self._take(topic)

    def done(self) -> None:
        """All messages were given."""
        for topic in self._topics:
            self._take(topic)
            found = self._db.execute(f"select type, count(*) from {topic.value} group by type").fetchall()
            self.types |= {f"events,{topic},{name}": count for name, count in found}
        self.newest_ms = max(int(self._one(f"select max(ts) from {topic.value}") or 0) for topic in self._topics)

    def close(self) -> None:
        self._db.close()

    def _take(self, topic: Topic) -> None:
        if not self._waiting[topic]:
            return
        self._scratch.write_bytes(b"\n".join(self._waiting[topic]) + b"\n")
        self._waiting[topic] = []
        described = self._db.execute(f"describe {topic.value}").fetchall()
        columns = ", ".join(f"{name}: '{kind}'" for name, kind, *_ in described)
        names = ", ".join(name for name, *_ in described)
        self._db.execute(
            f"insert into {topic.value} select {names} from read_json('{self._scratch}', "
            f"format='newline_delimited', columns={{{columns}}})"
        )
        self._scratch.unlink()

    def _one(self, sql: str) -> Any:
        row = self._db.execute(sql).fetchone()
        return row and row[0]

    # Numbers of a window ---------------------------------------------------------------------------------------------

    def numbers(self, scope: Scope, start_ms: int, end_ms: int) -> Numbers:
        """Counters of each value of a scope over [start, end)."""
        found: Numbers = {}
        within = f"ts >= {start_ms} and ts < {end_ms}"
        field = FIELDS.get(scope) or LINE_FIELDS.get(scope) or "''"
        if Topic.CLICKS in self._topics:
            self._into(found, f"select {field} as value, {_counts(CLICKS)} from clicks where {within} group by value")
        if scope in LINE_FIELDS:
            counts = ", ".join(f"count(distinct event_id) filter (type = '{t}') as {n}" for t, n in ORDERS.items())
            paid_lines = {"gmv": "i.qty * i.unit_price", "units": "i.qty"}
            worth = ", ".join(f"sum({sum_}) filter (type = 'order_paid') as {n}" for n, sum_ in paid_lines.items())
            lines = f"(select distinct * from orders where {within})"
            lines = f"(select event_id, type, unnest(items) as i from {lines})"
            self._into(found, f"select i.{field} as value, {counts}, {worth} from {lines} group by value")
        else:
            paid = {"gmv": "amount", "units": "units", "discounts": "discount"}
            sums = ", ".join(f"sum({column}) filter (type = 'order_paid') as {name}" for name, column in paid.items())
            sums += ", sum(refund_amount) as refunds"
            counts = f"{_counts(ORDERS)}, {sums}"
            self._into(found, f"select {field} as value, {counts} from amounts where {within} group by value")
        return found

    def distinct(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Exact distinct counts over [start, end)."""
        within = f"ts >= {start_ms} and ts < {end_ms}"
        paid = f"type = 'order_paid' and {within}"
        counts = {"buyers": self._one(f"select count(distinct user_id) from orders where {paid}")}
        if Topic.CLICKS in self._topics:
            for name, column in (("visitors", "user_id"), ("sessions", "session_id")):
                counts[name] = self._one(f"select count(distinct {column}) from clicks where {within}")
        return counts

    def _into(self, found: Numbers, sql: str) -> None:
        done = self._db.execute(sql)
        names = [column[0] for column in done.description or ()][1:]
        for value, *numbers in done.fetchall():
            if value is not None:
                found.setdefault(value, {}).update({n: int(x or 0) for n, x in zip(names, numbers, strict=True)})


def _counts(types: dict[str, str]) -> str:
    return ", ".join(f"count(*) filter (type = '{kind}') as {name}" for kind, name in types.items())


def differences(settings: Settings, facts: Facts, windows: Iterable[Window], newest_ms: int) -> list[str]:
    """What a fresh reader answers otherwise than DuckDB, at the end of a replay; empty when all is exact."""
    return asyncio.run(_differences(settings, facts, windows, newest_ms))


async def _differences(settings: Settings, facts: Facts, windows: Iterable[Window], newest_ms: int) -> list[str]:
    rows = RowIndex()
    async with connect(settings) as redis:
        view = RollingView(PaneReader(redis, Keys(settings.redis_prefix, settings.shards), rows), rows, settings)
        end_ms = newest_ms - newest_ms % 1000
        try:
            async with asyncio.timeout(SETTLED_WITHIN_S):
                while await _as_of(view) != end_ms:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return [f"as-of is {await _as_of(view)}, {SETTLED_WITHIN_S:.0f} s after all was counted; expected {end_ms}"]
        found: list[str] = []
        for window in windows:
            await view.poll(now_ms())
            found += await _of_window(view, facts, window, end_ms)
        return found


async def _as_of(view: RollingView) -> int | None:
    await view.poll(now_ms())
    return view.as_of(now_ms()).ms


async def _of_window(view: RollingView, facts: Facts, window: Window, end_ms: int) -> list[str]:
    start_ms, at_ms = end_ms - LENGTH_S[window] * 1000, view.polled_ms or 0  # DuckDB may take its time: no later "now"
    if window in (Window.H1, Window.H24):
        start_ms -= start_ms % 60_000
    found: list[str] = []
    for scope in (Scope.ALL, *FIELDS, *LINE_FIELDS):
        expected = facts.numbers(scope, start_ms, end_ms)
        question = KpiQuery(window, scope)
        if scope is Scope.ALL:
            answer = await view.one(question, "", at_ms)
            found += _estimates(window, answer.items[0], facts, start_ms, end_ms)
        elif scope is Scope.SKU:
            answer = (await view.top(question, at_ms, by="gmv", limit=TOP)).answer
        else:
            answer = await view.every(question, at_ms)
        for item in answer.items:
            for name, right in expected.get(item.value, {}).items():
                if item.values[name] != right:
                    found.append(f"{window} {scope} {item.value} {name}: {item.values[name]}, expected {right}")
        largest = sorted((-numbers.get("gmv", 0), value) for value, numbers in expected.items())[: len(answer.items)]
        if scope is not Scope.ALL and [value for _, value in largest] != [item.value for item in answer.items]:
            found.append(f"{window} {scope}: other values, or another order, than expected")
    return found


def _estimates(window: Window, item: Item, facts: Facts, start_ms: int, end_ms: int) -> list[str]:
    """Distinct counts move by coarser panes; see the metric dictionary."""
    step = 600_000 if window is Window.H24 else 60_000 if window is Window.H1 else 10_000
    expected = facts.distinct(start_ms - start_ms % step, end_ms - end_ms % 10_000)
    found = []
    for name, right in expected.items():
        answered = item.values[name]
        if answered is None or abs(answered - right) > max(1, TOLERANCE * right):
            found.append(f"{window} all {name}: {answered}, expected {right} within {TOLERANCE:.0%}")
    return found
