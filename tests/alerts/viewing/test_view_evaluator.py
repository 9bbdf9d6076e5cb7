"""Rules over a view, with a real Redis and events fed as by a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest

from alerts.detection.panes import CellPanes
from alerts.detection.series import WHOLE_SHOP
from alerts.engine import EvaluationRun
from alerts.findings import Finding, FindingReason, Series
from alerts.rules.loader import RuleLoader
from alerts.rules.rule import RuleScope
from alerts.viewing.seconds import SelectedRows
from alerts.viewing.view_evaluator import ViewEvaluator
from streams.clock import now_ms
from streams.model.windows import Span
from streams.settings import Settings
from tests.streams.shop import CLICKS_0, CLICKS_1, LOGISTICS_0, ORDERS_0, Shop, opened
from tests.support.events import click, line, ms, order, paid, promotion, stock_level

pytestmark = pytest.mark.anyio

STOCK = """
rules:
  - name: sold-out
    title: Sold out
    for_each: [sku]
    promoted: true
    when: {running: true}
    detect: {kind: threshold, value: stock_available, window: 15m, below: 1}
  - name: oversold
    title: Oversold
    for_each: [sku]
    detect: {kind: threshold, value: oversold_units, window: 15m, above: 0}
"""
FACTS = """
rules:
  - {name: refused, title: Refused, category: data, detect: {kind: health, check: dead_letter_rate, above: 1%}}
  - {name: lost, title: Lost, category: data, detect: {kind: health, check: incomplete_history}}
"""
CHANGE = """
rules:
  - name: fewer
    title: Fewer
    for_each: [all, channel]
    detect: {kind: change, value: orders_paid, window: 5m, direction: drop, by: 50%, against: [yesterday]}
"""
SILENCE = """
rules:
  - name: producer-silent
    title: A producer is silent
    category: data
    for_each: [source]
    detect: {kind: silence, count: [page_views], after: 5s, least_expected: 30}
  - name: order-silence
    title: No orders
    detect: {kind: silence, count: [orders_created], after: 5s, least_expected: 30}
