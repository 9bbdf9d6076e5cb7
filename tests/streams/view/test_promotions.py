"""Window `promotion` before, during and after promotions."""

from __future__ import annotations

import pytest

from streams.clock import now_ms
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import ScopeQueries
from tests.streams.shop import CLICKS_0, ORDERS_0, Shop, ask, listed
from tests.streams.view.comparing import assert_true
from tests.support.events import click, ms, paid, promotion, refunded
from tests.support.oracle import assert_agree

pytestmark = pytest.mark.anyio


async def test_each_promotion_counts_in_its_own_time(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600), promotion("d12", starts=120, ends=300))
    await shop.feed(
        CLICKS_0, [click(at=at, promotion_id=name) for at in (61, 299, 301, 599) for name in ("d11", "d12")]
    )
    await shop.feed(CLICKS_0, [click(at=700)])
    view = await shop.view()
    alone = [(await ask(view, "promotion", "promotion", name))["page_views"] for name in ("d11", "d12")]
    assert alone == [4, 1]


async def test_each_listed_promotion_counts_in_its_own_time(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600), promotion("d12", starts=120, ends=300))
    await shop.feed(
        CLICKS_0, [click(at=at, promotion_id=name) for at in (61, 299, 301, 599) for name in ("d11", "d12")]
    )
    await shop.feed(CLICKS_0, [click(at=700)])
    asker = ScopeQueries(await shop.view(), now_ms())
    found = await asker.every(KpiQuery(Window.PROMOTION, Scope.PROMOTION))
    assert {item.value: item.values["page_views"] for item in found.items} == {"d11": 4, "d12": 1}


async def test_other_scopes_use_the_named_or_the_latest_promotion(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600), promotion("d12", starts=120, ends=300))
    await shop.feed(CLICKS_0, [click(at=at, user=f"u-{at}") for at in range(0, 700, 10)])
    view = await shop.view()
    for name in (None, "d11", "d12"):
        for at in (30, 60, 90, 120, 250, 300, 599, 600, 690):
            await assert_true(shop, view, at=ms(at), windows=["promotion"], scopes=["all"], promotion=name)
    with pytest.raises(NotAnswerableError, match="d11, d12"):
        await ask(view, "promotion", promotion="never")


async def test_before_a_promotion_all_is_zero_or_null(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=330, ends=600))
    await shop.feed(CLICKS_0, [click(at=at) for at in range(320)])
    await shop.feed(ORDERS_0, [paid(at=310), paid(at=329)])
    numbers = await ask(await shop.view(), "promotion")
    assert numbers["unshipped_orders"] == 1, "states are the same in every window"
    assert {number for name, number in numbers.items() if name != "unshipped_orders"} == {0, None}


async def test_without_any_promotion_all_is_zero_or_null(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(100)])
    assert set((await ask(await shop.view(), "promotion")).values()) == {0, None}


async def test_a_moved_or_deleted_promotion_is_recounted(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(0, 900, 10)])
    await shop.announce(promotion("d11", starts=60, ends=600))
    view = await shop.view()
    for starts, ends in ((60, 600), (300, 600), (0, 300), (840, 1_200)):
        await shop.announce(promotion("d11", starts=starts, ends=ends))
        await view.poll(0)
        await assert_true(shop, view, windows=["promotion"], scopes=["all"])


TARGETS = {"base": 1_000, "sprint": 3_000, "challenge": 70_000}


async def test_attainment_is_of_a_promotions_own_row_in_its_own_window(shop: Shop) -> None:
    with_targets = [promotion(name, starts=60, ends=600, targets=TARGETS) for name in ("d11", "d12")]
    await shop.announce(*with_targets, promotion("bare", starts=60, ends=600))
    names = ("d11", "d12", "bare", "never")
    await shop.feed(ORDERS_0, [paid(at=at, promotion_id=name) for at in (30, 61, 99, 700) for name in names])
    await shop.feed(ORDERS_0, [refunded(300, at=100, promotion_id="d11")])
    view, oracle = await shop.view(), shop.oracle()
    for at in (30, 61, 90, 101, 600, 700):
        for name in names:
            expected = oracle.ask("promotion", ms(at), "promotion", name)
            assert_agree(await ask(view, "promotion", "promotion", name, at=ms(at)), expected, name, at)
    own = await ask(view, "promotion", "promotion", "d11")
    assert [own[f"target_attainment.{tier}"] for tier in TARGETS] == [1.7, 1_700 / 3_000, 1_700 / 70_000]
    for window, scope, value in (("24h", "promotion", "d11"), ("promotion", "all", ""), ("promotion", "sku", "s-1")):
        assert (await ask(view, window, scope, value))["target_attainment.base"] is None
    elsewhere = await listed(view, "promotion", "promotion", promotion="d12")
    assert [elsewhere[name]["target_attainment.base"] for name in ("d11", "d12")] == [None, 2.0]


async def test_a_series_of_attainment_equals_queries_at_each_moment(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600, targets=TARGETS))
    await shop.feed(ORDERS_0, [paid(at=at, promotion_id="d11") for at in range(0, 700, 7)])
    view, moments = await shop.view(), [ms(at) for at in range(0, 690, 30)]
    query = KpiQuery(Window.PROMOTION, Scope.PROMOTION)
    points = await view.series(query, "d11", "target_attainment.sprint", moments, now_ms())
    for at, attained in points:
        assert attained == (await ask(view, "promotion", "promotion", "d11", at=at))["target_attainment.sprint"]
    assert points[-1][1] > points[3][1] > 0


async def test_changed_targets_and_times_correct_attainment_at_once(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600, targets=TARGETS))
    await shop.feed(ORDERS_0, [paid(at=at, promotion_id="d11") for at in range(0, 900, 10)])
    view = await shop.view()
    for changed in (
        {"starts": 60, "ends": 600, "targets": {**TARGETS, "base": 500}},
        {"starts": 300, "ends": 600, "targets": TARGETS},
        {"starts": 0, "ends": 120, "targets": TARGETS},
        {"starts": 0, "ends": 120},
    ):
        await shop.announce(promotion("d11", **changed))
        await view.poll(now_ms())
        expected = shop.oracle().ask("promotion", view.as_of(now_ms()).ms or 0, "promotion", "d11")
        assert_agree(await ask(view, "promotion", "promotion", "d11"), expected)
