"""A comparison is two queries: each side equals the oracle at its own moment."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.clock import now_ms
from streams.model.kpis import NAMES
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.compare_rules import ComparisonPeriod, differences
from streams.view.comparer import ComparedAnswer, Comparer
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, Shop, ask, opened
from tests.support.events import click, ms, paid, promotion, some_events
from tests.support.oracle import WINDOWS, assert_agree, local_days_before

pytestmark = pytest.mark.anyio

DAY_S = 86_400
TARGETS = {"base": 5_000, "sprint": 50_000, "challenge": 500_000}


async def two_sales(shop: Shop, *, apart_s: int = DAY_S) -> RollingView:
    """Random events of a sale of 15 minutes, and of the same sale later."""
    for seed, start in enumerate((0, apart_s)):
        for partition, n in ((CLICKS_0, 300), (ORDERS_0, 150), (LOGISTICS_0, 40)):
            await shop.feed(partition, some_events(partition.topic, n, seed, start=start))
            await shop.compact(partition)
    await shop.feed(CLICKS_0, [click(at=apart_s + 900)])
    await shop.announce(
        promotion("d12", starts=0, ends=700, targets=TARGETS),
        promotion("d11", starts=apart_s + 60, ends=apart_s + 860, baseline="d12", targets=TARGETS),
    )
    return await shop.view()


def comparer(view: RollingView, timezone: str = "UTC") -> Comparer:
    return Comparer(view, now_ms(), timezone)


def asked_about(against: str, window: str) -> str | None:
    """The promotion of the query for then: the baseline, or the current one if it decides the window."""
    return "d12" if against == "baseline" else ("d11" if window == "promotion" else None)


async def compare(
    view: RollingView, against: str, window: str, scope: str = "all", value: str = "", **more
) -> ComparedAnswer:
    query = KpiQuery(Window(window), Scope(scope), more.get("at"), more.get("promotion"))
    return await comparer(view, more.get("timezone", "UTC")).one(query, value, ComparisonPeriod(against))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("against", ComparisonPeriod)
async def test_both_sides_equal_the_oracle(shop: Shop, against: str, window: str) -> None:
    view = await two_sales(shop)
    oracle = shop.oracle()
    cuts = (
        ("all", ""),
        ("channel", "live"),
        ("region", "east"),
        ("category", "c-1"),
        ("sku", "s-1"),
        ("member", "true"),
    )
    for at in (ms(DAY_S + 61), ms(DAY_S + 333), ms(DAY_S + 899)):
        then_at = (
            at - 60_000 - 1000 * DAY_S
            if against == "baseline"
            else at - (1 if against == "yesterday" else 7) * 1000 * DAY_S
        )
        then_promotion = asked_about(against, window)
        for scope, value in cuts:
            found = await compare(view, against, window, scope, value, at=at)
            assert (found.now.as_of_ms, found.at.as_of_ms, found.at.offset_ms) == (at, then_at, at - then_at)
            (item,) = found.items
            assert_agree(item.now.values, oracle.ask(window, at, scope, value), scope, value, at)
            expected = oracle.ask(window, then_at, scope, value, promotion=then_promotion)
            assert_agree(item.then.values, expected, scope, value, then_at)
            assert item.then.values == await ask(view, window, scope, value, at=then_at, promotion=then_promotion)


async def test_a_promotions_row_is_compared_with_its_baselines_row(shop: Shop) -> None:
    view = await two_sales(shop)
    oracle = shop.oracle()
    at, then_at = ms(DAY_S + 400), ms(340)
    for window in WINDOWS:
        (item,) = (await compare(view, "baseline", window, "promotion", "d11", at=at)).items
        assert (item.now.value, item.then.value, item.at.promotion) == ("d11", "d12", "d12")
        assert_agree(item.now.values, oracle.ask(window, at, "promotion", "d11"), window)
        assert_agree(item.then.values, oracle.ask(window, then_at, "promotion", "d12"), window)
    assert item.then.values["target_attainment.base"] == item.then.values["net_gmv"] / 5_000


async def test_every_number_of_the_registry_is_compared(shop: Shop) -> None:
    view = await two_sales(shop)
    (item,) = (await compare(view, "baseline", "promotion")).items
    assert tuple(differences(item.now.values, item.then.values)) == NAMES


@pytest.mark.parametrize("scope", ["channel", "category", "sku", "member"])
async def test_a_list_compares_the_values_of_now(shop: Shop, scope: str) -> None:
    view = await two_sales(shop)
    await shop.feed(ORDERS_0, [paid(at=DAY_S + 100, items=[], channel="new")])
    await shop.feed(CLICKS_0, [click(at=DAY_S + 200, channel="new", category="new", sku="new")])
    await view.poll(now_ms())
    oracle, at, then_at = shop.oracle(), ms(DAY_S + 500), ms(440)
    found = await comparer(view).every(KpiQuery(Window.PROMOTION, Scope(scope), at), ComparisonPeriod.BASELINE)
    assert {item.now.value for item in found.items} == set(oracle.values("promotion", at, scope))
    for item in found.items:
        assert item.then.value == item.now.value
        assert_agree(item.now.values, oracle.ask("promotion", at, scope, item.now.value))
        assert_agree(item.then.values, oracle.ask("promotion", then_at, scope, item.now.value, promotion="d12"))


@pytest.mark.parametrize("window", ["5m", "promotion"])
async def test_each_listed_promotion_is_compared_on_its_own_clock(shop: Shop, window: str) -> None:
    view = await two_sales(shop)
    oracle, at = shop.oracle(), ms(DAY_S + 300)
    await shop.feed(CLICKS_0, [click(at=DAY_S + 200, promotion_id="d12")])
    await view.poll(now_ms())
    found = await comparer(view).every(KpiQuery(Window(window), Scope.PROMOTION, at), ComparisonPeriod.BASELINE)
    by_name = {item.now.value: item for item in found.items}
    assert (by_name["d12"].then, by_name["d12"].at) == (None, None), "it has no baseline"
    assert by_name["d11"].then.value == "d12"
    assert_agree(by_name["d11"].then.values, oracle.ask(window, ms(240), "promotion", "d12"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(61, 900),
    apart_s=st.integers(1_000, 3 * DAY_S).filter(lambda s: s % 60),
    window=st.sampled_from(WINDOWS),
    against=st.sampled_from(ComparisonPeriod),
    cut=st.sampled_from([("all", ""), ("channel", "app"), ("sku", "s-2"), ("promotion", "d11")]),
)
async def test_compare_equals_two_independent_queries(
    shop: Shop, at: int, apart_s: int, window: str, against: ComparisonPeriod, cut: tuple[str, str]
) -> None:
    await shop.redis.flushdb()
    shop.counted.clear(), shop.works.clear(), shop.promotions.clear()
    view = await two_sales(shop, apart_s=apart_s)
    scope, value = cut
    found = await compare(view, against, window, scope, value, at=ms(apart_s + at))
    (item,) = found.items
    assert found.now.as_of_ms == ms(apart_s + at)
    assert item.now.values == await ask(view, window, scope, value, at=found.now.as_of_ms)
    own = {"d11": "d12"}.get(value, value) if against is ComparisonPeriod.BASELINE else value
    days = {ComparisonPeriod.YESTERDAY: 1, ComparisonPeriod.LAST_WEEK: 7}
    then_at = ms(at - 60) if against is ComparisonPeriod.BASELINE else ms(apart_s + at - days[against] * DAY_S)
    whose = asked_about(against, window)
    assert found.at.as_of_ms == then_at
    assert item.then.values == await ask(view, window, scope, own, at=then_at, promotion=whose)


async def test_yesterday_is_the_same_local_time_across_a_clock_change(redis_url: str) -> None:
    """On 2023-10-29 at 03:00, clocks in Berlin went back an hour."""
    change = -13 * DAY_S + 3_600  # 2023-10-29 01:00 UTC
    async with opened(redis_url, timezone="Europe/Berlin") as shop:
        await shop.feed(CLICKS_0, [click(at=at) for at in range(change - 40 * 3_600, change + 30 * 3_600, 600)])
        view, oracle = await shop.view(), shop.oracle()
        for at in range(change - 3_600, change + 29 * 3_600, 3_600):
            found = await compare(view, "yesterday", "day", at=ms(at), timezone="Europe/Berlin")
            assert found.at.as_of_ms == local_days_before(ms(at), 1, "Europe/Berlin")
            expected = oracle.ask("day", found.at.as_of_ms)
            assert found.items[0].then.values["page_views"] == expected["page_views"]
        offsets = {found.at.offset_ms // 3_600_000}
        assert offsets == {24}, "a day after the change it is 24 hours again"


@pytest.mark.parametrize("against", ComparisonPeriod)
@pytest.mark.parametrize("name", ["gmv", "visitors", "aov"])
async def test_a_compared_series_equals_queries_at_each_moment(
    shop: Shop, against: ComparisonPeriod, name: str
) -> None:
    view = await two_sales(shop)
    moments = [ms(DAY_S + at) for at in range(90, 880, 47)]
    for window, scope, value in (("1m", "all", ""), ("promotion", "all", ""), ("promotion", "promotion", "d11")):
        query = KpiQuery(Window(window), Scope(scope))
        compared = await comparer(view).series(query, value, name, moments, against)
        assert [at for at, _ in compared.points] == moments
        for at, number in compared.points:
            (item,) = (await compare(view, against, window, scope, value, at=at)).items
            assert (item.then.values[name], item.at.offset_ms) == (number, compared.offset_ms)


async def test_both_sides_are_at_full_minutes_if_only_minutes_are_kept(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view = await two_sales(shop)
        found = await compare(view, "yesterday", "5m", at=ms(DAY_S + 400 + 13))
        assert (found.now.as_of_ms, found.at.as_of_ms) == (ms(DAY_S + 360), ms(360))
        assert_agree(
            found.items[0].then.values,
            shop.oracle().ask("5m", ms(360))
            | dict.fromkeys(("visitors", "sessions", "buyers", "conversion_rate"), None),
        )
        assert_agree(found.items[0].now.values, shop.oracle().ask("5m", ms(DAY_S + 360)))


async def test_comparing_without_baseline_or_before_the_start_is_rejected(shop: Shop) -> None:
    view = await two_sales(shop)
    with pytest.raises(NotAnswerableError, match="'d12' has no baseline"):
        await compare(view, "baseline", "5m", promotion="d12")
    with pytest.raises(NotAnswerableError, match="starts at"):
        await compare(view, "baseline", "5m", at=ms(DAY_S + 30), promotion="d11")
    with pytest.raises(NotAnswerableError, match="unknown promotion 'never'"):
        await compare(view, "baseline", "5m", promotion="never")
    with pytest.raises(NotAnswerableError, match="known: d11, d12"):
        await compare(view, "baseline", "5m", "promotion", "never")


async def test_comparing_with_expired_panes_is_rejected(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        view = await two_sales(shop)
        with pytest.raises(NotAnswerableError, match="further back"):
            await compare(view, "last_week", "5m")
