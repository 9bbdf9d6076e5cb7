"""Window `promotion`: whose time it is, before, during and after."""

from __future__ import annotations

import pytest

from streams.scopes import Scope
from streams.store.writer import now_ms
from streams.view.asking import NotAnswerableError, Question
from streams.view.promotion_scope import Asker
from streams.windows import Window
from tests.streams.shop import CLICKS_0, ORDERS_0, Shop, ask
from tests.streams.view.comparing import assert_true
from tests.support.events import click, ms, paid, promotion

pytestmark = pytest.mark.anyio


async def test_each_promotion_is_counted_in_its_own_time(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600), promotion("d12", starts=120, ends=300))
    await shop.feed(
        CLICKS_0, [click(at=at, promotion_id=name) for at in (61, 299, 301, 599) for name in ("d11", "d12")]
    )
    await shop.feed(CLICKS_0, [click(at=700)])
    view = await shop.view()
    alone = [(await ask(view, "promotion", "promotion", name))["page_views"] for name in ("d11", "d12")]
    assert alone == [4, 1]


async def test_in_the_list_of_promotions_too_each_is_counted_in_its_own_time(shop: Shop) -> None:
    await shop.announce(promotion("d11", starts=60, ends=600), promotion("d12", starts=120, ends=300))
    await shop.feed(
        CLICKS_0, [click(at=at, promotion_id=name) for at in (61, 299, 301, 599) for name in ("d11", "d12")]
    )
    await shop.feed(CLICKS_0, [click(at=700)])
    asker = Asker(await shop.view(), now_ms())
    found = await asker.every(Question(Window.PROMOTION, Scope.PROMOTION))
    assert {item.value: item.values["page_views"] for item in found.items} == {"d11": 4, "d12": 1}


async def test_elsewhere_it_is_the_one_asked_for_or_the_one_that_started_last(shop: Shop) -> None:
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
    assert set(numbers.values()) == {0, None}


async def test_without_any_promotion_all_is_zero_or_null(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(100)])
    assert set((await ask(await shop.view(), "promotion")).values()) == {0, None}


async def test_a_promotion_that_is_moved_or_deleted_is_counted_anew(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(0, 900, 10)])
    await shop.announce(promotion("d11", starts=60, ends=600))
    view = await shop.view()
    for starts, ends in ((60, 600), (300, 600), (0, 300), (840, 1_200)):
        await shop.announce(promotion("d11", starts=starts, ends=ends))
        await view.poll(0)
        await assert_true(shop, view, windows=["promotion"], scopes=["all"])
