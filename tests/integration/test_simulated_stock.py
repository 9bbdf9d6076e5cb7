"""Stock KPIs of a simulated sale with stock-outs equal the oracle's at every time queried.

This holds for any order of the topics, with repeats, and after SIGKILL.
"""

from __future__ import annotations

import gzip
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from consumers.kafka.producer import OutgoingMessage
from consumers.ndjson import find_recordings, read_merged
from consumers.topics import Topic
from streams.simulate import Season, SimulationConfig, StockPlan, write_season
from tests.support.combinations import on_alternate_brokers
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.stock_oracle import SHOP_NAMES, Number, StockOracle

pytestmark = pytest.mark.slow

CONFIG = SimulationConfig(
    seed=11, rate=150.0, duration_s=400.0, users=4000, skus=80, stock=StockPlan(cover=1.0, short=30, recounts=3.0)
)
MOMENTS = (0.35, 0.6, 0.9)
"""Past times to query, as fractions of the run."""


@dataclass(frozen=True)
class Sale:
    """A recorded run: its events, each once, and its messages as producers send them."""

    folder: Path
    orders: list[Mapping[str, Any]]
    logistics: list[Mapping[str, Any]]
    promotion: Mapping[str, Any]
    messages: list[OutgoingMessage]
    _stocks: dict[int, Mapping[str, Mapping[str, Number]]] = field(default_factory=dict)
    """# as_of_ms: answers of `stocks`"""

    @cached_property
    def of_sku(self) -> Mapping[str, StockOracle]:
        """An oracle of each SKU's events."""
        orders: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        logistics: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for event in self.orders:
            for sku in {item["sku"] for item in event["items"]}:
                orders[sku].append(event)
        for event in self.logistics:
            logistics[event.get("sku", "")].append(event)
        return {sku: StockOracle(orders[sku], logistics[sku]) for sku in self.skus}

    @cached_property
    def skus(self) -> list[str]:
        return sorted({event["sku"] for event in self.logistics if event["type"] == "stock_level"})

    def stocks(self, as_of_ms: int) -> Mapping[str, Mapping[str, Number]]:
        """The stock KPIs of each SKU."""
        if as_of_ms not in self._stocks:
            name = self.promotion["promotion_id"]
            self._stocks[as_of_ms] = {sku: self.of_sku[sku].of_sku(sku, as_of_ms, name) for sku in self.skus}
        return self._stocks[as_of_ms]


@pytest.fixture(scope="module")
def sale(tmp_path_factory: pytest.TempPathFactory) -> Sale:
    folder = tmp_path_factory.mktemp("sale")
    write_season(Season(CONFIG), folder)
    messages = [OutgoingMessage(line.topic, line.key, line.value) for line in read_merged(find_recordings([folder]))]
    promotion = json.loads((folder / "promotions.ndjson").read_text().splitlines()[-1])
    return Sale(
        folder,
        list(_once(folder / "orders.ndjson.gz")),
        list(_once(folder / "logistics.ndjson.gz")),
        promotion,
        messages,
    )


def _once(path: Path) -> Iterator[Mapping[str, Any]]:
    seen: set[str] = set()
    with gzip.open(path) as lines:
        for event in map(json.loads, lines):
            if event["event_id"] not in seen:
                seen.add(event["event_id"])
                yield event


def is_right(shop: Shop, sale: Sale) -> None:
    """Compare every SKU, the promotion and the whole shop at the end of the run and at past times."""
    newest = shop.api.as_of_ms()
    assert newest is not None
    past = [int(CONFIG.at(part)) // 1000 * 1000 for part in MOMENTS]
    name = sale.promotion["promotion_id"]
    with httpx.Client(base_url=shop.api.url, timeout=60) as client:
        for as_of in (newest, past[1], past[0], past[2]):
            stocks = sale.stocks(as_of)
            answers = asked(client, as_of, scope="sku", window="1h", promotion=name)["items"]
            assert len(answers) > 40
            for item in answers:
                agree(item["values"], stocks[item["value"]], item["value"], as_of)
            for scope, skus in (("all", sale.skus), ("promotion", sale.promotion["skus"])):
                known = [stock for sku in skus if (stock := stocks[sku]["stock_available"]) is not None]
                out = sum(stock <= 0 for stock in known)
                right = dict(zip(SHOP_NAMES, (out, (len(known) - out) / len(known)), strict=True))
                value = {} if scope == "all" else {"value": name}
                agree(asked(client, as_of, scope=scope, **value)["values"], right, scope, as_of)
        assert sum(stock["stock_available"] <= 0 for stock in stocks.values()) >= 5, "some SKUs of the sale sell out"
        for sku in sale.skus[:10]:
            actual = client.get(f"/api/v1/stock/{sku}", params={"as_of": past[2]}).json()
            held = {shelf["warehouse"]: shelf["units"] for shelf in actual["warehouses"]}
            assert held == sale.of_sku[sku].by_warehouse(sku, past[2])
            assert actual["sold"] == sale.of_sku[sku].sold(sku, name, past[2])


def asked(client: httpx.Client, as_of: int, **query: str) -> dict[str, Any]:
    answer = client.get("/api/v1/kpis", params={**query, "as_of": as_of})
    assert answer.status_code == HTTPStatus.OK, answer.text
    return dict(answer.json())


def agree(got: Mapping[str, Number], right: Mapping[str, Number], *context: object) -> None:
    for name, number in right.items():
        actual = got[name]
        assert (actual is None) == (number is None), (name, actual, number, context)
        assert number is None or math.isclose(actual, number, rel_tol=1e-12), (name, actual, number, context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broker", "partitions", "workers", "first"),
    on_alternate_brokers(
        (1, 1, Topic.ORDERS), (1, 1, Topic.LOGISTICS), (12, 2, Topic.LOGISTICS), (12, 2, Topic.ORDERS)
    ),
    indirect=["broker"],
)
def test_stock_kpis_are_exact_whichever_topic_arrives_first(
    broker: Server, redis_server: Server, sale: Sale, partitions: int, workers: int, first: Topic
) -> None:
    others = [message for message in sale.messages if message.topic is not first]
    with stack(broker, redis_server, partitions=partitions, workers=workers) as shop:
        shop.send([message for message in sale.messages if message.topic is first])
        shop.until_counted()
        shop.send(others)
        shop.until_counted()
        is_right(shop, sale)


def test_stock_kpis_are_exact_with_repeats_and_sigkill(
    broker: Server, redis_server: Server, sale: Sale, rng: Random
) -> None:
    with stack(broker, redis_server, workers=2, session_timeout_s=6, batch_records=500, compact_every_s=1.5) as shop:
        with shop.replaying(sale.folder, speed=CONFIG.duration_s / 12):
            for _ in range(3):
                time.sleep(rng.uniform(1, 4))
                shop.kill_worker(rng.randrange(2))
                shop.start_worker()
        shop.send(rng.sample(sale.messages, len(sale.messages) // 10))
        shop.until_counted()
        is_right(shop, sale)