"""
LATER = order("order_created", at=30, order_id="later", items=[line("s-9")])
"""As-ofs are whole seconds: with this event, the earlier ones are before the as-of."""


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Shop]:
    async with opened(redis_url) as shop:
        yield shop


@contextmanager
def loader(folder: Path, text: str) -> Iterator[RuleLoader]:
    (folder / "rules.yaml").write_text(text)
    yield RuleLoader(folder / "rules.yaml")


@asynccontextmanager
async def watcher(settings: Settings, rules: RuleLoader, kept: bytes | None = None) -> AsyncIterator[ViewEvaluator]:
    made = ViewEvaluator(settings, rules)
    made.restore(kept)
    try:
        yield made
    finally:
        await made.stop()


async def evaluated(one: ViewEvaluator, *watched: Series) -> EvaluationRun:
    """The first evaluation."""
    with anyio.fail_after(10):
        while (found := await one.evaluate(watched, now_ms())) is None:
            await anyio.sleep(0.02)
    return found


async def found(one: ViewEvaluator, *watched: Series) -> dict[str, Finding]:
    return {str(finding.series): finding for finding in (await evaluated(one, *watched)).evaluation.findings}


async def test_promoted_and_oversold_skus_are_evaluated_without_sales(shop: Shop, tmp_path: Path) -> None:
    await shop.announce(promotion("d11", starts=0, ends=9_000, skus=["s-1", "s-2"]))
    stocks = {"s-1": 0, "s-2": 9, "s-3": 0, "s-4": 1}
    await shop.feed(LOGISTICS_0, [stock_level(units, sku=sku, at=10) for sku, units in stocks.items()])
    await shop.feed(ORDERS_0, [order("order_created", at=20, order_id="o-1", items=[line("s-4", qty=3)]), LATER])
    with loader(tmp_path, STOCK) as rules:
        async with watcher(shop.settings, rules) as one:
            result = await evaluated(one)
            assert result.running == {"d11"}
            assert {str(finding.series) for finding in result.evaluation.findings} == {
                'sold-out{sku="s-1"}',
                'oversold{sku="s-4"}',
            }


async def test_a_promotion_without_skus_watches_its_best_sellers(shop: Shop, tmp_path: Path) -> None:
    await shop.announce(promotion("d11", starts=0, ends=9_000))
    stocks = {"s-1": 1, "s-2": 0, "s-3": 0}
    await shop.feed(LOGISTICS_0, [stock_level(units, sku=sku, at=10) for sku, units in stocks.items()])
    sales = [
        made(at=at, order_id=sku, items=[line(sku)])
        for sku in ("s-1", "s-9")
        for at, made in ((20, partial(order, "order_created")), (21, paid))
    ]
    await shop.feed(ORDERS_0, [*sales, LATER])
    with loader(tmp_path, STOCK) as rules:
        async with watcher(shop.settings, rules) as one:
            assert list(await found(one)) == ['sold-out{sku="s-1"}'], "s-2 and s-3 were not bought"
        async with watcher(shop.settings, rules) as one:
            reported = Series("sold-out", (("sku", "s-2"),))
            assert str(reported) in await found(one, reported), "its sales of the last hour may be over"


async def test_a_sku_with_an_alert_is_read_also_when_it_is_neither_promoted_nor_oversold(
    shop: Shop, tmp_path: Path
) -> None:
    """Without its row, its incident would end at once."""
    await shop.feed(LOGISTICS_0, [stock_level(0, sku="s-1", at=10)])
    await shop.feed(ORDERS_0, [LATER])
    reported = Series("oversold", (("sku", "s-1"),))
    with loader(tmp_path, STOCK) as rules:
        async with watcher(shop.settings, rules) as one:
            assert (await found(one, reported))[str(reported)].reason is FindingReason.WITHIN


async def test_a_number_is_compared_with_yesterday(shop: Shop, tmp_path: Path) -> None:
    yesterday = [paid(at=100, order_id=f"y-{i}", channel=("app", "web")[i % 2], items=[line()]) for i in range(20)]
    today = [paid(at=86_500, order_id=f"t-{i}", channel="app", items=[line()]) for i in range(9)]
    last = paid(at=86_520, order_id="last", channel="web", items=[line()])
    await shop.feed(ORDERS_0, [*yesterday, *today, last, {**LATER, "ts": ms(86_540)}])
    with loader(tmp_path, CHANGE) as rules:
        async with watcher(shop.settings, rules) as one:
            result = await found(one)
            assert list(result) == ['fewer{channel="web"}']
            assert (result['fewer{channel="web"}'].value, result['fewer{channel="web"}'].expected) == (1.0, 10.0)


async def test_rejected_messages_are_a_health_reading(shop: Shop, tmp_path: Path) -> None:
    with loader(tmp_path, FACTS) as rules:
        await shop.feed(ORDERS_0, [paid(at=1, items=[line()])])
        async with watcher(shop.settings, rules) as one:
            assert await found(one) == {}
            await anyio.sleep(1.1)  # totals are read once a second
            await shop.feed(ORDERS_0, [paid(at=i, order_id=f"o-{i}", items=[line()]) for i in range(300)])
            await shop.feed(ORDERS_0, [{**LATER, "event_id": f"x-{i}", "items": []} for i in range(30)])
            with anyio.fail_after(10):
                while "refused" not in (result := {k.partition("{")[0]: v for k, v in (await found(one)).items()}):
                    await anyio.sleep(0.05)
            assert result["refused"].value == pytest.approx(30 / 330, abs=0.01)


async def test_one_silent_producer_is_reported_and_inhibits_its_consequences(shop: Shop, tmp_path: Path) -> None:
    def clicks(start: int, end: int, *sources: str) -> list[dict[str, object]]:
        return [click(at=at + i / 10, source=name) for at in range(start, end) for i in range(10) for name in sources]

    await shop.feed(CLICKS_0, clicks(0, 300, "a", "b"))
    await shop.feed(
        ORDERS_0, [order("order_created", at=i / 5, order_id=f"o-{i}", items=[line()]) for i in range(1500)]
    )
    with loader(tmp_path, SILENCE) as rules:
        async with watcher(shop.settings, rules) as one:
            assert await found(one) == {}
            await shop.feed(CLICKS_0, clicks(300, 330, "b"))
            with anyio.fail_after(10):
                while not (result := await found(one)):
                    await anyio.sleep(0.05)
            assert 'producer-silent{source="a",topic="clicks"}' in result
            since_ms = result['producer-silent{source="a",topic="clicks"}'].since_ms
            assert since_ms is not None
            assert since_ms == pytest.approx(ms(300), abs=2000)


async def test_memory_continues_in_another_process(shop: Shop, tmp_path: Path) -> None:
    await shop.feed(CLICKS_0, [click(at=i / 10, source="a") for i in range(3000)])
    with loader(tmp_path, SILENCE) as rules:
        async with watcher(shop.settings, rules) as one:
            await evaluated(one)
            kept = one.serialized_memory()
        async with watcher(shop.settings, rules, kept) as other:
            await evaluated(other)
            assert other.serialized_memory() == kept, "nothing was taken in twice"


async def test_rules_are_reloaded_and_invalid_ones_ignored(shop: Shop, tmp_path: Path) -> None:
    await shop.feed(LOGISTICS_0, [stock_level(1, sku="s-1", at=10)])
    await shop.feed(ORDERS_0, [order("order_created", at=20, items=[line("s-1", qty=3)]), LATER])
    with loader(tmp_path, STOCK) as rules:
        async with watcher(shop.settings, rules) as one:
            assert list(await found(one)) == ['oversold{sku="s-1"}']
            (tmp_path / "rules.yaml").write_text("rules: [nonsense]")
            assert list(await found(one)) == ['oversold{sku="s-1"}']
            (tmp_path / "rules.yaml").write_text(FACTS)
            assert await found(one, Series("oversold", (("sku", "s-1"),))) == {}
            assert one.timing("oversold").clear_ms == 0, "over at once"


async def test_before_anything_is_counted_nothing_is_evaluated(redis_url: str, tmp_path: Path) -> None:
    with loader(tmp_path, STOCK) as rules:
        async with watcher(Settings(redis_url=redis_url), rules) as one:  # type: ignore[arg-type]
            for _ in range(5):
                assert await one.evaluate((), now_ms()) is None
                await anyio.sleep(0.05)


async def test_only_rows_of_the_rules_scopes_are_read(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=i, channel="app", sku=f"s-{i}", campaign="c") for i in range(10)])
    await shop.feed(CLICKS_1, [click(at=i, channel="web", sku=f"s-{i}") for i in range(5, 10)])
    view = await shop.view()
    chosen = SelectedRows(frozenset({RuleScope.ALL, RuleScope.CHANNEL}))
    panes = chosen.panes(await view.seconds(Span(ms(2) // 1000, ms(8) // 1000)))
    assert isinstance(panes, CellPanes)
    assert set(panes.labels) == {WHOLE_SHOP, ("channel", "app"), ("channel", "web")}
    rows = {label: row for row, label in enumerate(panes.labels)}
    wanted = np.array([rows[WHOLE_SHOP], rows["channel", "app"], rows["channel", "web"]])
    assert panes.counts(("page_views",), wanted, panes.start_s, panes.end_s).tolist() == [9.0, 6.0, 3.0]
