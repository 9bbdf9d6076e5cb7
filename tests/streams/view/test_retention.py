"""What is no longer kept is either answered from coarser panes, exactly, or not at all; never wrongly."""

from __future__ import annotations

import pytest

from streams.clock import now_ms
from streams.lateness import clocks
from streams.view.asking import NotAnswerableError
from tests.streams.shop import CLICKS_0, Shop, ask, opened
from tests.streams.view.comparing import assert_true
from tests.support.events import T0, click, ms, promotion

pytestmark = pytest.mark.anyio

HOUR_S, DAY_S = 3600, 86_400


async def counted(shop: Shop, *times: float) -> None:
    """Page views at these seconds, rolled, with everything dropped that is no longer kept at the newest of them."""
    for at in times:
        await shop.feed(CLICKS_0, [click(at=at, user=f"u-{at}")])
        await shop.roll(CLICKS_0, ms(at))
    await shop.writer.expire(clocks(shop.settings, ms(max(times)), now_ms()).oldest_s)


def every(step: int, start: int, end: int) -> range:
    return range(start, end, step)


async def test_windows_at_the_newest_as_of_are_whole(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=0, ends=9 * DAY_S))
        await counted(shop, *every(1_777, 5, 4 * DAY_S + 12_345))
        await assert_true(shop, await shop.view(), scopes=["all"])


async def test_a_moment_with_minutes_only_is_answered_to_the_minute(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, *every(600, 0, DAY_S))
        view = await shop.view()
        at = 12 * HOUR_S + 7
        for window in ("5m", "15m", "1h"):
            numbers = await ask(view, window, at=ms(at))
            assert numbers["page_views"] == shop.oracle().ask(window, ms(at - at % 60))["page_views"]


async def test_a_moment_that_is_not_kept_cannot_be_asked_about(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, 0, 4 * DAY_S)
        view = await shop.view()
        with pytest.raises(NotAnswerableError):
            await ask(view, "1h", at=ms(HOUR_S))


async def test_a_promotion_that_began_within_an_hour_is_refused_after_its_minutes_are_gone(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=1_800, ends=9 * DAY_S))
        await counted(shop, 600, 2_000, 3_000, 4_000, 3.2 * DAY_S)
        with pytest.raises(NotAnswerableError, match="no longer kept"):
            await ask(await shop.view(), "promotion")


@pytest.mark.parametrize("window", ["24h", "day"])
async def test_a_window_of_an_old_moment_is_whole_or_refused(redis_url: str, window: str) -> None:
    async with opened(redis_url, retain="", timezone="Asia/Kolkata") as shop:
        await counted(shop, *every(900, 300, int(4.5 * DAY_S)))
        view = await shop.view()
        at = ms(1.7 * DAY_S + 1_200)
        expected = shop.oracle().ask(window, at)["page_views"]
        try:
            numbers = await ask(view, window, at=at)
        except NotAnswerableError:
            return
        assert numbers["page_views"] == expected


async def test_a_backlog_older_than_the_seconds_kept_is_counted_right(redis_url: str) -> None:
    """A worker that was away for three hours: the as-of is three hours old, its windows are asked about."""
    behind_s = now_ms() // 1000 - 3 * HOUR_S - T0
    async with opened(redis_url, retain="", clock="wall") as shop:
        await shop.feed(CLICKS_0, [click(at=behind_s + at) for at in range(100)], lag=1_000)
        view = await shop.view()
        before = await ask(view, "1m")
        await shop.roll(CLICKS_0)
        assert before["page_views"] == 60
        assert (await ask(await shop.view(), "1m"))["page_views"] == 60


async def test_blocks_that_expired_while_no_worker_was_at_work_are_refused_and_not_taken_for_silence(
    redis_url: str,
) -> None:
    """As after three hours without workers: what a block held is gone from Redis, that it was there is not."""
    now_s = now_ms() // 1000 - T0
    async with opened(redis_url, retain="", clock="wall") as shop:
        await shop.feed(CLICKS_0, [click(at=now_s - 10 * HOUR_S + at) for at in range(1_000)], lag=1)
        await shop.roll(CLICKS_0)
        following = await shop.view()
        right = await ask(following, "5m")
        for key in await shop.redis.keys("*pane:s:*"):
            await shop.redis.delete(key)
        with pytest.raises(NotAnswerableError, match="no longer kept"):
            await ask(await shop.view(), "5m")
        assert right["page_views"] == 300
        assert await ask(following, "5m") == right


async def test_a_shop_that_is_quiet_lets_go_of_its_panes_by_the_clock(redis_url: str) -> None:
    """Workers drop what is old by now, and servers know it, though the newest event is hours old."""
    now_s = now_ms() // 1000 - T0
    now_s -= now_s % 60
    quiet_s = now_s - 5 * HOUR_S
    async with opened(redis_url, retain="", clock="wall", idle_after_s=0.001) as shop:
        await shop.feed(CLICKS_0, [click(at=quiet_s - 3 * DAY_S + 60 * at) for at in range(24 * 60)])
        await shop.feed(CLICKS_0, [click(at=quiet_s)])
        await shop.roll(CLICKS_0)
        await shop.writer.expire(clocks(shop.settings, now_ms(), now_ms()).oldest_s)
        view = await shop.view()
        gone = 20 if (now_s + 60 * 20) % HOUR_S else 21  # a whole hour by the clock is answered by its pane of an hour
        for minutes, kept in ((gone, False), (100, True)):
            at = ms(now_s - 3 * DAY_S + 60 * minutes)
            if kept:
                assert (await ask(view, "1h", at=at))["page_views"] == 60
            else:
                with pytest.raises(NotAnswerableError):
                    await ask(view, "1h", at=at)
